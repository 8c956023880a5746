"""The linear head of a trained classifier, and the maps that it averages."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers
from keras import ops

from keras_facnn._graph.nodes import call_inputs
from keras_facnn._graph.nodes import check_graph_model
from keras_facnn._graph.nodes import producing_node
from keras_facnn.layers import GlobalAvgPool3DHead

# Do not use `isinstance` with these, because a subclass may compute anything.
# Layers that only reshape, or that do nothing in inference mode.
_NEUTRAL = (
    layers.ActivityRegularization,
    layers.AlphaDropout,
    layers.Dropout,
    layers.Flatten,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.Identity,
    layers.SpatialDropout2D,
)
_ACTIVATIONS = {
    keras.activations.linear: "linear",
    keras.activations.softmax: "softmax",
    keras.activations.sigmoid: "sigmoid",
}


@dataclasses.dataclass(frozen=True)
class TrainedHead:
    """The end of a classifier, linear from its last maps to its logits.

    Attributes:
        features: Model from images to the last maps, `(B, h, w, K)`.
        layer: The layer that computes the logits from the mean of these maps
            over the image: a `Dense`, a 1x1 `Conv2D`, or a
            `GlobalAvgPool3DHead`.
        activation: What follows the logits: `"linear"` (nothing), `"softmax"`
            or `"sigmoid"`.
    """

    features: keras.Model
    layer: Any
    activation: str

    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """Return kernel `(K, C)` and bias `(C,)`, as they are now."""
        layer = self.layer
        if isinstance(layer, GlobalAvgPool3DHead):
            owned = np.eye(layer.num_classes)
            owned = owned.repeat(layer.maps_per_class, axis=0)
            scale = float(ops.convert_to_numpy(layer.scale))
            kernel = scale / layer.maps_per_class * owned
            bias = np.zeros(layer.num_classes)
        else:
            kernel = _float32(layer.kernel)
            kernel = kernel.reshape((-1, kernel.shape[-1]))
            bias = (
                _float32(layer.bias)
                if layer.use_bias
                else np.zeros(kernel.shape[-1])
            )
        return np.asarray(kernel, "float32"), np.asarray(bias, "float32")


def read_trained_head(model: keras.Model, name: str = "model") -> TrainedHead:
    """Return the head of a classifier, or raise if its end is not linear.

    Args:
        model: A functional classifier with one input and one output.
        name: The name of the argument, for messages.
    """
    check_graph_model(model, name)
    (tensor,) = model.outputs
    calls: tuple[Any, ...] = ()
    last: Any = None
    activation = "linear"
    ending: list[str] = []
    while True:
        node, calls = producing_node(tensor, calls)
        layer = node.operation
        kind = type(layer)
        ending.insert(0, f"{kind.__name__} {layer.name!r}")
        if last is None and kind is GlobalAvgPool3DHead:
            last = layer
            break
        if last is not None and kind is layers.GlobalAveragePooling2D:
            break
        after = _activation(node)
        if last is None and activation == "linear" and after is not None:
            activation = after
            if _is_linear_map(layer):
                last = layer
        elif last is None and after == "linear" and _is_linear_map(layer):
            last = layer
        elif not _is_neutral(node):
            advice = _advice(layer, is_hidden=last is not None)
            raise _not_linear(model, name, ending, advice)
        (tensor,) = node.input_tensors
    (maps,) = node.input_tensors
    if getattr(layer, "data_format", None) == "channels_first":
        maps = ops.moveaxis(maps, 1, -1)
    return TrainedHead(_submodel(model, maps, calls), last, activation)


def _not_linear(
    model: keras.Model, name: str, ending: Sequence[str], advice: str
) -> ValueError:
    return ValueError(
        f"`{name}` must be a functional Keras model that ends in "
        "GlobalAveragePooling2D and one unquantized Dense (or 1x1 Conv2D). "
        "Dropout or Flatten may be between them, and a softmax or sigmoid may "
        f"follow. {advice}. For other models, use `attribution.grad_cam`; or "
        "train a GlobalAveragePooling2D and a Dense on the last maps; or build "
        "a hybrid on them, `FACNN(num_classes, backbone=...)`, and train it. "
        f"Received: {name}={model}, which ends in {' -> '.join(ending)}"
    )


def _advice(layer: Any, is_hidden: bool) -> str:
    """Return why a layer can't be at the end of a classifier.

    Args:
        layer: The layer.
        is_hidden: Whether the layer that computes the logits comes after it.
    """
    kind = type(layer).__name__
    if not is_hidden and getattr(layer, "quantization_mode", None) is not None:
        return f"A quantized {kind} also rounds its inputs"
    activation = getattr(layer, "activation", None)
    if not is_hidden and activation not in (None, keras.activations.linear):
        name = getattr(activation, "__name__", activation)
        return (
            f"The activation {name} of {layer.name!r} is no softmax or "
            "sigmoid, or another one follows"
        )
    return {
        "Flatten": "A Flatten of maps gives each location weights of its own",
        "GlobalMaxPooling2D": "A maximum is not a mean of maps",
        "MaxPooling2D": "A maximum is not a mean of maps",
        "Dense": "A hidden Dense is not linear in the maps",
        "LayerNormalization": "A norm after the average depends on the image",
        "Softmax": "A Softmax must be the last activation, over the last axis",
    }.get(kind, f"{kind} is neither")


def _activation(node: Any) -> str | None:
    """Return what a layer applies to logits at its end, or None."""
    layer = node.operation
    if type(layer) is layers.Softmax:
        last = len(node.input_tensors[0].shape) - 1
        return "softmax" if layer.axis in (-1, last) else None
    if type(layer) is layers.Activation or _is_linear_map(layer):
        return _ACTIVATIONS.get(layer.activation)
    return None


def _is_linear_map(layer: Any) -> bool:
    """Return whether a layer is linear, apart from its activation."""
    # A quantized layer also rounds its inputs.
    if type(layer) is layers.Dense:
        return layer.quantization_mode is None
    return (
        type(layer) is layers.Conv2D
        and layer.kernel_size == (1, 1)
        and layer.strides == (1, 1)
        and layer.groups == 1
        and layer.quantization_mode is None
    )


def _is_neutral(node: Any) -> bool:
    """Return whether a layer passes on its inputs, maybe reshaped."""
    layer = node.operation
    if type(layer) is layers.Activation:
        return layer.activation is keras.activations.linear
    if type(layer) is layers.Reshape:
        # Between the average and the output, maps are (B, 1, 1, K).
        return all(n == 1 for n in node.input_tensors[0].shape[1:-1])
    return type(layer) in _NEUTRAL


def _float32(variable: Any) -> np.ndarray:
    # NumPy has no bfloat16.
    return ops.convert_to_numpy(ops.cast(variable, "float32"))


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
