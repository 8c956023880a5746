"""FA layers whose branches see only the maps of their own class."""

import warnings

import keras
import numpy as np
import pytest

from keras_facnn import FACNN
from tests import numpy_reference
from tests.promises import check_copies
from tests.promises import check_exactness
from tests.promises import with_other_weights


@pytest.fixture
def model(rng):
    """Two of four FA layers are class-wise; statistics are not trivial."""
    model = FACNN(3, (16, 16, 3), (2, 2), (2, 4), classwise_layers=2)
    return with_other_weights(model, rng)


def predict(model, images):
    return model.predict(images, verbose=0)


def test_computes_the_equations(model, images):
    np.testing.assert_allclose(
        predict(model, images),
        numpy_reference.logits(model, images),
        rtol=1e-4,
    )


def test_logits_depend_on_the_maps_of_their_class_alone(model, images, rng):
    """From the layer before the class-wise ones on, and not before."""

    def changes(layer):
        maps = model.get_layer(f"fa_{layer}").output
        tail = keras.Model(maps, model.output)
        before = predict(keras.Model(model.input, maps), images)
        after = rng.uniform(0, 1, before.shape).astype("float32")
        own = before.shape[-1] // 3
        after[..., own : 2 * own] = before[..., own : 2 * own]
        return np.abs(predict(tail, after) - predict(tail, before)).max(0)

    for layer in (2, 3):
        of = changes(layer)
        assert of[1] < 1e-6
        assert of[[0, 2]].min() > 1e-3
    assert changes(1)[1] > 1e-3


def test_keeps_its_promises(model, images):
    check_exactness(model, images)


def test_fuses_saves_and_loads(model, images, tmp_path):
    assert model.classwise_layers == 2
    check_copies(model, images, tmp_path, "classwise_layers")


def test_transfers_to_other_classes(model, images, tmp_path):
    model.save_to_preset(tmp_path / "preset")
    with pytest.warns(UserWarning, match="does not divide"):
        other = FACNN.from_preset(tmp_path / "preset", num_classes=4)
    assert predict(other, images).shape == (5, 4)


def test_learns(rng):
    """Where the bright square is: the maps of a class must find it alone."""
    images = np.zeros((64, 8, 8, 3), "float32")
    labels = np.arange(64) % 2
    images[labels == 0, :, :4] = 255
    images[labels == 1, :, :, :4] = 255
    model = FACNN(2, (8, 8, 3), (2, 2), (2, 2), classwise_layers=2)
    model.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    history = model.fit(images, labels, 16, epochs=8, verbose=0).history
    assert history["accuracy"][-1] == 1.0


def test_transfer_keeps_what_classes_saw_that_become_one(tmp_path, images):
    """4 classes become 2, each with the maps of two; nothing is lost."""
    theirs = FACNN(4, (16, 16, 3), (2, 2), (2, 4), classwise_layers=2)
    theirs.save_to_preset(tmp_path / "theirs")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        mine = FACNN.from_preset(tmp_path / "theirs", num_classes=2)
    assert mine.classwise_layers == 2
    old, new = (predict(model, images) for model in (theirs, mine))
    np.testing.assert_allclose(
        new, old.reshape(-1, 2, 2).mean(-1), rtol=1e-4, atol=1e-6
    )
    with pytest.warns(UserWarning, match="splits classes of its class-wise"):
        FACNN.from_preset(tmp_path / "theirs", num_classes=8)
