import keras
import numpy as np
import pytest


class LinearClassifier(keras.layers.Layer):
    """Logits that are linear in the pixels."""

    def __init__(self, weights):
        super().__init__()
        self.pixel_weights = np.asarray(weights, "float32")

    def call(self, x):
        flat = keras.ops.reshape(x, (-1, self.pixel_weights[..., 0].size))
        kernel = self.pixel_weights.reshape(flat.shape[-1], -1)
        return keras.ops.matmul(flat, kernel)


@pytest.fixture
def linear(rng):
    """A linear classifier of 9x7 images into 3 classes, and its weights."""
    weights = rng.normal(size=(9, 7, 2, 3)) / 10
    inputs = keras.Input((9, 7, 2))
    return keras.Model(inputs, LinearClassifier(weights)(inputs)), weights
