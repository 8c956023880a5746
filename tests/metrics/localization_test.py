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
    hits = pointing_game(maps, boxes, (8, 6)).values
    assert hits.tolist() == [True, False, False, False]
    hits = pointing_game(maps, boxes, (8, 6), tolerance=1).values
    assert hits.tolist() == [True, True, True, False]


def test_a_constant_map_has_no_score(rng):
    """Neither here nor where pixels are removed."""
    maps = rng.uniform(size=(4, 8, 6))
    maps[1], maps[2] = 0, 0.3
    boxes = [[0, 0, 3, 4]] * 4
    for metric in (pointing_game, energy_pointing_game):
        found = metric(maps, boxes, (8, 6)).values
        assert np.isnan(found).tolist() == [False, True, True, False]
        kept_only = metric(maps[[0, 3]], boxes[:2], (8, 6))
        np.testing.assert_array_equal(found[[0, 3]], kept_only)
    # At another resolution too.
    for metric in (pointing_game, energy_pointing_game):
        coarse = metric(maps[:, ::2, ::2], boxes, (8, 6))
        assert np.isnan(coarse).tolist() == [False, True, True, False]


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


@pytest.mark.parametrize("metric", [pointing_game, energy_pointing_game])
@pytest.mark.parametrize(
    "boxes",
    [
        [[0, 0, 4]],
        [[4, 0, 2, 2]],
        [[0, 0, 1, 1]] * 2,
        [[-5, -5, -1, -1]],
        [[4, 0, 8, 2]],
        [[0, 1e30, 1, 2e30]],
        [np.zeros((0, 4))],
        [np.array([[0, 0, 1, 1], [2, 2, 1, 3]])],
        [[[0, 0, 1, 1], [2, 2, 1, 3]]],
        [[]],
        np.zeros((2, 1, 4)),
        np.zeros(4),
        7,
    ],
)
def test_refuses_bad_boxes(metric, boxes):
    with pytest.raises(ValueError, match="`boxes` must have shape.*Received"):
        metric(np.ones((1, 4, 4)), boxes, (4, 4))


@pytest.mark.parametrize("metric", [pointing_game, energy_pointing_game])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_refuses_boxes_that_are_not_finite(metric, bad):
    with pytest.raises(ValueError, match="`boxes` must be finite"):
        metric(np.ones((1, 4, 4)), [[0, 0, bad, 2]], (4, 4))


def test_a_box_has_one_size_wherever_it_stands():
    maps = np.zeros((1, 8, 8))
    for row, column in np.ndindex(7, 7):
        maps[:] = 0
        maps[0, row : row + 2, column : column + 2] = [[1, 2], [4, 8]]
        box = [column + 0.5, row + 0.5, column + 1.5, row + 1.5]
        share = energy_pointing_game(maps, [box], (8, 8))
        np.testing.assert_allclose(share, 8 / 15)


def test_refuses_boxes_without_a_pixel():
    with pytest.raises(ValueError, match="`boxes` must hold.*whole pixel"):
        energy_pointing_game(np.ones((1, 4, 4)), [[1.1, 0, 1.4, 2]], (4, 4))


def test_refuses_bad_grids():
    with pytest.raises(ValueError, match="`maps` must have shape.*Received"):
        grid_pointing_game(np.ones((1, 4, 3, 4)))
    with pytest.raises(ValueError, match="`labels` must have at least"):
        make_grids(np.zeros((2, 4, 4, 3)), [0, 1], count=1)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"labels": [0, 1, 2]}, "`labels` must be 4 integers"),
        ({"labels": ["a", "b", "c", "d"]}, "`labels` must be"),
        ({"labels": [0.0, 1.0, 2.0, 3.0]}, "`labels` must be 4 integers"),
        ({"labels": [[0, 1], [2, 3]]}, "`labels` must be 4 integers"),
        ({"count": 10**9}, "`count`, `cells` and `images` ask for an array"),
        ({"seed": "3"}, "`seed` must be an integer"),
        ({"cells": 0}, "`cells` must be a positive integer"),
    ],
)
def test_refuses_bad_mosaics(changes, message):
    arguments = {"labels": [0, 1, 2, 3], "count": 1, **changes}
    with pytest.raises(ValueError, match=message):
        make_grids(np.zeros((4, 4, 4, 3)), **arguments)


def test_boxes_that_stand_out_of_the_image_are_cut():
    maps = np.ones((1, 8, 8))
    maps[0, 0, 0] = 2
    received = energy_pointing_game(maps, [[-2, 6, 4, 11]], (8, 8))
    np.testing.assert_allclose(received, 8 / 65)


@pytest.mark.parametrize("metric", [pointing_game, energy_pointing_game])
def test_refuses_maps_that_are_not_finite(metric):
    with pytest.raises(ValueError, match="`maps` must be finite"):
        metric(np.full((1, 4, 4), np.nan), [[0, 0, 1, 1]], (4, 4))


def test_any_of_several_boxes_counts(rng):
    maps = rng.uniform(size=(20, 6, 6))
    one, other = [0, 0, 3, 4], [2, 1, 6, 3]
    both = [np.array([one, other])] * 19 + [np.array([one])]

    def hits(boxes):
        return pointing_game(maps, boxes, (6, 6)).values

    expected = np.maximum(hits([one] * 20), hits([other] * 20))
    expected[-1] = hits([one] * 20)[-1]
    np.testing.assert_array_equal(hits(both), expected)
    np.testing.assert_array_equal(hits([b.tolist() for b in both]), expected)
    np.testing.assert_array_equal(
        hits(np.stack(both[:19] + both[:1]))[:19], expected[:19]
    )
    inside = np.zeros((6, 6), bool)
    inside[:4, :3] = inside[1:3, 2:] = True
    shares = energy_pointing_game(maps, both, (6, 6)).values
    expected = maps[:, inside].sum(-1) / maps.sum((1, 2))
    np.testing.assert_allclose(shares[:19], expected[:19])
    assert shares[19] < expected[19]
