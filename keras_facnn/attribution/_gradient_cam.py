from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_facnn._backend.cache import cached_function
from keras_facnn._backend.forward import run_in_batches
from keras_facnn._backend.gradients import gradient_function
from keras_facnn._checks.numbers import check_int
from keras_facnn._checks.numbers import check_memory
from keras_facnn._graph.layer_path import find_layer_path
from keras_facnn._graph.split import maps_function
from keras_facnn._graph.split import scores_after
from keras_facnn._graph.split import scores_with_offsets
from keras_facnn.attribution._class_gradient import PREDICTED_CLASS
from keras_facnn.attribution._class_gradient import check_scores
from keras_facnn.attribution._class_gradient import class_gradient
from keras_facnn.attribution._class_gradient import scale_gradients
from keras_facnn.attribution._class_gradient import sum_scores
from keras_facnn.attribution._perturbation import check_images_and_classes
from keras_facnn.types import Classes
from keras_facnn.types import Images
from keras_facnn.types import LayerName


def grad_cam(
    model: keras.Model,
    images: Images,
    classes: Classes = None,
    *,
    layer: LayerName,
    batch_size: int = 32,
) -> np.ndarray:
    """Return Grad-CAM maps of any functional Keras image classifier.

    The map of class `c` is `relu(sum_k w_k A_k)`. Here `A` is the layer's
    output, and `w_k` is the mean over the image of the gradient of the logit
    `y_c` with respect to `A_k`. The map is neither normalized nor resized.

    Source: Selvaraju et al., "Grad-CAM", arXiv 1610.02391, equations 1 and 2.

    Args:
        model: Functional `keras.Model` with one input `(B, H, W, channels)` and
            one output `(B, C)`. The gradient is that of the output itself, so
            it should be logits. If it looks like probabilities, a warning
            appears.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        classes: None for the predicted class of each image, an integer, the
            name of a class if the model knows names, a sequence of B of these,
            or `"all"`.
        layer: Name of the layer. Its output must be `(B, h, w, channels)`, or
            `(B, channels, h, w)` if the model computes channels first. A layer
            of a model inside `model`, such as a backbone, is given by its name
            or its path, `"backbone/out_relu"`. An integer is the number `l` of
            `fa_l` on an FA-CNN, and an index of `model.layers` on any other
            model.
        batch_size: Positive integer, images per forward pass.

    Returns:
        A float32 NumPy array `(B, h, w)`, or `(B, h, w, C)` for `"all"`, at the
        layer's own resolution.

    Raises:
        ValueError: If an argument does not match the model; the message names
            the argument. The layer must be called once and give one tensor.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.zeros((2, 32, 32, 3), "uint8")
    >>> keras_facnn.attribution.grad_cam(model, images, 3, layer=2).shape
    (2, 32, 32)
    """

    return _cam(_grad_cam, model, images, classes, layer, batch_size)


def grad_cam_by_layer(
    model: keras.Model,
    images: np.ndarray,
    classes: np.ndarray,
    layers: Sequence[str],
    batch_size: int,
    one_size: bool = False,
) -> list[np.ndarray]:
    """Return Grad-CAM maps at several layers, by one backward pass.

    The mean of a gradient over locations is the gradient with respect to a
    number that is added at every location, divided by the number of locations.

    Args:
        model: As for `grad_cam`.
        images: Float32 array `(B, H, W, channels)`, checked.
        classes: Int array `(B,)`.
        layers: Names of layers of the model itself.
        batch_size: Positive integer, images per forward pass.
        one_size: As for `run_in_batches`.

    Returns:
        A list of float32 NumPy arrays `(B, h, w)`, one per layer.
    """
    names = list(dict.fromkeys(layers))

    def make() -> Callable[..., Any]:
        outputs, channels = scores_with_offsets(model, names)

        def score(added: Any, x: Any, targets: Any, factor: Any) -> Any:
            scores, maps = outputs(x, added)
            scores = ops.cast(scores, "float32")
            return factor * sum_scores(scores, targets), (scores, maps)

        gradient = gradient_function(
            score, model.variables, True, f"the maps of {', '.join(names)}"
        )

        def cams(x: Any, targets: Any, factor: Any) -> Any:
            added = [ops.zeros((ops.shape(x)[0], 1, 1, n)) for n in channels]
            sums, (scores, maps) = gradient(added, x, targets, factor)
            found = []
            for g, a in zip(sums, maps, strict=True):
                a = ops.cast(a, "float32")
                # The shape is unknown for models that take images of any size.
                locations = ops.sum(ops.ones_like(a[:1, :, :, :1]))
                weights = g / (factor * locations)
                found.append(ops.relu(ops.sum(weights * a, axis=-1)))
            return found, scores

        return cams

    function = cached_function(model, (grad_cam_by_layer, *names), make)
    maps, scores = run_in_batches(
        scale_gradients(model, function),
        (images, classes),
        batch_size,
        one_size=one_size,
    )
    check_scores(scores, gradient=True)
    return [maps[names.index(name)] for name in layers]


def grad_cam_plus_plus(
    model: keras.Model,
    images: Images,
    classes: Classes = None,
    *,
    layer: LayerName,
    batch_size: int = 32,
) -> np.ndarray:
    """Return Grad-CAM++ maps, in which positive gradients count by location.

    The map of class `c` is `relu(sum_k w_k A_k)`. Here `A` is the layer's
    output and `g_k` the gradient of the logit `y_c` with respect to `A_k`. The
    weight `w_k` is the sum over the image of `relu(g_k) / (2 + g_k S_k)`, with
    `S_k` the sum of `A_k` over the image. It is the paper's closed form for
    the score `exp(y_c)` and a network that is piecewise linear after the layer.
    The common factor `exp(y_c)`, which may overflow, is left out. The maps cost
    one forward and one backward pass; `"all"` needs one backward pass per
    class.

    Source: Chattopadhyay et al., "Grad-CAM++", arXiv 1710.11063, equations 5
    and 19.

    Args:
        model: As for `grad_cam`.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        classes: As for `grad_cam`.
        layer: As for `grad_cam`.
        batch_size: Positive integer, images per forward pass.

    Returns:
        A float32 NumPy array `(B, h, w)`, or `(B, h, w, C)` for `"all"`.

    Raises:
        ValueError: As for `grad_cam`.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.zeros((2, 32, 32, 3), "uint8")
    >>> maps = keras_facnn.attribution.grad_cam_plus_plus(
    ...     model, images, 3, layer=2
    ... )
    >>> maps.shape
    (2, 32, 32)
    """
    return _cam(_grad_cam_plus_plus, model, images, classes, layer, batch_size)


def hires_cam(
    model: keras.Model,
    images: Images,
    classes: Classes = None,
    *,
    layer: LayerName,
    batch_size: int = 32,
) -> np.ndarray:
    """Return HiResCAM maps: Grad-CAM without averaging the gradients.

    The map of class `c` is `sum_k g_k A_k`, with `g_k` the gradient of `y_c`
    with respect to `A_k` at each location. It may be negative.

    Source: Draelos and Carin, "Use HiResCAM instead of Grad-CAM",
    arXiv 2011.08891.

    Args:
        model: As for `grad_cam`.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        classes: As for `grad_cam`.
        layer: As for `grad_cam`.
        batch_size: Positive integer, images per forward pass.

    Returns:
        A float32 NumPy array `(B, h, w)`, or `(B, h, w, C)` for `"all"`.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.zeros((2, 32, 32, 3), "uint8")
    >>> keras_facnn.attribution.hires_cam(model, images, 3, layer=2).shape
    (2, 32, 32)
    """

    return _cam(_hires_cam, model, images, classes, layer, batch_size)


def layer_cam(
    model: keras.Model,
    images: Images,
    classes: Classes = None,
    *,
    layer: LayerName,
    batch_size: int = 32,
) -> np.ndarray:
    """Return Layer-CAM maps: each location weighted by its positive gradient.

    The map of class `c` is `relu(sum_k relu(g_k) A_k)`, with `g_k` the gradient
    of `y_c` with respect to `A_k` at each location.

    Source: Jiang et al., "LayerCAM", IEEE TIP 2021, equations 6 and 7.

    Args:
        model: As for `grad_cam`.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        classes: As for `grad_cam`.
        layer: As for `grad_cam`.
        batch_size: Positive integer, images per forward pass.

    Returns:
        A float32 NumPy array `(B, h, w)`, or `(B, h, w, C)` for `"all"`.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.zeros((2, 32, 32, 3), "uint8")
    >>> keras_facnn.attribution.layer_cam(model, images, 3, layer=2).shape
    (2, 32, 32)
    """

    return _cam(_layer_cam, model, images, classes, layer, batch_size)


def _grad_cam(a: Any, g: Any) -> Any:
    weights = ops.mean(g, axis=(1, 2), keepdims=True)
    return ops.relu(ops.sum(weights * a, axis=-1))


def _grad_cam_plus_plus(a: Any, g: Any) -> Any:
    # The paper's fraction without the squared gradient, which may underflow.
    divisor = 2.0 + g * ops.sum(a, axis=(1, 2), keepdims=True)
    # Only negative activations can make it 0.
    divisor = ops.where(divisor == 0, ops.ones_like(divisor), divisor)
    weights = ops.sum(ops.relu(g) / divisor, axis=(1, 2), keepdims=True)
    return ops.relu(ops.sum(weights * a, axis=-1))


def _hires_cam(a: Any, g: Any) -> Any:
    return ops.sum(g * a, axis=-1)


def _layer_cam(a: Any, g: Any) -> Any:
    return ops.relu(ops.sum(ops.relu(g) * a, axis=-1))


def _cam(
    weigh: Callable[[Any, Any], Any],
    model: keras.Model,
    images: Images,
    classes: Classes,
    layer: LayerName,
    batch_size: int,
) -> np.ndarray:
    """Return the maps that `weigh` makes of activations and their gradients."""
    images, classes, num_classes = check_images_and_classes(
        model, images, classes
    )
    batch_size = check_int("batch_size", batch_size)
    path = find_layer_path(model, layer)
    features = maps_function(model, path)

    def make() -> Callable[..., Any]:
        gradient = class_gradient(
            scores_after(model, path),
            model.variables,
            f"the maps of `layer` {path!r}",
        )

        def cam(a: Any, x: Any, targets: Any, factor: Any) -> Any:
            g, scores = gradient(a, targets, factor, x)
            return weigh(ops.cast(a, "float32"), g), scores

        return cam

    cam = scale_gradients(model, cached_function(model, (weigh, path), make))

    def maps_of(x: Any, targets: Any) -> Any:
        a = features(x)
        if not isinstance(classes, str):
            return cam(a, x, targets)
        check_memory('`images` and `classes="all"`', *a.shape[:3], num_classes)
        made = [cam(a, x, np.full_like(targets, c)) for c in range(num_classes)]
        return np.stack([maps for maps, _ in made], axis=-1), made[0][1]

    targets = np.full(len(images), PREDICTED_CLASS)
    if not (classes is None or isinstance(classes, str)):
        targets = classes
    maps, scores = run_in_batches(maps_of, (images, targets), batch_size)
    check_scores(scores, gradient=True)
    return maps
