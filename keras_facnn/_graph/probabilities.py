"""Convert a model's outputs to probabilities, depending on its last layer."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers
from keras import ops

from keras_facnn._checks.models import look_like_probabilities
from keras_facnn._graph.nodes import producing_node
from keras_facnn.layers import GlobalAvgPool3DHead


def as_probabilities(logits: Any, several_labels: bool) -> np.ndarray:
    """Return the probabilities of logits, as a NumPy array.

    Args:
        logits: Array-like `(..., C)`.
        several_labels: Whether an image may have several labels. Then each
            class has its own sigmoid; otherwise all share a softmax.
    """
    function = ops.sigmoid if several_labels else ops.softmax
    return ops.convert_to_numpy(function(ops.convert_to_tensor(logits)))


def has_several_labels(model: keras.Model) -> bool:
    """Return whether a classifier's images may have several labels each.

    This holds if its outputs are the logits of a head with a threshold, or
    already come from a sigmoid.
    """
    layer = _last_layer(model)
    return _has_threshold(layer) or _is(layer, keras.activations.sigmoid)


def ends_in_probabilities(model: keras.Model, outputs: np.ndarray) -> bool:
    """Return whether a classifier's outputs `(B, C)` are probabilities.

    This holds if its last layer has a sigmoid, or if they sum to 1.
    """
    return _is(
        _last_layer(model), keras.activations.sigmoid
    ) or look_like_probabilities(outputs)


def probabilities_function(
    model: keras.Model, from_logits: bool | None = None
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from a classifier's outputs to probabilities `(B, C)`.

    Args:
        model: A model that `classifier_shapes` accepts.
        from_logits: Whether the outputs are logits. If None, the function
            decides by the first outputs that it receives.
    """
    several = _has_threshold(_last_layer(model))

    def probabilities(outputs: np.ndarray) -> np.ndarray:
        nonlocal from_logits
        if from_logits is None:
            from_logits = not ends_in_probabilities(model, outputs)
        return as_probabilities(outputs, several) if from_logits else outputs

    return probabilities


def _last_layer(model: keras.Model) -> Any:
    """Return the layer that makes a model's outputs, also in nested models."""
    calls: tuple[Any, ...] = ()
    (tensor,) = model.outputs
    while True:
        node, calls = producing_node(tensor, calls)
        layer = node.operation
        # Models that compute in half precision often end in a linear
        # activation.
        if not (
            type(layer) is layers.Activation
            and _is(layer, keras.activations.linear)
        ):
            return layer
        (tensor,) = node.input_tensors


def _has_threshold(layer: Any) -> bool:
    return isinstance(layer, GlobalAvgPool3DHead) and layer.threshold


def _is(layer: Any, activation: Callable[..., Any]) -> bool:
    return getattr(layer, "activation", None) is activation
