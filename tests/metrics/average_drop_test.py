import keras
import numpy as np
import pytest

import keras_facnn
from keras_facnn.metrics import average_drop
from keras_facnn.metrics import average_increase

LABELS = [3, 0, 1, 1, 2]


@pytest.fixture
def maps(rng):
    return rng.normal(size=(5, 4, 5))


def softmax(logits):
    exp = np.exp(keras.ops.convert_to_numpy(logits))
    return exp / exp.sum(-1, keepdims=True)


def test_drop_and_increase_by_hand(curved, pictures, maps):
    drops, rises = [], []
    for picture, label, map_ in zip(pictures, LABELS, maps, strict=True):
        pixels = keras_facnn.resize_maps(map_[None], (8, 10))[0]
        scaled = (pixels - pixels.min()) / (pixels.max() - pixels.min())
        shown = picture * scaled[..., None]
        y = softmax(curved(picture[None]))[0, label]
        o = softmax(curved(shown[None]))[0, label]
        drops.append(max(0, y - o) / y)
        rises.append(y < o)
    assert 0 < sum(rises) < 5
    arguments = curved, pictures, LABELS, maps
    drop = average_drop(*arguments)
    np.testing.assert_allclose(drop.values, drops, rtol=1e-4, atol=1e-7)
    increase = average_increase(*arguments)
    np.testing.assert_array_equal(increase.values, rises)
    assert not drop.higher_is_better and increase.higher_is_better
    # The scale of a map does not matter.
    scaled = average_drop(curved, pictures, LABELS, 5 + 3 * maps)
    np.testing.assert_allclose(scaled.values, drop.values, atol=1e-6)
    soft = keras.Sequential([curved, keras.layers.Softmax()])
    received = average_drop(soft, pictures, LABELS, maps)
    np.testing.assert_allclose(received.values, drop.values, rtol=1e-4)


def test_a_map_that_says_nothing_wins(curved, pictures):
    """The flaw that the documentation names: all but one pixel are bright."""
    classes = keras.ops.convert_to_numpy(curved(pictures)).argmax(-1)
    fake = np.ones((5, 8, 10))
    fake[:, 0, 0] = 0
    bright = average_drop(curved, pictures, classes, fake).mean
    assert bright < 0.05
    assert average_drop(curved, pictures, classes, 1 - fake).mean > 3 * bright


def test_what_has_no_value_is_left_out(curved, pictures, maps):
    whole = [m(curved, pictures, LABELS, maps).values for m in METRICS]
    maps[1], maps[4] = 0, 7
    for metric, expected in zip(METRICS, whole, strict=True):
        result = metric(curved, pictures, LABELS, maps)
        assert np.isnan(result.values).tolist() == [0, 1, 0, 0, 1]
        kept = [0, 2, 3]
        np.testing.assert_allclose(
            result.values[kept], expected[kept], rtol=1e-4
        )
        with pytest.raises(ValueError, match="must not all be constant"):
            metric(curved, pictures, LABELS, 0 * maps)
    # A share of no probability is not defined.
    sure = keras.Sequential([curved, keras.layers.Rescaling(1e5)])
    least = keras.ops.convert_to_numpy(curved(pictures)).argmin(-1)
    with pytest.raises(ValueError, match="must be 5 integers"):
        average_drop(sure, pictures, [9] * 5, maps)
    assert np.isnan(average_drop(sure, pictures, least, maps).values).all()
    assert average_increase(sure, pictures, least, maps).undefined == 2


METRICS = [average_drop, average_increase]


@pytest.mark.parametrize("metric", METRICS)
def test_refuses_bad_arguments(metric, curved, pictures, maps):
    with pytest.raises(ValueError, match=r"`maps` must have shape \(5, h, w\)"):
        metric(curved, pictures, LABELS, maps[:4])
    with pytest.raises(ValueError, match="`from_logits` must be True or Fal"):
        metric(curved, pictures, LABELS, maps, from_logits=1)
    one = keras.Sequential([curved, keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="`model` must have at least two"):
        metric(one, pictures, [0] * 5, maps)
