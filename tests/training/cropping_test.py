"""The largest part of an image without a place."""

import itertools

import numpy as np
import pytest
from PIL import Image

from keras_facnn.training.cropping import clear_square
from keras_facnn.training.cropping import cropped

pytestmark = pytest.mark.only_on("torch")


def sides_of_clear_squares(mask):
    """Return all clear squares as `{(top, left): largest side}`."""
    found = {}
    for top, left in itertools.product(range(32), range(32)):
        for side in range(1, 33 - max(top, left)):
            if mask[top : top + side, left : left + side].any():
                break
            found[top, left] = side
    return found


@pytest.mark.parametrize("share", [0.002, 0.01])
def test_the_square_is_the_largest_one(rng, share):
    mask = (rng.random((32, 32)) < share).astype("float32")
    top, left, side = clear_square(mask)
    squares = sides_of_clear_squares(mask)
    assert squares[top, left] == side == max(squares.values())
    off = {
        (y, x): abs(y + side / 2 - 16) + abs(x + side / 2 - 16)
        for (y, x), most in squares.items()
        if most == side
    }
    assert off[top, left] == min(off.values())


def test_a_part_of_a_cell_counts():
    mask = np.zeros((320, 320))
    mask[105:, 105] = 0.1
    top, left, side = clear_square(mask)
    assert (left, side) == (11, 21)
    mask = np.zeros((4, 2))
    mask[:, 0] = 1
    assert clear_square(mask) == (8, 16, 16)


def test_too_small_a_square_is_none():
    mask = np.ones((32, 32))
    mask[4:12, 4:12] = 0
    assert clear_square(mask) == (4, 4, 8)
    mask[4, 4] = 1
    assert clear_square(mask) is None


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_crop_is_the_part_enlarged(rng, dtype):
    """As Pillow enlarges it, with the aspect of the image."""
    image = rng.integers(0, 256, (64, 96, 3)).astype("uint8")
    wrong = np.zeros((8, 8))
    wrong[:3] = 1
    wrong[3:, 0] = 1
    crop = cropped(image.astype(dtype), wrong)
    assert crop.shape == image.shape and crop.dtype == dtype
    top, left, side = clear_square(wrong)
    assert (top, side) == (12, 20)
    box = left * 3, top * 2, (left + side) * 3, (top + side) * 2
    part = Image.fromarray(image).crop(box)
    expected = part.resize((96, 64), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(crop, expected, atol=1)
