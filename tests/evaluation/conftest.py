import os

import numpy as np
import pytest
from PIL import Image

import keras_facnn


@pytest.fixture
def model():
    """A model whose logits are the mean red, green and blue, times 20 / 255."""
    model = keras_facnn.FACNN(3, (16, 16, 3), (1,), (1,))
    model.get_layer("conv_1").set_weights([np.zeros((3, 3, 3, 3))])
    model.head.set_weights([np.log(40.0)])
    model.preset_metadata = {"class_names": ["ant", "bee", "cat"]}
    return model


@pytest.fixture
def folder(rng, tmp_path):
    """Thirty pictures of two of the three classes, mostly red and green."""
    for i in range(30):
        light = rng.uniform(0.3, 0.8, 3)
        light[i % 2] += 0.15
        pixels = light * rng.uniform(0, 255, (16, 16, 3))
        kind = tmp_path / "photos" / ("ant", "bee")[i % 2]
        os.makedirs(kind, exist_ok=True)
        Image.fromarray(pixels.astype("uint8")).save(kind / f"{i}.png")
    return tmp_path / "photos"


@pytest.fixture
def arrays(folder, model):
    """The same pictures, their labels, the model's logits, and the paths."""
    images, labels, _, paths = keras_facnn.load_folder(folder, model)
    logits = model.predict(images, verbose=0).astype("float64")
    assert 5 < (logits.argmax(-1) != labels).sum() < 15
    return images, np.asarray(labels), logits, paths
