import numpy as np
import pytest

from keras_facnn.metrics import energy_pointing_game
from keras_facnn.metrics import grid_pointing_game
from keras_facnn.metrics import make_grids
from keras_facnn.metrics import pointing_game


def test_pointing_game():
    maps = np.zeros((4, 8, 6))
    peaks = [(2, 3), (1, 3), (2, 5), (7, 0)]
    for map_, peak in zip(maps, peaks, strict=True):
        map_[peak] = 1
    # Columns 3 and 4, rows 2 to 5.
    boxes = [[3, 2, 5, 6]] * 4
    hits = pointing_game(maps, boxes, (8, 6))
    assert hits.tolist() == [True, False, False, False]
    hits = pointing_game(maps, boxes, (8, 6), tolerance=1)
    assert hits.tolist() == [True, True, True, False]


def test_energy_pointing_game(rng):
    maps = rng.normal(size=(3, 8, 6))
    boxes = [[0, 0, 6, 8], [1, 2, 4, 5], [5, 7, 6, 8]]
    expected = []
    for map_, (left, top, right, bottom) in zip(maps, boxes, strict=True):
        inside = total = 0.0
        for y in range(8):
            for x in range(6):
                value = max(map_[y, x], 0)
                total += value
                if left <= x < right and top <= y < bottom:
                    inside += value
        expected.append(inside / total)
    np.testing.assert_allclose(
        energy_pointing_game(maps, boxes, (8, 6)), expected
    )
    assert expected[0] == 1
    assert np.isnan(
        energy_pointing_game(-np.ones((1, 8, 6)), boxes[:1], (8, 6))
    )


def test_a_true_map_beats_chance_on_mosaics(rng):
    """Images of a class are its number; a map is where that number is."""
    labels = np.repeat(np.arange(6), 5)
    images = np.broadcast_to(labels[:, None, None, None], (30, 4, 4, 3)).astype(
        "float32"
    )
    mosaics, classes = make_grids(images, labels, count=7, cells=2, seed=1)
    assert mosaics.shape == (7, 8, 8, 3)
    assert all(len(set(row)) == 4 for row in classes.tolist())
    true = np.stack(
        [
            [mosaic[..., 0] == c for c in row]
            for mosaic, row in zip(mosaics, classes, strict=True)
        ]
    )
    np.testing.assert_allclose(grid_pointing_game(true), 1)
    np.testing.assert_allclose(grid_pointing_game(np.ones_like(true)), 0.25)
    np.testing.assert_allclose(grid_pointing_game(~true), 0)
    again, _ = make_grids(images, labels, count=7, cells=2, seed=1)
    np.testing.assert_array_equal(mosaics, again)


@pytest.mark.parametrize(
    "boxes", [[[0, 0, 4]], [[4, 0, 2, 2]], [[0, 0, 1, 1]] * 2]
)
def test_refuses_bad_boxes(boxes):
    with pytest.raises(ValueError, match="`boxes` must have shape.*Received"):
        pointing_game(np.ones((1, 4, 4)), boxes, (4, 4))


def test_refuses_bad_grids():
    with pytest.raises(ValueError, match="`maps` must have shape.*Received"):
        grid_pointing_game(np.ones((1, 4, 3, 4)))
    with pytest.raises(ValueError, match="`labels` must have at least"):
        make_grids(np.zeros((2, 4, 4, 3)), [0, 1], count=1)


def test_boxes_beside_the_image_hold_nothing():
    maps = np.ones((2, 8, 8))
    boxes = [[-5, -5, -1, -1], [-2, 6, 4, 11]]
    np.testing.assert_allclose(
        energy_pointing_game(maps, boxes, (8, 8)), [0, 8 / 64]
    )


@pytest.mark.parametrize("metric", [pointing_game, energy_pointing_game])
def test_refuses_maps_that_are_not_finite(metric):
    with pytest.raises(ValueError, match="`maps` must be finite"):
        metric(np.full((1, 4, 4), np.nan), [[0, 0, 1, 1]], (4, 4))
