import math

import keras


def multiply_adds(model):
    """Multiply-adds of one image's forward pass, of what has kernels.

    Args:
        model: Functional `keras.Model` of known image size, whose kernels
            belong to `Conv2D` and `Dense` layers.
    """
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            places = math.prod(layer.output.shape[1:3])
            total += places * math.prod(layer.kernel.shape)
        elif isinstance(layer, keras.layers.Dense):
            total += math.prod(layer.kernel.shape)
    return total
