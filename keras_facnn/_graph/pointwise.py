"""Tell which operations compute each location of maps by itself."""

import math
from typing import Any

import keras
from keras import layers

_LAYERS = (
    layers.ActivityRegularization,
    layers.Add,
    layers.AlphaDropout,
    layers.Average,
    layers.Dense,
    layers.Dropout,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.Identity,
    layers.Maximum,
    layers.Minimum,
    layers.Multiply,
    layers.Rescaling,
    layers.SpatialDropout2D,
    layers.Subtract,
    layers.Activation,
    layers.ELU,
    layers.LeakyReLU,
    layers.ReLU,
)
# These do so if their axis is that of the channels.
_OF_CHANNELS = (
    layers.BatchNormalization,
    layers.Concatenate,
    layers.LayerNormalization,
    layers.Normalization,
    layers.RMSNormalization,
    layers.Softmax,
    layers.UnitNormalization,
)
# Layers and functions of Keras that the public API does not name.
_NAMES = {
    "keras.src.applications.": {
        "CustomScaleLayer",
        "LayerScale",
        "StochasticDepth",
    },
    "keras.src.ops.": {
        *("Absolute", "Add", "Cast", "Celu", "Clip", "Divide", "Elu", "Exp"),
        *("Gelu", "HardSigmoid", "HardSilu", "HardTanh", "LeakyRelu", "Log"),
        *("LogSigmoid", "Maximum", "Minimum", "Multiply", "Negative", "Power"),
        *("Relu", "Relu6", "Selu", "Sigmoid", "Silu", "Softplus", "Softsign"),
        *("Sqrt", "Square", "Subtract", "Tanh", "TrueDivide"),
    },
}


def is_pointwise(operation: Any, constants: list[Any]) -> bool:
    """Return whether an operation computes each location by itself.

    Args:
        operation: A layer or another operation of Keras.
        constants: Arguments of its call that are no symbolic tensors.
    """
    if any(math.prod(getattr(x, "shape", ())[:-1]) != 1 for x in constants):
        return False
    if isinstance(operation, layers.PReLU):
        return set(operation.shared_axes or ()) >= {1, 2}
    if isinstance(operation, _OF_CHANNELS):
        axis = operation.axis
        axes = list(axis) if isinstance(axis, (list, tuple)) else [axis]
        return set(axes) <= {-1, 3} or (
            # One mean and one variance for all channels.
            isinstance(operation, layers.Normalization) and axis is None
        )
    cls = type(operation)
    return isinstance(operation, _LAYERS) or any(
        cls.__module__.startswith(room) and cls.__name__ in names
        for room, names in _NAMES.items()
    )


def is_of_keras(operation: Any) -> bool:
    """Return whether an operation's class is one of Keras' own."""
    return type(operation).__module__.startswith("keras.") and not isinstance(
        operation, (layers.Lambda, keras.Model)
    )
