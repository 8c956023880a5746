"""Where the tensors of a graph come from."""

import keras
from keras import layers
from keras import tree


def node_of(tensor, calls):
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
        if isinstance(layer, keras.Model) and getattr(layer, "outputs", None):
            tensor, calls = layer.outputs[tensor_index], (node, *calls)
        elif isinstance(layer, layers.InputLayer) and calls:
            call, *calls = calls
            given = call.arguments.args, call.arguments.kwargs
            inputs = zip(
                call.operation.inputs,
                given_to(call.operation, *given),
                strict=True,
            )
            tensor = next(outer for inner, outer in inputs if inner is tensor)
        else:
            return node, tuple(calls)


def given_to(model, args, kwargs):
    """What a call of a model got, a flat list in the order of `model.inputs`.

    Args:
        model: A model with a graph.
        args, kwargs: The arguments of the call.
    """
    given = args[0] if args else kwargs["inputs"]
    if isinstance(given, dict) and not isinstance(model.input, dict):
        return [given[x.name] for x in model.inputs]
    return tree.flatten(given)
