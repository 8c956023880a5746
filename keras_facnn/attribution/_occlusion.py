import keras
import numpy as np

from keras_facnn._backend.forward import progress_bar
from keras_facnn._checks.arguments import check_bool
from keras_facnn._checks.numbers import check_int
from keras_facnn._checks.numbers import check_memory
from keras_facnn.attribution._imputation import baseline_images
from keras_facnn.attribution._perturbation import check_images_and_classes
from keras_facnn.attribution._perturbation import class_index
from keras_facnn.attribution._perturbation import scoring_function
from keras_facnn.types import Baseline
from keras_facnn.types import Classes
from keras_facnn.types import Images


def occlusion(
    model: keras.Model,
    images: Images,
    classes: Classes = None,
    *,
    size: int = 8,
    stride: int | None = None,
    baseline: Baseline = 0.0,
    probabilities: bool = False,
    batch_size: int = 16,
    verbose: int = 0,
) -> np.ndarray:
    """Return occlusion (K-OCC) maps of any Keras image classifier.

    They show how much the score falls when a square of `size x size` pixels is
    covered. Squares start at every `stride` pixels and are cut at the border,
    so that every pixel is covered. A pixel's value is the mean fall over the
    squares that cover it, as in captum's `Occlusion`.

    Source: Zeiler and Fergus, "Visualizing and Understanding Convolutional
    Networks", arXiv 1311.2901, section 4.2.

    Args:
        model: `keras.Model` from images `(B, H, W, channels)` to `(B, C)`.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        classes: None for the predicted class of each image, an integer, the
            name of a class if the model knows names, a sequence of B of these,
            or `"all"`.
        size: Positive integer k, the side of the square.
        stride: Positive integer, at most `size`. None means half of `size`.
        baseline: The values of covered pixels: a number, `"mean"` (each image's
            own color), `"blur"` (the image, blurred), or an array that
            broadcasts to `images`.
        probabilities: Whether scores are the softmax of the model's outputs, or
            their sigmoid, as in `rise`. By default, scores are the outputs.
        batch_size: Positive integer, images per forward pass.
        verbose: 1 shows a progress bar, 0 does not.

    Returns:
        A float32 NumPy array `(B, H, W)`, or `(B, H, W, C)` for `"all"`.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.zeros((2, 32, 32, 3), "uint8")
    >>> keras_facnn.attribution.occlusion(model, images, size=16).shape
    (2, 32, 32)
    """
    size = check_int("size", size)
    stride = check_int(
        "stride", max(1, size // 2) if stride is None else stride
    )
    if stride > size:
        raise ValueError(
            "`stride` must be at most `size`, so that every pixel is covered. "
            f"Received: stride={stride}, size={size}"
        )
    batch_size = check_int("batch_size", batch_size)
    images, classes, num_classes = check_images_and_classes(
        model, images, classes
    )
    probabilities = check_bool("probabilities", probabilities)
    covers = baseline_images(images, baseline)
    height, width = images.shape[1:3]
    corners = [
        (top, left)
        for top in _starts(height, size, stride)
        for left in _starts(width, size, stride)
    ]
    many = isinstance(classes, str)
    check_memory(
        "`images` and `classes`", *images.shape[:3], num_classes if many else 1
    )
    batch_size = min(batch_size, len(corners))
    check_memory("`batch_size`", batch_size, *images.shape[1:])
    scores_function = scoring_function(model, probabilities, batch_size)
    maps = np.zeros((len(images), height, width, num_classes if many else 1))
    counts = np.zeros((height, width, 1))
    for top, left in corners:
        counts[top : top + size, left : left + size] += 1
    bar = progress_bar(len(images) * len(corners), verbose, "image")
    for i, (image, cover) in enumerate(zip(images, covers, strict=True)):
        whole = scores_function(image[None])[0]
        target = class_index(classes, i, whole)
        for start in range(0, len(corners), batch_size):
            some = corners[start : start + batch_size]
            batch = np.repeat(image[None], len(some), axis=0)
            for occluded, (top, left) in zip(batch, some, strict=True):
                where = np.s_[top : top + size, left : left + size]
                occluded[where] = cover[where]
            falls = (whole - scores_function(batch))[:, target]
            for fall, (top, left) in zip(falls, some, strict=True):
                maps[i, top : top + size, left : left + size] += fall
            bar.add(len(some))
    maps = (maps / counts).astype("float32")
    return maps if many else maps[..., 0]


def _starts(length: int, size: int, stride: int) -> list[int]:
    """Return where squares start, so that the last one reaches the border."""
    last = max(0, -(-(length - size) // stride))
    return [stride * i for i in range(last + 1)]
