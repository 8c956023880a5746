import sys

import keras
import numpy as np
import pytest

from keras_facnn.attribution import rise
from keras_facnn.attribution._rise import _masks
from keras_facnn.metrics import pearson
from tests.numpy_reference import resize_bilinear


def test_masks_follow_the_paper():
    """Seeded cells, resized to a cell more than the image, then shifted."""
    masks = _masks(0, 20, (9, 7), grid=3, p=0.5, seed=4)
    for number, mask in enumerate(masks):
        rng = np.random.default_rng((4, number))
        cells = (rng.random((3, 3)) < 0.5).astype(float)
        top, left = rng.integers(0, 3), rng.integers(0, 3)
        large = resize_bilinear(cells, (12, 12))
        np.testing.assert_allclose(
            mask, large[top : top + 9, left : left + 7], atol=1e-5
        )


def test_is_the_mean_of_masks_weighted_by_scores(linear, rng):
    model, weights = linear
    images = rng.normal(size=(2, 9, 7, 2)).astype("float32")
    masks = _masks(0, 50, (9, 7), grid=3, p=0.4, seed=1).astype("float64")
    logits = np.einsum("nhw,bhwc,hwck->bnk", masks, images, weights)
    p = np.exp(logits)
    p /= p.sum(-1, keepdims=True)
    for scores, probabilities in ((p, True), (logits, False)):
        expected = np.einsum("bnk,nhw->bhwk", scores, masks) / (50 * 0.4)
        actual = rise(
            model,
            images,
            "all",
            masks=50,
            grid=3,
            p=0.4,
            seed=1,
            probabilities=probabilities,
            batch_size=16,
        )
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)
        one = rise(
            model,
            images,
            [2, 0],
            masks=50,
            grid=3,
            p=0.4,
            seed=1,
            probabilities=probabilities,
        )
        np.testing.assert_allclose(
            one, expected[[0, 1], ..., [2, 0]], rtol=1e-4, atol=1e-4
        )


def test_finds_the_patch_that_decides(rng):
    """Class 1 wins as far as its patch is bright, whatever the rest."""
    inputs = keras.Input((24, 24, 1))
    patch = keras.layers.Cropping2D(((4, 14), (12, 6)))(inputs)
    level = keras.layers.GlobalAveragePooling2D()(patch)
    logits = keras.ops.concatenate([0 * level, 4 * (level - 2)], -1)
    model = keras.Model(inputs, logits)
    images = np.full((1, 24, 24, 1), 4.0)
    (map_,) = rise(model, images, 1, masks=600)
    inside = map_[4:10, 12:18].mean()
    map_[4:10, 12:18] = np.nan
    assert inside > np.nanmean(map_) + 3 * np.nanstd(map_)


def test_stops_early_when_maps_have_settled(linear, rng, capsys, monkeypatch):
    model, _ = linear
    images = rng.normal(size=(2, 9, 7, 2)).astype("float32")
    exact = rise(model, images, 1, masks=4000)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    early = rise(model, images, 1, masks=4000, tolerance=0.3, verbose=1)
    shown = capsys.readouterr().err
    assert " of 4,000 masks" in shown and "4,000 of 4,000" not in shown
    # What all places share says nothing, and must not hide that they differ.
    assert (pearson(early, exact).values > 0.8).all()
    assert (pearson(early, exact).values < 0.9999).all()


@pytest.mark.parametrize(
    "name, value", [("masks", 0), ("grid", 1.5), ("p", 1.5), ("tolerance", 0)]
)
def test_refuses_bad_arguments(linear, name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be.*Received"):
        rise(linear[0], np.zeros((1, 9, 7, 2)), **{name: value})
