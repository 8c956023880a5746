"""The benchmark of the watch, on made-up columns."""

import numpy as np
import pytest

from zoo import stains

pytestmark = pytest.mark.only_on("torch")


def columns(count, moved=0.0):
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, count)
    maps = rng.normal(size=(count, 8, 8))
    maps[:, :2, :2] += moved
    return {
        "class": classes,
        "probability": rng.uniform(size=count),
        "maps": maps,
    }


def test_a_stain_is_darkest_at_its_place_and_leaves_the_rest():
    pixels = np.full((1, 40, 40, 3), 250, "uint8")
    stained = stains.stain(pixels, 0.9, 0.3)
    assert (stained[0, 8, 30] < 120).all()
    assert (stained[0, -8:, :8] == 250).all()
    assert stains.stain(pixels, 0.0, 0.0) is pixels


def test_counts_pictures_until_the_alarm_of_maps_and_of_confidences():
    reference, stream = columns(600), columns(300, moved=-2)
    maps, confidences = stains.pictures_until_alarm(reference, stream, 0)
    assert 10 < maps < 100 and confidences == 0
