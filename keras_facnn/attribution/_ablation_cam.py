from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_facnn._backend.cache import cached_function
from keras_facnn._backend.forward import progress_bar
from keras_facnn._backend.forward import run_in_batches
from keras_facnn._checks.models import check_finite_outputs
from keras_facnn._checks.numbers import check_int
from keras_facnn._checks.numbers import check_memory
from keras_facnn._graph.layer_path import find_layer_path
from keras_facnn._graph.split import maps_function
from keras_facnn._graph.split import scores_after
from keras_facnn.attribution._perturbation import check_images_and_classes
from keras_facnn.attribution._perturbation import class_index
from keras_facnn.types import Classes
from keras_facnn.types import Images
from keras_facnn.types import LayerName


def ablation_cam(
    model: keras.Model,
    images: Images,
    classes: Classes = None,
    *,
    layer: LayerName,
    batch_size: int = 16,
    verbose: int = 0,
) -> np.ndarray:
    """Return Ablation-CAM maps of any functional Keras image classifier.

    The map of class `c` is `relu(sum_k w_k A_k)`. Here `A` is the layer's
    output, and `w_k` is how much the logit `y_c` falls when all of `A_k` is set
    to 0. No gradient is needed. The paper divides these weights by `y_c`. All
    channels share this factor, and it is left out, because a logit may be 0 or
    negative.

    The maps cost one forward pass per image to the layer, and from there on one
    forward pass per channel and one more. `"all"` costs the same as one class.

    Source: Desai and Ramaswamy, "Ablation-CAM", WACV 2020.

    Args:
        model: Functional `keras.Model` with one input `(B, H, W, channels)` and
            one output `(B, C)`, as a rule logits.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        classes: As for `grad_cam`.
        layer: As for `grad_cam`.
        batch_size: Positive integer, ablated channels per forward pass.
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
    >>> keras_facnn.attribution.ablation_cam(model, images, 3, layer=2).shape
    (2, 32, 32)
    """
    batch_size = check_int("batch_size", batch_size)
    images, classes, _ = check_images_and_classes(model, images, classes)
    path = find_layer_path(model, layer)
    features = maps_function(model, path)

    def make() -> Callable[..., Any]:
        after = scores_after(model, path)

        def scores(ablated: Any, a: Any, x: Any) -> Any:
            ablated = ops.cast(ablated, "int32")
            kept = ops.not_equal(ops.arange(a.shape[-1]), ablated[:, None])
            copies = ops.take(x, ops.zeros_like(ablated), axis=0)
            return after(a * ops.cast(kept, a.dtype)[:, None, None], copies)

        return scores

    function = cached_function(model, ("ablated scores", path), make)
    bar = progress_bar(len(images), verbose, "image")
    maps = []
    for i, image in enumerate(images):
        x = image[None]
        a = features(x)
        channels = a.shape[-1]
        size = min(batch_size, channels + 1)
        check_memory("`batch_size`", size, *a.shape[1:])
        # No channel has the number -1: these are the scores of the image.
        whole, *scores = run_in_batches(
            lambda ablated, a=a, x=x: function(ablated, a, x),
            np.arange(-1, channels),
            size,
        ).astype("float64")
        check_finite_outputs(whole)
        weights = whole - np.stack(scores)
        target = class_index(classes, i, whole)
        a = ops.convert_to_numpy(ops.cast(a[0], "float32"))
        made = np.maximum(a @ weights[:, target], 0)
        if isinstance(classes, str):
            check_memory("`images` and `classes`", len(images), *made.shape)
        maps.append(made.astype("float32"))
        bar.add(1)
    return np.stack(maps)
