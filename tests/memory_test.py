"""Altered images are made as they are needed, one batch at a time."""

import tracemalloc

import keras
import numpy as np
import pytest

from keras_facnn.attribution import occlusion
from keras_facnn.attribution import rise
from keras_facnn.metrics import deletion
from keras_facnn.metrics import pixel_removal

BATCH = 16
IMAGES, SIDE = 20, 64
ALTERED_BYTES = SIDE * SIDE * 3 * 4


@pytest.fixture
def classifier():
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.AveragePooling2D(16)(inputs)
    outputs = keras.layers.Dense(3)(keras.layers.Flatten()(x))
    return keras.Model(inputs, outputs)


def perturb(name, model, images, maps, labels):
    """Make at least 100 altered images of each image."""
    options = {"batch_size": BATCH}
    steps = {"fractions": np.linspace(0, 1, 101)}
    if name == "rise":
        rise(model, images, labels, masks=100, **options)
    elif name == "occlusion":
        occlusion(model, images, labels, size=16, stride=4, **options)
    elif name == "deletion":
        deletion(model, images, labels, maps, **steps, **options)
    else:
        pixel_removal(
            model, images, labels, maps, baseline=name, **steps, **options
        )


@pytest.mark.parametrize("name", ["rise", "occlusion", "deletion", "mean"])
def test_holds_only_a_fraction_of_the_altered_images(rng, classifier, name):
    images = rng.uniform(0, 1, (IMAGES, SIDE, SIDE, 3)).astype("float32")
    maps = rng.uniform(0, 1, (IMAGES, 8, 8))
    labels = np.zeros(IMAGES, int)
    perturb(name, classifier, images, maps, labels)
    tracemalloc.start()
    try:
        perturb(name, classifier, images, maps, labels)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # PyTorch's functional calls keep some batches until garbage collection.
    assert peak < 0.2 * 100 * IMAGES * ALTERED_BYTES
