"""Find the layer that makes a tensor of a graph, and check graph models."""

import functools
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import TypeAlias
from typing import TypeGuard
from typing import TypeVar

import keras
from keras import layers
from keras import tree

_COMPUTES_GRAPH = "_keras_facnn_computes_graph"
# What `producing_node` returns: a node, and the nested models that it is in.
Step: TypeAlias = tuple[Any, tuple[Any, ...]]
# From each step to the steps that compute its inputs, in the order of
# computation.
Steps: TypeAlias = dict[Step, list[Step]]
_Function = TypeVar("_Function", bound=Callable[..., Any])


def computes_graph(call: _Function) -> _Function:
    """Mark a model's own `call` as one that computes the model's graph."""
    setattr(call, _COMPUTES_GRAPH, True)
    return call


def is_graph_model(operation: Any) -> TypeGuard[keras.Model]:
    """Return whether an operation is a model that computes its graph.

    A subclass of a functional model may have its own `call`, which Keras runs
    instead of the graph.
    """
    if not isinstance(operation, keras.Model):
        return False
    if not getattr(operation, "inputs", None):
        return False
    if type(operation).__call__ is not keras.Layer.__call__:
        return False
    call = getattr(operation.call, "__func__", operation.call)
    return call in _calls_of_keras() or hasattr(call, _COMPUTES_GRAPH)


def check_graph_model(model: Any, name: str = "model") -> None:
    """Raise if a functional model's own `call` runs instead of its graph.

    Args:
        model: Any `keras.Model` with a graph.
        name: The name of the argument, for messages.
    """
    if not is_graph_model(model):
        raise ValueError(
            f"`{name}` must not have its own `call`, because this function "
            "finds the model's layers in its graph, and Keras runs `call` "
            "instead of the graph. Build a functional model that includes what "
            "`call` adds, with `keras.Model(model.input, ...)`. Or use a "
            "function that needs no graph, such as `attribution.saliency` or "
            f"`attribution.rise`. Received: {model.name!r} of the class "
            f"{type(model).__name__}, which has its own `call`"
        )


@functools.cache
def _calls_of_keras() -> tuple[Callable[..., Any], ...]:
    x = keras.Input((1,), name="x")
    return type(keras.Model(x, x)).call, keras.Sequential.call


def producing_node(tensor: Any, calls: Sequence[Any]) -> Step:
    """Return the node that makes a tensor of a graph, also in nested models.

    Args:
        tensor: Symbolic tensor.
        calls: Nodes of the nested models that the tensor is in, the innermost
            first.

    Returns:
        The node of the layer that makes the tensor, and the nodes of the nested
        models that this layer is in, the innermost first.
    """
    while True:
        layer, node_index, tensor_index = tensor._keras_history
        node = layer._inbound_nodes[node_index]
        if is_graph_model(layer):
            tensor, calls = layer.outputs[tensor_index], (node, *calls)
        elif isinstance(layer, layers.InputLayer) and calls:
            call, *calls = calls
            arguments = call.arguments.args, call.arguments.kwargs
            inputs = zip(
                call.operation.inputs,
                call_inputs(call.operation, *arguments),
                strict=True,
            )
            tensor = next(outer for inner, outer in inputs if inner is tensor)
        else:
            return node, tuple(calls)


def last_operation(tensor: Any) -> tuple[Any, list[Any]]:
    """Return the operation that makes a tensor of a graph, and its inputs.

    Unlike by `producing_node`, a nested model counts as one operation.
    """
    operation, node_index, _ = tensor._keras_history
    return operation, operation._inbound_nodes[node_index].input_tensors


def call_inputs(
    model: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> list[Any]:
    """Return the inputs of a call of a model, in the order of `model.inputs`.

    Args:
        model: A model with a graph.
        args, kwargs: The arguments of the call.
    """
    inputs = args[0] if args else kwargs["inputs"]
    if isinstance(inputs, dict) and not isinstance(model.input, dict):
        return [inputs[x.name] for x in model.inputs]
    return tree.flatten(inputs)


def graph_steps(tensors: Sequence[keras.KerasTensor]) -> Steps:
    """Return the graph of tensors, as if nested models were not nested."""
    steps: Steps = {}
    to_do = [producing_node(tensor, ()) for tensor in tensors]
    while to_do:
        node, calls = to_do[-1]
        before = [producing_node(x, calls) for x in node.input_tensors]
        missing = [step for step in before if step not in steps]
        if not missing:
            steps.setdefault(to_do.pop(), before)
        to_do += missing
    return steps
