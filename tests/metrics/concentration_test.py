import numpy as np
import pytest

from keras_facnn.metrics import complexity
from keras_facnn.metrics import relevance_rank_accuracy
from keras_facnn.metrics import sparseness

pytestmark = pytest.mark.only_on("torch")


def test_of_one_location_and_of_all():
    one = np.zeros((1, 5, 8))
    one[0, 2, 3] = -7
    assert sparseness(one).mean == pytest.approx(39 / 40)
    assert complexity(one).mean == 0
    equal = np.full((1, 5, 8), 0.3)
    assert sparseness(equal).mean == pytest.approx(0)
    assert complexity(equal).mean == pytest.approx(np.log(40))


def test_neither_scale_nor_sign_matters(rng):
    maps = rng.normal(size=(6, 5, 8))
    for metric in (sparseness, complexity):
        found = metric(maps)
        np.testing.assert_allclose(found, metric(-3 * np.abs(maps)))
        assert found.higher_is_better is None
        maps[2] = 0
        assert np.isnan(metric(maps)).tolist() == [i == 2 for i in range(6)]


def test_gini_is_the_mean_difference_of_all_pairs(rng):
    values = np.abs(rng.normal(size=40))
    gaps = np.abs(values[:, None] - values).mean()
    expected = gaps / (2 * values.mean())
    found = sparseness(values.reshape(1, 5, 8)).mean
    assert found == pytest.approx(expected)


def test_rank_accuracy_by_hand(rng):
    maps = rng.uniform(size=(3, 6, 6))
    maps[1] = 0.5
    boxes = [[0, 0, 3, 4], [1, 1, 2, 2], [2, 2, 6, 5]]
    found = relevance_rank_accuracy(maps, boxes, (6, 6)).values
    assert np.isnan(found[1])
    for i in (0, 2):
        left, top, right, bottom = boxes[i]
        count = (right - left) * (bottom - top)
        best = np.argsort(-maps[i].ravel())[:count]
        y, x = np.divmod(best, 6)
        hits = (x >= left) & (x < right) & (y >= top) & (y < bottom)
        assert found[i] == pytest.approx(hits.mean())
