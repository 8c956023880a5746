"""Where the tensors of a graph come from."""

import keras
from keras import layers


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
            inputs = zip(call.operation.inputs, call.input_tensors, strict=True)
            tensor = next(outer for inner, outer in inputs if inner is tensor)
        else:
            return node, tuple(calls)
