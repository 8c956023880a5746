"""Copy a model's graph, and record every call of a layer in it."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras

from keras_facnn._graph.nodes import check_graph_model

# A call of a layer: the layer, its arguments (args, kwargs), and its outputs.
Call = tuple[keras.Layer, tuple[tuple, dict[str, Any]], Any]


class GraphCopy:
    """A copy of a model's graph that shares all layers and weights with it.

    In Keras, `layer.output` belongs to the layer's first call, which may be in
    another graph. The copy records the calls of its own graph.

    Args:
        model: A functional model.
        extra: Keras tensors, further inputs, which `change` may use.
        change: Function of a layer and its outputs. It returns what the next
            layers receive instead of the outputs. None changes nothing.

    Attributes:
        inputs: List of Keras tensors.
        outputs: List of Keras tensors.
        calls: Dict from a layer's name to its calls in this graph, triples of
            the layer, its arguments and its outputs.
    """

    def __init__(
        self,
        model: keras.Model,
        extra: Sequence[keras.KerasTensor] = (),
        change: Callable[[keras.Layer, Any], Any] | None = None,
    ) -> None:
        check_graph_model(model)
        self.calls: dict[str, list[Call]] = {}

        def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
            # Explanations are computed in inference mode. Keras stores the
            # arguments of each call in the graph, including defaults, and
            # `keras.Function` uses them again. The default of augmentation
            # layers is `training=True`.
            if isinstance(operation, keras.Layer):
                kwargs["training"] = False
            outputs = operation(*args, **kwargs)
            if isinstance(operation, keras.Layer):
                self.calls.setdefault(operation.name, []).append(
                    (operation, (args, kwargs), outputs)
                )
                if change is not None:
                    outputs = change(operation, outputs)
            return outputs

        inputs = [
            keras.Input(batch_shape=x.shape, dtype=x.dtype)
            for x in model.inputs
        ]
        clone = keras.models.clone_model(
            keras.Model([*model.inputs, *extra], list(model.outputs)),
            input_tensors=[*inputs, *extra],
            clone_function=lambda layer: layer,
            call_function=call,
        )
        self.inputs, self.outputs = inputs, list(clone.outputs)
