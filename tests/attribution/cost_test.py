"""How often the methods run and compile a model."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_facnn import attribution

METHODS = {
    "saliency": ({}, 1),
    "smooth_grad": ({"samples": 5}, 5),
    "var_grad": ({"samples": 5}, 5),
    "integrated_gradients": ({"steps": 5}, 5),
    "expected_gradients": (
        {"background": np.zeros((2, 8, 8, 2)), "samples": 5},
        5,
    ),
}


class Counter(layers.Layer):
    """Notes the batch of each call, or of each compilation."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def call(self, x):
        self.batches.append(x.shape[0])
        return x


@pytest.fixture
def counted():
    """A classifier of 3 classes with 4 feature maps, and its counter."""
    inputs = keras.Input((8, 8, 2))
    counter = Counter()
    x = layers.Conv2D(4, 3, activation="relu", name="c")(counter(inputs))
    y = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, y)
    counter.batches.clear()
    return model, counter.batches


@pytest.mark.only_on("torch")
@pytest.mark.parametrize("name", METHODS)
def test_passes_are_those_of_the_docstring(counted, rng, name):
    model, batches = counted
    options, passes = METHODS[name]
    images = rng.normal(size=(3, 8, 8, 2))
    getattr(attribution, name)(model, images, 1, batch_size=4, **options)
    # Each batch is a forward and a backward pass.
    assert sum(batches) == passes * len(images)
    assert max(batches) <= 4
    batches.clear()
    getattr(attribution, name)(model, images, "all", **options)
    assert sum(batches) == 3 * passes * len(images)


@pytest.mark.only_on("jax", "tensorflow")
@pytest.mark.parametrize("name", METHODS)
def test_a_model_is_compiled_once(counted, rng, name):
    model, batches = counted
    options, _ = METHODS[name]
    images = rng.normal(size=(5, 8, 8, 2))
    method = getattr(attribution, name)
    method(model, images, 1, batch_size=2, **options)
    compiled = len(batches)
    assert compiled
    for some, classes in ((images, 2), (images, "all"), (images[:4], [1] * 4)):
        method(model, some, classes, batch_size=2, **options)
    assert len(batches) == compiled
