import keras
import numpy as np
from keras import ops

from keras_facnn.checks import check_classes
from keras_facnn.checks import check_images
from keras_facnn.checks import check_int
from keras_facnn.gradients import gradient_function


def grad_cam(model, images, classes=None, *, layer, batch_size=32):
    """Grad-CAM maps of any functional Keras image classifier.

    The map of class `c` is `relu(sum_k w_k A_k)` with `A` the layer's output
    and `w_k` the mean over the image of the gradient of the logit `y_c` with
    respect to `A_k`. It is neither normalised nor resized.

    Source: Selvaraju et al., "Grad-CAM", arXiv 1610.02391, equations 1 and 2.

    Args:
        model: Functional `keras.Model` with one input `(B, H, W, channels)`
            and one output `(B, C)`. Its output is differentiated as it is, so
            it should be logits, not probabilities.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        classes: None for the predicted class of each image, an integer, a
            sequence of B integers, or `"all"`.
        layer: Name of the layer, whose output must be `(B, h, w, channels)`.
            For a model with layers `fa_l`, such as `FACNN`, the number `l`
            will do.
        batch_size: Positive integer, images a forward pass.

    Returns:
        A float32 NumPy array `(B, h, w)`, or `(B, h, w, C)` for `"all"`, at the
        layer's own resolution.

    Example:

    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.zeros((2, 32, 32, 3), "uint8")
    >>> keras_facnn.attribution.grad_cam(model, images, 3, layer=2).shape
    (2, 32, 32)
    """

    def weigh(a, g):
        weights = ops.mean(g, axis=(1, 2), keepdims=True)
        return ops.relu(ops.sum(weights * a, axis=-1))

    return _cam(weigh, model, images, classes, layer, batch_size)


def hires_cam(model, images, classes=None, *, layer, batch_size=32):
    """HiResCAM maps: Grad-CAM without the averaging of gradients.

    The map of class `c` is `sum_k g_k A_k` with `g_k` the gradient of `y_c`
    with respect to `A_k`, place by place. It may be negative.

    Source: Draelos and Carin, "Use HiResCAM instead of Grad-CAM",
    arXiv 2011.08891.

    Args:
        model: As for `grad_cam`.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        classes: None for the predicted class of each image, an integer, a
            sequence of B integers, or `"all"`.
        layer: As for `grad_cam`.
        batch_size: Positive integer, images a forward pass.

    Returns:
        A float32 NumPy array `(B, h, w)`, or `(B, h, w, C)` for `"all"`.

    Example:

    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.zeros((2, 32, 32, 3), "uint8")
    >>> keras_facnn.attribution.hires_cam(model, images, 3, layer=2).shape
    (2, 32, 32)
    """

    def weigh(a, g):
        return ops.sum(g * a, axis=-1)

    return _cam(weigh, model, images, classes, layer, batch_size)


def layer_cam(model, images, classes=None, *, layer, batch_size=32):
    """Layer-CAM maps: each place weighted by its own positive gradient.

    The map of class `c` is `relu(sum_k relu(g_k) A_k)` with `g_k` the gradient
    of `y_c` with respect to `A_k`, place by place.

    Source: Jiang et al., "LayerCAM", IEEE TIP 2021, equations 6 and 7.

    Args:
        model: As for `grad_cam`.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        classes: None for the predicted class of each image, an integer, a
            sequence of B integers, or `"all"`.
        layer: As for `grad_cam`.
        batch_size: Positive integer, images a forward pass.

    Returns:
        A float32 NumPy array `(B, h, w)`, or `(B, h, w, C)` for `"all"`.

    Example:

    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.zeros((2, 32, 32, 3), "uint8")
    >>> keras_facnn.attribution.layer_cam(model, images, 3, layer=2).shape
    (2, 32, 32)
    """

    def weigh(a, g):
        return ops.relu(ops.sum(ops.relu(g) * a, axis=-1))

    return _cam(weigh, model, images, classes, layer, batch_size)


def _cam(weigh, model, images, classes, layer, batch_size):
    """Maps that `weigh` makes of activations and their gradients."""
    features, logits_of = _cut(model, layer)
    (pixels,) = features.inputs
    images = check_images(images, tuple(pixels.shape[1:]))
    num_classes = features.outputs[1].shape[-1]
    classes = check_classes(classes, len(images), num_classes)
    batch_size = check_int("batch_size", batch_size)

    def score(a, x, weights):
        return ops.sum(ops.cast(logits_of([x, a]), "float32") * weights)

    gradient = gradient_function(score)

    def cam(a, x, targets):
        g = gradient(a, x, np.eye(num_classes, dtype="float32")[targets])
        maps = weigh(ops.cast(a, "float32"), ops.cast(g, "float32"))
        return ops.convert_to_numpy(maps)

    maps = []
    for start in range(0, len(images), batch_size):
        x = ops.cast(images[start : start + batch_size], pixels.dtype)
        a, logits = features.predict_on_batch(x)
        if isinstance(classes, str):
            wanted = [np.full(len(a), c) for c in range(num_classes)]
            maps.append(np.stack([cam(a, x, c) for c in wanted], axis=-1))
        elif classes is None:
            maps.append(cam(a, x, np.argmax(logits, axis=-1)))
        else:
            maps.append(cam(a, x, classes[start : start + batch_size]))
    return np.concatenate(maps)


def _cut(model, layer):
    """Cuts a model at a layer: images to (features, logits), and the rest."""
    name = f"fa_{layer}" if hasattr(layer, "__index__") else layer
    names = [one.name for one in getattr(model, "layers", [])]
    try:
        features = model.get_layer(name).output
        (inputs,), (outputs,) = model.inputs, model.outputs
    except (AttributeError, TypeError, ValueError) as e:
        raise ValueError(
            "`model` must be a functional Keras model of one input and one "
            f"output, and `layer` the name of a layer: {', '.join(names)}. "
            f"Received: model={model}, layer={layer!r}"
        ) from e
    for what, tensor, rank in (
        ("input", inputs, 4),
        (f"layer {name!r}", features, 4),
        ("output", outputs, 2),
    ):
        if len(getattr(tensor, "shape", ())) != rank:
            raise ValueError(
                f"The model's {what} must be one tensor of {rank} dimensions. "
                f"Received: {tensor}"
            )
    return (
        keras.Model(inputs, [features, outputs]),
        keras.Function([inputs, features], outputs),
    )
