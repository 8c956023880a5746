import keras
import numpy as np

from keras_facnn._backend.forward import class_per_image
from keras_facnn._backend.forward import progress_bar
from keras_facnn._backend.forward import run_in_batches
from keras_facnn._checks.arguments import check_bool
from keras_facnn._checks.numbers import check_int
from keras_facnn._checks.numbers import check_memory
from keras_facnn._graph.layer_path import find_layer_path
from keras_facnn._graph.probabilities import ends_in_probabilities
from keras_facnn._graph.split import maps_function
from keras_facnn.attribution._perturbation import check_images_and_classes
from keras_facnn.attribution._perturbation import scoring_function
from keras_facnn.maps import resize_maps
from keras_facnn.types import Classes
from keras_facnn.types import Images
from keras_facnn.types import LayerName


def score_cam(
    model: keras.Model,
    images: Images,
    classes: Classes = None,
    *,
    layer: LayerName,
    probabilities: bool = False,
    batch_size: int = 16,
    verbose: int = 0,
) -> np.ndarray:
    """Return Score-CAM maps of any functional Keras image classifier.

    Each channel `A_k` of the layer's output is resized bilinearly to the size
    of the image and scaled to 0..1, and the image is multiplied by it. The
    model's score of the masked image decides the channel's weight `w_k`, so no
    gradient is needed. The map of class `c` is `relu(sum_k w_k A_k)`. The
    weights are the softmax of the logits over the channels, as in the paper's
    Algorithm 1. The paper's baseline image adds the same to all logits, so it
    changes nothing. If the scores are probabilities, they are the weights, as
    in the authors' code.

    The maps cost one forward pass per channel and image, one to the layer, and
    one more if `classes` is None. `"all"` costs the same as one class.

    Source: Wang et al., "Score-CAM", arXiv 1910.01279, Algorithm 1.

    Args:
        model: Functional `keras.Model` with one input `(B, H, W, channels)` and
            one output `(B, C)`.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
            Masked pixels are 0.
        classes: As for `grad_cam`.
        layer: As for `grad_cam`.
        probabilities: Whether scores are the softmax of the model's outputs, or
            their sigmoid, as in `rise`. By default, scores are the outputs.
        batch_size: Positive integer, masked images per forward pass.
        verbose: 1 shows a progress bar, 0 does not.

    Returns:
        A float32 NumPy array `(B, h, w)`, or `(B, h, w, C)` for `"all"`, at the
        layer's own resolution.

    Raises:
        ValueError: As for `grad_cam`.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.zeros((2, 32, 32, 3), "uint8")
    >>> keras_facnn.attribution.score_cam(model, images, 3, layer=2).shape
    (2, 32, 32)
    """
    probabilities = check_bool("probabilities", probabilities)
    batch_size = check_int("batch_size", batch_size)
    images, classes, num_classes = check_images_and_classes(
        model, images, classes
    )
    path = find_layer_path(model, layer)
    features = maps_function(model, path)
    targets: list[slice] | np.ndarray = [slice(None)] * len(images)
    if not isinstance(classes, str):
        targets = class_per_image(model, images, classes, batch_size)
    maps: list[np.ndarray] = []
    for image, target in zip(images, targets, strict=True):
        (a,) = run_in_batches(features, image[None], 1)
        if not maps:
            channels = a.shape[-1]
            size = min(batch_size, channels)
            check_memory("`batch_size`", size, *image.shape)
            scores_function = scoring_function(model, probabilities, size)
            bar = progress_bar(len(images) * channels, verbose, "channel")
        scores = np.empty((channels, num_classes))
        for start in range(0, channels, size):
            some = slice(start, start + size)
            masks = _masks(a[..., some], image.shape[:2])
            scores[some] = scores_function(masks[..., None] * image)
            bar.add(len(masks))
        weights = scores
        if not (probabilities or ends_in_probabilities(model, scores)):
            weights = np.exp(scores - scores.max(axis=0))
            weights /= weights.sum(axis=0)
        made = np.maximum(a @ weights[:, target], 0)
        if isinstance(classes, str):
            check_memory("`images` and `classes`", len(images), *made.shape)
        maps.append(made.astype("float32"))
    return np.stack(maps)


def _masks(channels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return channels `(h, w, n)` as masks `(n, H, W)` of 0..1.

    A channel without contrast becomes a mask of zeros.
    """
    masks = resize_maps(np.moveaxis(channels, -1, 0), size)
    masks = masks - masks.min(axis=(1, 2), keepdims=True)
    largest = masks.max(axis=(1, 2), keepdims=True)
    return masks / np.where(largest > 0, largest, 1)
