"""What a forward pass takes: multiply-adds, and numbers in memory."""

import math

import keras


def multiply_adds(model: keras.Model) -> int:
    """Return the multiply-adds of one image's forward pass in all kernels.

    Args:
        model: Functional `keras.Model` of known image size, whose kernels
            belong to `Conv2D`, `DepthwiseConv2D` and `Dense` layers, of its
            own or of models inside it.
    """
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            total += multiply_adds(layer)
        elif isinstance(
            layer, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
        ):
            locations = math.prod(layer.output.shape[1:3])
            total += locations * math.prod(layer.kernel.shape)
        elif isinstance(layer, keras.layers.Dense):
            total += math.prod(layer.kernel.shape)
    return total


def activations(model: keras.Model) -> int:
    """Return how many numbers all layers put out for one image."""
    return sum(math.prod(layer.output.shape[1:]) for layer in model.layers)
