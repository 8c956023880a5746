from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers
from keras import ops

from keras_facnn._backend.cache import cached
from keras_facnn._backend.cache import cached_function
from keras_facnn._backend.forward import run_in_batches
from keras_facnn._checks.classes import check_classes
from keras_facnn._checks.images import check_images_for
from keras_facnn._checks.models import check_finite_outputs
from keras_facnn._checks.models import classifier_shapes
from keras_facnn._checks.numbers import check_int
from keras_facnn._graph.nodes import call_inputs
from keras_facnn._graph.nodes import check_graph_model
from keras_facnn._graph.nodes import producing_node
from keras_facnn.layers import GlobalAvgPool3DHead
from keras_facnn.types import Classes
from keras_facnn.types import Images


def cam(
    model: keras.Model,
    images: Images,
    classes: Classes = None,
    *,
    batch_size: int = 32,
) -> np.ndarray:
    """Return exact class activation maps (CAM) from one forward pass.

    The map of class `c` is `sum_k w_kc A_k`. Here `A` are the last feature maps
    and `w` the weights of the one dense layer after their average. The map
    spreads the logit over the image: the logit is `mean(map) + b_c`, with `b`
    the dense layer's bias. `relu(map) / (h * w)` is the Grad-CAM map of the
    logit at the layer of `A`. The map itself may be negative, and is neither
    normalized nor resized.

    Source: Zhou et al., "Learning Deep Features for Discriminative
    Localization", arXiv 1512.04150, equation 2.

    Args:
        model: Functional or sequential `keras.Model` from images
            `(B, H, W, channels)` to `(B, C)` that ends in
            `GlobalAveragePooling2D` and one `Dense`, optionally with `Dropout`
            and `Flatten` between them. If a softmax follows, the maps explain
            its logits. Any of these layers may be in a nested model. For a
            `FACNN`, the maps are its class maps times the head's scale.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        classes: None for the predicted class of each image, an integer, a
            sequence of B integers, or `"all"`.
        batch_size: Positive integer, images per forward pass.

    Returns:
        A float32 NumPy array `(B, h, w)`, or `(B, h, w, C)` for `"all"`, at
        the last feature maps' own resolution.

    Raises:
        ValueError: If the model does not end in these layers.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras.Sequential(
    ...     [
    ...         keras.Input((32, 32, 3)),
    ...         keras.layers.Conv2D(8, 3, strides=2, padding="same"),
    ...         keras.layers.GlobalAveragePooling2D(),
    ...         keras.layers.Dense(10, use_bias=False),
    ...     ]
    ... )
    >>> images = np.random.default_rng(0).uniform(0, 1, (2, 32, 32, 3))
    >>> maps = keras_facnn.attribution.cam(model, images, "all")
    >>> maps.shape
    (2, 16, 16, 10)
    >>> logits = model.predict(images, verbose=0)
    >>> bool(np.allclose(maps.mean((1, 2)), logits, atol=1e-5))
    True
    """
    _, num_classes = classifier_shapes(model)
    features, last = cached(model, "cam", lambda: _split_before_average(model))
    images = check_images_for(model, images)
    names = getattr(model, "class_names", None)
    classes = check_classes(classes, len(images), num_classes, names)
    batch_size = check_int("batch_size", batch_size)
    function = cached_function(
        model, "cam features", lambda: lambda x: features(x, training=False)
    )
    maps = []
    for start in range(0, len(images), batch_size):
        a = run_in_batches(
            function, images[start : start + batch_size], batch_size
        )
        weights, bias = _linear_part(last)
        logits = a.mean((1, 2)) @ weights + bias
        check_finite_outputs(logits)
        if isinstance(classes, str):
            maps.append(a @ weights)
            continue
        if classes is None:
            chosen = np.argmax(logits, axis=-1)
        else:
            chosen = classes[start : start + batch_size]
        maps.append(np.einsum("bhwk,kb->bhw", a, weights[:, chosen]))
    return np.concatenate(maps)


def _split_before_average(
    model: keras.Model,
) -> tuple[keras.Model, keras.Layer]:
    """Split a model at its last maps, after which it is linear.

    Returns:
        A `keras.Model` from images to maps `(B, h, w, K)`, and the layer that
        computes the logits from the mean of the maps over the image.
    """
    check_graph_model(model)
    (tensor,) = model.outputs
    calls: tuple[Any, ...] = ()
    dense: Any = None
    ending: list[str] = []
    while True:
        node, calls = producing_node(tensor, calls)
        layer = node.operation
        # Do not use `isinstance`, because a subclass may compute anything.
        kind = type(layer)
        ending.insert(0, f"{kind.__name__} {layer.name!r}")
        if dense is None and kind is GlobalAvgPool3DHead:
            break
        if dense is not None and kind is layers.GlobalAveragePooling2D:
            break
        if dense is None and kind is layers.Dense and _is_linear(layer):
            dense = layer
        elif kind not in (layers.Dropout, layers.Flatten) and not (
            dense is None and _is_softmax(layer)
        ):
            raise ValueError(
                "`model` must be a FACNN, or a functional Keras model that "
                "ends in GlobalAveragePooling2D and one unquantized Dense. "
                "Dropout or Flatten may be between them, and a softmax may "
                "follow. For other models, use `grad_cam`. Received: "
                f"model={model}, which ends in {' -> '.join(ending)}"
            )
        (tensor,) = node.input_tensors
    (maps,) = node.input_tensors
    if dense and layer.data_format == "channels_first":
        maps = ops.moveaxis(maps, 1, -1)
    return _submodel(model, maps, calls), dense or layer


def _linear_part(layer: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights `(K, C)` and bias `(C,)` of the linear last part."""
    bias: Any
    if isinstance(layer, GlobalAvgPool3DHead):
        owned = np.eye(layer.num_classes).repeat(layer.maps_per_class, axis=0)
        scale = float(ops.convert_to_numpy(layer.scale))
        weights = scale / layer.maps_per_class * owned
        bias = np.zeros(layer.num_classes)
    else:
        weights = ops.convert_to_numpy(layer.kernel)
        bias = ops.convert_to_numpy(layer.bias) if layer.use_bias else 0.0
    return np.asarray(weights, "float32"), np.asarray(bias, "float32")


def _is_linear(dense: Any) -> bool:
    """Return whether a Dense is linear, apart from a softmax at its end."""
    # A quantized layer also rounds its inputs.
    return dense.quantization_mode is None and dense.activation in (
        keras.activations.linear,
        keras.activations.softmax,
    )


def _is_softmax(layer: Any) -> bool:
    return type(layer) is layers.Softmax or (
        type(layer) is layers.Activation
        and layer.activation is keras.activations.softmax
    )


def _submodel(
    model: keras.Model, tensor: Any, calls: Sequence[Any]
) -> keras.Model:
    """Return the model from images to a tensor that is in nested models.

    Args:
        model: The outermost model.
        tensor: The tensor.
        calls: The calls of the nested models, the innermost first.
    """
    (inputs,) = model.inputs
    images = keras.Input(batch_shape=inputs.shape, dtype=inputs.dtype)
    # Only new models are called, so that none of the model's own layers
    # remembers the calls.
    xs: Any = [images]
    inputs, training = model.inputs, None
    for call in reversed(calls):
        arguments = call.arguments
        given = call_inputs(call.operation, arguments.args, arguments.kwargs)
        xs = keras.Model(inputs, given)(xs, training=training)
        inputs = call.operation.inputs
        training = arguments.kwargs.get("training")
    return keras.Model(
        images, keras.Model(inputs, tensor)(xs, training=training)
    )
