import os

import numpy as np
import pytest
from PIL import Image

import keras_facnn

NAMES = ["ant", "bee", "cat", "dog"]


@pytest.fixture
def model(small_model):
    small_model.preset_metadata = {"class_names": NAMES}
    return small_model


@pytest.fixture
def folder(rng, tmp_path):
    """Thirty pictures of three of the four classes."""
    for i in range(30):
        name = ("ant", "bee", "dog")[i % 3]
        os.makedirs(tmp_path / "photos" / name, exist_ok=True)
        pixels = rng.integers(0, 256, (16, 16, 3)).astype("uint8")
        pixels //= i % 5 + 1
        Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i}.png")
    return tmp_path / "photos"


@pytest.fixture
def arrays(folder, model):
    """The same pictures, their labels and the model's logits."""
    images, labels, _, paths = keras_facnn.load_folder(folder, model)
    logits = model.predict(images, verbose=0).astype("float64")
    assert 3 < (logits.argmax(-1) != labels).sum() < len(labels)
    return images, np.asarray(labels), logits, paths
