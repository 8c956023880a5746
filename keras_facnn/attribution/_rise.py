import math

import keras
import numpy as np
from keras import ops

from keras_facnn._backend.forward import progress_bar
from keras_facnn._checks.arguments import check_bool
from keras_facnn._checks.numbers import check_float
from keras_facnn._checks.numbers import check_int
from keras_facnn._checks.numbers import check_memory
from keras_facnn._checks.numbers import check_seed
from keras_facnn.attribution._perturbation import check_images_and_classes
from keras_facnn.attribution._perturbation import class_index
from keras_facnn.attribution._perturbation import scoring_function
from keras_facnn.types import Classes
from keras_facnn.types import Images


def rise(
    model: keras.Model,
    images: Images,
    classes: Classes = None,
    *,
    masks: int = 4000,
    grid: int = 7,
    p: float = 0.5,
    probabilities: bool = True,
    tolerance: float | None = None,
    seed: int = 0,
    batch_size: int = 16,
    verbose: int = 0,
) -> np.ndarray:
    """Return RISE maps of any Keras image classifier.

    A map is the mean of random masks, each weighted by the score of the masked
    image. A mask is a `grid x grid` array of ones (with probability `p`) and
    zeros. It is resized bilinearly to the size of the image plus one cell and
    cropped at a random shift of its own. The map is
    `sum_i score_i * mask_i / (masks * p)`. All images get the same masks, which
    are made in batches as needed.

    Source: Petsiuk et al., "RISE", arXiv 1806.07421, section 3.2.

    Args:
        model: `keras.Model` from images `(B, H, W, channels)` to `(B, C)`.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
            Masked pixels are 0.
        classes: None for the predicted class of each image, an integer, the
            name of a class if the model knows names, a sequence of B of these,
            or `"all"`.
        masks: Positive integer N, the number of masks.
        grid: Positive integer, cells per side; at most the image's longer side.
        p: Float in (0, 1], the probability that a cell is kept.
        probabilities: Whether scores are the softmax of the model's outputs, as
            in the paper. For an FA-CNN with a threshold, scores are then the
            sigmoid of the outputs, because an image may have several labels.
            Pass False for a model that ends in a softmax or a sigmoid, to use
            its outputs unchanged.
        tolerance: Optional positive float. The function stops early when the
            last quarter of the masks changed no map by more than this value,
            relative to the norm of the map without its mean.
        seed: Integer of 0..2**64 - 1, the seed of the masks. Every backend uses
            the same masks.
        batch_size: Positive integer, masked images per forward pass. It does
            not change the masks.
        verbose: 1 shows a progress bar, 0 does not.

    Returns:
        A float32 NumPy array `(B, H, W)`, or `(B, H, W, C)` for `"all"`.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.zeros((2, 32, 32, 3), "uint8")
    >>> keras_facnn.attribution.rise(model, images, masks=8).shape
    (2, 32, 32)
    """
    masks = check_int("masks", masks)
    batch_size = min(check_int("batch_size", batch_size), masks)
    p = check_float("p", p, above=0, most=1)
    if tolerance is not None:
        tolerance = check_float("tolerance", tolerance, above=0)
    seed = check_seed(seed)
    probabilities = check_bool("probabilities", probabilities)
    images, classes, num_classes = check_images_and_classes(
        model, images, classes
    )
    shape = images.shape[1:3]
    grid = check_int("grid", grid, most=max(shape))
    check_memory(
        "`batch_size` and `masks`",
        batch_size,
        *(n + 2 * math.ceil(n / grid) + grid for n in shape),
        images.shape[3],
    )
    many = isinstance(classes, str)
    check_memory(
        "`images` and `classes`", *images.shape[:3], num_classes if many else 1
    )
    bar = progress_bar(masks, verbose, "mask")
    scores_function = scoring_function(model, probabilities, batch_size)
    targets = [
        class_index(classes, i, scores_function(image[None])[0])
        for i, image in enumerate(images)
    ]
    maps = np.zeros((len(images), *shape, num_classes if many else 1))
    before, checked = np.zeros_like(maps), 0
    for start in range(0, masks, batch_size):
        done = min(start + batch_size, masks)
        batch = _masks(start, done, shape, grid, p, seed)
        for i, (image, target) in enumerate(zip(images, targets, strict=True)):
            scores = scores_function(image * batch[..., None])[:, target]
            scores = scores.reshape(len(batch), -1)
            maps[i] += np.tensordot(batch, scores, axes=(0, 0))
        bar.add(done - start)
        if tolerance is None or done * 3 < checked * 4:
            continue
        if checked:
            moves = _norms(maps / done - before / checked)
            if (moves <= tolerance * _norms(maps / done)).all():
                break
        before, checked = maps.copy(), done
    bar.close()
    maps = (maps / (done * p)).astype("float32")
    return maps if many else maps[..., 0]


def _norms(maps: np.ndarray) -> np.ndarray:
    """Return the norms of maps without their mean, which is an offset."""
    centered = maps - maps.mean(axis=(1, 2), keepdims=True)
    return np.linalg.norm(centered.reshape(len(maps), -1), axis=1)


def _masks(
    start: int,
    stop: int,
    shape: tuple[int, ...],
    grid: int,
    p: float,
    seed: int,
) -> np.ndarray:
    """Return the masks `start` to `stop` of a seed, float32 `(n, H, W)`."""
    cell = [math.ceil(n / grid) for n in shape]
    cells = np.empty((stop - start, grid, grid, 1), "float32")
    shifts = np.empty((stop - start, 2), int)
    for row, number in enumerate(range(start, stop)):
        rng = np.random.default_rng((seed, number))
        cells[row, ..., 0] = rng.random((grid, grid)) < p
        shifts[row] = [rng.integers(0, n) for n in cell]
    large = ops.convert_to_numpy(
        ops.image.resize(
            cells,
            tuple((grid + 1) * n for n in cell),
            interpolation="bilinear",
            data_format="channels_last",
        )
    )[..., 0]
    rows = shifts[:, 0, None, None] + np.arange(shape[0])[:, None]
    columns = shifts[:, 1, None, None] + np.arange(shape[1])
    return large[np.arange(len(large))[:, None, None], rows, columns]
