import keras
import pytest

from keras_facnn.metrics import _altered_images


@pytest.fixture
def altered(monkeypatch):
    """A list that collects the images that a metric alters, in their order."""
    seen = []
    original = _altered_images._in_batches

    def noted(images):
        for image in images:
            seen.append(image)
            yield image

    monkeypatch.setattr(
        _altered_images,
        "_in_batches",
        lambda function, images, *args: original(
            function, noted(images), *args
        ),
    )
    return seen


@pytest.fixture
def curved(rng):
    """A model of 4 classes whose scores are no sums over pixels."""
    inputs = keras.Input((8, 10, 1))
    x = keras.layers.Conv2D(6, 3, activation="relu")(inputs)
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, keras.layers.Dense(4)(x))


@pytest.fixture
def pictures(rng):
    return rng.uniform(0.1, 1, (5, 8, 10, 1)).astype("float32")
