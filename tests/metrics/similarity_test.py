import numpy as np
import pytest

from keras_facnn.metrics import pearson


def test_agrees_with_numpy(rng):
    a, b = rng.normal(size=(2, 6, 5, 7, 3))
    expected = [
        [np.corrcoef(a[i, ..., c].ravel(), b[i, ..., c].ravel())[0, 1]
         for c in range(3)]
        for i in range(6)
    ]  # fmt: skip
    np.testing.assert_allclose(pearson(a, b), expected, rtol=1e-10)


def test_a_constant_map_has_no_correlation(rng):
    maps = rng.normal(size=(2, 5, 7))
    maps[0] = 0.1
    assert np.isnan(pearson(maps, maps)).tolist() == [True, False]


def test_small_maps_are_not_constant(rng):
    maps = 1e-9 * rng.normal(size=(1, 5, 7))
    np.testing.assert_allclose(pearson(maps, 5 * maps), 1.0)


@pytest.mark.parametrize("shape", [(2, 5, 6), (2, 5, 7, 3), (2, 35)])
def test_refuses_shapes_that_differ(shape):
    with pytest.raises(ValueError, match="same shape.*Received"):
        pearson(np.zeros((2, 5, 7)), np.zeros(shape))
