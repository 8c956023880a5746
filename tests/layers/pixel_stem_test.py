import numpy as np
import pytest
from keras import ops

from keras_facnn.layers import PixelStem
from tests.layers.layer_checks import run_layer_checks


def test_behaves_as_a_layer():
    run_layer_checks(
        lambda **kwargs: PixelStem(
            num_classes=5,
            maps_per_class=3,
            space_to_depth=2,
            scale=0.5,
            **kwargs,
        ),
        (2, 4, 6, 3),
        (2, 2, 3, 15),
    )


@pytest.mark.parametrize("block", [1, 2, 4])
def test_every_channel_copies_one_pixel_of_its_block(rng, block):
    image = rng.integers(0, 256, (2, 8, 8, 3)).astype("float32")
    stem = PixelStem(7, 5, space_to_depth=block)
    out = ops.convert_to_numpy(stem(image))
    # The definition, as loops over pixels.
    for i in range(8 // block):
        for j in range(8 // block):
            cell = image[:, i * block : (i + 1) * block]
            cell = cell[:, :, j * block : (j + 1) * block]
            cell = cell.reshape(2, -1)
            for k in range(35):
                np.testing.assert_array_equal(
                    out[:, i, j, k], cell[:, k % cell.shape[1]]
                )


def test_has_no_weights():
    stem = PixelStem(3, 2)
    stem.build((None, 8, 8, 3))
    assert stem.weights == []


def test_refuses_sizes_that_do_not_divide():
    with pytest.raises(ValueError, match="height must be a multiple of"):
        PixelStem(3, 2, space_to_depth=2)(np.zeros((1, 5, 4, 3), "float32"))


def test_refuses_what_is_no_image():
    with pytest.raises(ValueError, match=r"\(batch, height, width"):
        PixelStem(3, 2)(np.zeros((5, 4), "float32"))


@pytest.mark.parametrize(
    "name, value",
    [
        ("num_classes", 0),
        ("maps_per_class", 1.5),
        ("space_to_depth", "2"),
        ("scale", -1),
    ],
)
def test_refuses_bad_arguments(name, value):
    arguments = {"num_classes": 2, "maps_per_class": 2, name: value}
    with pytest.raises(ValueError, match=f"`{name}` must be .*Received"):
        PixelStem(**arguments)
