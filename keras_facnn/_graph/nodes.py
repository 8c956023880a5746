"""Where the tensors of a graph come from, and what computes its graph."""

import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import layers
from keras import tree

_OF_GRAPH = "_keras_facnn_of_graph"


def computes_graph(call: Callable) -> Callable:
    """Marks a model's `call` that computes what the model's graph says."""
    setattr(call, _OF_GRAPH, True)
    return call


def is_graph_model(operation: Any) -> bool:
    """Whether an operation is a model that computes what its graph says.

    A subclass of a functional model may have a `call` of its own, which Keras
    runs in place of the graph.
    """
    if not isinstance(operation, keras.Model):
        return False
    if not getattr(operation, "inputs", None):
        return False
    if type(operation).__call__ is not keras.Layer.__call__:
        return False
    call = getattr(operation.call, "__func__", operation.call)
    return call in _calls_of_keras() or hasattr(call, _OF_GRAPH)


def check_graph_model(model: Any, name: str = "model") -> None:
    """Raises where a functional model's own `call` runs in place of its graph.

    Args:
        model: Any `keras.Model` with a graph.
        name: What the caller calls it.
    """
    if not is_graph_model(model):
        raise ValueError(
            f"`{name}` must compute what its graph says, since its layers are "
            "read off the graph. Make what its `call` adds a part of the "
            "graph, by `keras.Model(model.input, ...)`; or use what only calls "
            "a model, such as `attribution.saliency` or `attribution.rise`. "
            f"Received: {model.name!r} of the class {type(model).__name__}, "
            "whose own `call` runs in place of the graph"
        )


@functools.cache
def _calls_of_keras():
    x = keras.Input((1,), name="x")
    return type(keras.Model(x, x)).call, keras.Sequential.call


def producing_node(tensor, calls):
    """Where a tensor of a graph comes from, seen through nested models.

    Args:
        tensor: Symbolic tensor.
        calls: Nodes of the nested models that the tensor is in, the innermost
            first.

    Returns:
        The node of the layer that makes the tensor, and the calls it is in.
    """
    while True:
        layer, node_index, tensor_index = tensor._keras_history
        node = layer._inbound_nodes[node_index]
        if is_graph_model(layer):
            tensor, calls = layer.outputs[tensor_index], (node, *calls)
        elif isinstance(layer, layers.InputLayer) and calls:
            call, *calls = calls
            given = call.arguments.args, call.arguments.kwargs
            inputs = zip(
                call.operation.inputs,
                call_inputs(call.operation, *given),
                strict=True,
            )
            tensor = next(outer for inner, outer in inputs if inner is tensor)
        else:
            return node, tuple(calls)


def call_inputs(model, args, kwargs):
    """What a call of a model got, a flat list in the order of `model.inputs`.

    Args:
        model: A model with a graph.
        args, kwargs: The arguments of the call.
    """
    given = args[0] if args else kwargs["inputs"]
    if isinstance(given, dict) and not isinstance(model.input, dict):
        return [given[x.name] for x in model.inputs]
    return tree.flatten(given)
