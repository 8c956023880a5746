"""How often the methods run and compile a model."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_facnn import attribution

# Options, and how often one image passes the layers up to "c", and the rest.
METHODS = {
    "saliency": ({}, 1, 1),
    "smooth_grad": ({"samples": 5}, 5, 5),
    "var_grad": ({"samples": 5}, 5, 5),
    "integrated_gradients": ({"steps": 5}, 5, 5),
    "expected_gradients": (
        {"background": np.zeros((2, 8, 8, 2)), "samples": 5},
        5,
        5,
    ),
    "score_cam": ({"layer": "c"}, 4 + 1, 4),
    "ablation_cam": ({"layer": "c"}, 1, 4 + 1),
}
# One run serves all classes.
WITHOUT_GRADIENTS = ("score_cam", "ablation_cam")


# By the counter's name. A layer's own attributes are part of its model, whose
# changes would compile it again.
BATCHES = {"before": [], "after": []}


class Counter(layers.Layer):
    """Notes the batch of each call, or of each compilation."""

    def call(self, x):
        BATCHES[self.name].append(x.shape[0])
        return x


@pytest.fixture
def counted():
    """A classifier of 3 classes with 4 feature maps, and its batches."""
    inputs = x = keras.Input((8, 8, 2))
    x = Counter(name="before")(x)
    x = layers.Conv2D(4, 3, activation="relu", name="c")(x)
    x = Counter(name="after")(x)
    y = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, y)
    for batches in BATCHES.values():
        batches.clear()
    return model, *BATCHES.values()


@pytest.mark.only_on("torch")
@pytest.mark.parametrize("name", METHODS)
def test_passes_are_those_of_the_docstring(counted, rng, name):
    model, before, after = counted
    options, *passes = METHODS[name]
    images = rng.normal(size=(3, 8, 8, 2))
    method = getattr(attribution, name)
    # At first, the model's graph is read by calls of its layers.
    method(model, images, **options)
    before.clear()
    after.clear()
    method(model, images, 1, batch_size=4, **options)
    # Each batch is a forward pass, and a backward pass if there are any.
    assert [sum(before), sum(after)] == [n * len(images) for n in passes]
    assert max(*before, *after) <= 4
    before.clear()
    method(model, images, "all", **options)
    runs = 1 if name in WITHOUT_GRADIENTS else 3
    assert sum(before) == runs * passes[0] * len(images)
    if name not in ("saliency", "ablation_cam"):
        before.clear()
        method(model, images, **options)
        assert sum(before) == (passes[0] + 1) * len(images)


@pytest.mark.only_on("jax", "tensorflow")
@pytest.mark.parametrize("name", METHODS)
def test_a_model_is_compiled_once(counted, rng, name):
    model, *counters = counted
    options, *_ = METHODS[name]
    images = rng.normal(size=(5, 8, 8, 2))
    method = getattr(attribution, name)
    method(model, images, 1, batch_size=2, **options)
    compiled = [len(batches) for batches in counters]
    assert all(compiled)
    for some, classes in ((images, 2), (images, "all"), (images[:4], [1] * 4)):
        method(model, some, classes, batch_size=2, **options)
    assert [len(batches) for batches in counters] == compiled
