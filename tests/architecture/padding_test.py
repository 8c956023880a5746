"""What the branches see beyond the border of the maps."""

import numpy as np
import pytest

from keras_facnn import FACNN
from tests import numpy_reference
from tests.promises import check_copies
from tests.promises import check_exactness
from tests.promises import check_exported
from tests.promises import predict
from tests.promises import with_other_weights

SHAPE = {
    "num_classes": 3,
    "image_shape": (16, 16, 3),
    "depths": (2, 2),
    "maps_per_class": (2, 4),
    "classwise_layers": 1,
}


def with_padding(padding, rng):
    """A model whose statistics are not trivial."""
    model = FACNN(**SHAPE, padding=padding)
    return with_other_weights(model, rng)


@pytest.fixture
def model(rng):
    return with_padding("edge", rng)


def test_computes_the_equations(model, images):
    expected = numpy_reference.logits(model, images)
    np.testing.assert_allclose(predict(model, images), expected, rtol=1e-4)
    # Of the same weights, zeros give another answer.
    twin = FACNN(**SHAPE)
    twin.set_weights(model.get_weights())
    assert twin.padding == "zeros"
    assert np.abs(predict(twin, images) - expected).max() > 1e-2


def test_maps_of_a_flat_picture_are_flat(model, rng):
    """Zeros draw a frame into them, which is not in the picture."""
    images = np.full((1, 16, 16, 3), 128, "uint8")
    for layer in (1, 2, 3, 4):
        maps = model.class_maps(images, "all", layer=layer)
        assert np.ptp(maps, axis=(1, 2)).max() <= 1e-5 * maps.max()
        framed = with_padding("zeros", rng).class_maps(images, layer=layer)
        assert np.ptp(framed) > 1e-2 * framed.max()


def test_keeps_its_promises(model, images):
    check_exactness(model, images)


def test_fuses_saves_and_loads(model, images, tmp_path):
    assert model.padding == "edge"
    check_copies(model, images, tmp_path, "padding")


@pytest.mark.only_on("torch", "tensorflow")
def test_exported_files_answer_as_the_model(model, images, tmp_path):
    check_exported(model, images, tmp_path)
