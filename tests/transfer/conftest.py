import os

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

import keras_facnn
from keras_facnn import FACNN

COUNTS = {"blue": 6, "green": 9, "red": 14}


def write_photo(path, color, rng):
    """Write a noisy picture, in which one color is brighter."""
    pixels = rng.integers(0, 150, (20, 24, 3))
    pixels[..., ["red", "green", "blue"].index(color)] += 100
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Image.fromarray(pixels.astype("uint8")).save(path)


@pytest.fixture
def folder(tmp_path, rng):
    """Pictures of three colors, of uneven numbers."""
    for color, count in COUNTS.items():
        for i in range(count):
            write_photo(tmp_path / "photos" / color / f"{i}.png", color, rng)
    return tmp_path / "photos"


@pytest.fixture
def base(tmp_path, rng):
    """A preset with a small random backbone: images of 16x16, maps of 4x4."""
    inputs = keras.Input((16, 16, 3))
    x = layers.Rescaling(1 / 127.5, -1)(inputs)
    x = layers.Conv2D(6, 3, strides=2, padding="same", name="fine")(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.ReLU()(x)
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="middle")(x)
    x = layers.ReLU()(x)
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="coarse")(x)
    backbone = keras.Model(inputs, layers.ReLU()(x))
    for weight in backbone.trainable_weights:
        weight.assign(rng.normal(0, 0.4, weight.shape))
    model = FACNN(
        5,
        depths=(0,),
        maps_per_class=(1,),
        projection="excess",
        backbone=backbone,
    )
    model.save_to_preset(tmp_path / "base", {"license": "CC0"})
    return tmp_path / "base"


@pytest.fixture
def features(rng):
    """Features of 60 photos in two versions, of three classes, and labels."""
    labels = np.repeat([0, 1, 2], [10, 20, 30])
    centers = rng.normal(0, 1, (3, 7))
    rows = centers[labels][:, None] + rng.normal(0, 1.5, (60, 2, 7)) + 3
    return rows.astype("float16"), labels


@pytest.fixture
def train(folder, base, tmp_path):
    """Train on the small base."""

    def train(output="mine", **options):
        options = {"base": base, "verbose": 0, **options}
        return keras_facnn.train(folder, tmp_path / output, **options)

    return train
