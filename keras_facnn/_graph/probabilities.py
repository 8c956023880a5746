"""What turns a model's outputs into probabilities, by its last layer."""

from collections.abc import Callable

import keras
import numpy as np
from keras import layers
from keras import ops

from keras_facnn._checks.models import look_like_probabilities
from keras_facnn._graph.nodes import producing_node
from keras_facnn.layers import GlobalAvgPool3DHead


def as_probabilities(logits, several_labels: bool) -> np.ndarray:
    """Probabilities of logits `(..., C)`, as NumPy.

    Args:
        logits: Array-like `(..., C)`.
        several_labels: Whether an image may have several labels, so that each
            class has a sigmoid of its own, or has one, by softmax.
    """
    function = ops.sigmoid if several_labels else ops.softmax
    return ops.convert_to_numpy(function(ops.convert_to_tensor(logits)))


def has_several_labels(model: keras.Model) -> bool:
    """Whether a classifier's images may have several labels each.

    So it is where its outputs are the logits of a head with a threshold, or
    are sigmoids already.
    """
    layer = _last_layer(model)
    return _has_threshold(layer) or _is(layer, keras.activations.sigmoid)


def ends_in_probabilities(model: keras.Model, outputs: np.ndarray) -> bool:
    """Whether a classifier's outputs `(B, C)` are probabilities already.

    So it is where its last layer has a sigmoid, or they sum to 1.
    """
    return _is(
        _last_layer(model), keras.activations.sigmoid
    ) or look_like_probabilities(outputs)


def probabilities_function(
    model: keras.Model, from_logits: bool | None = None
) -> Callable:
    """A function from a classifier's outputs `(B, C)` to probabilities.

    Args:
        model: What `classifier_shapes` takes.
        from_logits: Whether the outputs are logits. None looks at the first
            ones that the function gets.
    """
    several = _has_threshold(_last_layer(model))

    def probabilities(outputs):
        nonlocal from_logits
        if from_logits is None:
            from_logits = not ends_in_probabilities(model, outputs)
        return as_probabilities(outputs, several) if from_logits else outputs

    return probabilities


def _last_layer(model):
    """The layer that makes a model's outputs, seen through nested models."""
    (tensor,), calls = model.outputs, ()
    while True:
        node, calls = producing_node(tensor, calls)
        layer = node.operation
        # As those who compute in half precision end their models.
        if not (
            type(layer) is layers.Activation
            and _is(layer, keras.activations.linear)
        ):
            return layer
        (tensor,) = node.input_tensors


def _has_threshold(layer):
    return isinstance(layer, GlobalAvgPool3DHead) and layer.threshold


def _is(layer, activation):
    return getattr(layer, "activation", None) is activation
