"""Random parts of pictures."""

import numpy as np
import pytest
from PIL import Image

from keras_facnn.pictures import read_picture
from keras_facnn.pictures.random_crop import read_random_crop

pytestmark = pytest.mark.only_on("torch")
SHAPE = (16, 16, 3)


@pytest.fixture
def path(tmp_path):
    """A picture whose red grows to the right, and whose green grows down."""
    ramp = np.linspace(60, 180, 80)
    pixels = np.full((60, 80, 3), 100.0)
    pixels[..., 0] = ramp
    pixels[..., 1] = ramp[10:70, None]
    Image.fromarray(pixels.astype("uint8")).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def crops(path, **options):
    rng = np.random.default_rng(0)
    return np.stack(
        [read_random_crop(path, SHAPE, rng, **options) for _ in range(40)]
    ).astype(int)


def test_shows_parts_of_what_the_model_sees(path):
    found = crops(path)
    assert found.shape == (40, *SHAPE)
    np.testing.assert_array_equal(found, crops(path))
    red = found[:, 8, :, 0]
    mirrored = red[:, 0] > red[:, -1]
    assert 10 < mirrored.sum() < 30
    green = found[:, :, 8, 1]
    assert (green[:, 0] < green[:, -1]).all()
    # Brightness and contrast differ, and so does the share that is seen.
    assert found.mean(axis=(1, 2, 3)).std() > 5


def test_shows_all_of_it_if_nothing_may_be_cut_off(path):
    whole = read_picture(path, SHAPE).astype(int)
    found = crops(path, smallest=1.0)
    for image in found:
        near = [
            np.corrcoef(image[..., :2].ravel(), other[..., :2].ravel())[0, 1]
            for other in (whole, whole[:, ::-1])
        ]
        assert max(near) > 0.98


def test_reads_gray(path):
    rng = np.random.default_rng(0)
    assert read_random_crop(path, (16, 16, 1), rng).shape == (16, 16, 1)
