"""Peers: Quantus computes the same. It imports TensorFlow and PyTorch."""

import keras
import numpy as np
import pytest

from keras_facnn import metrics

if keras.backend.backend() != "tensorflow":
    pytest.skip("TensorFlow must be imported first", allow_module_level=True)

# Quantus' OpenCV needs a libGL, which minimal systems lack.
quantus = pytest.importorskip("quantus", exc_type=ImportError)

COUNT, HEIGHT, WIDTH = 200, 12, 10


@pytest.mark.parametrize(
    "peer, ours",
    [
        (quantus.PointingGame, metrics.pointing_game),
        (quantus.RelevanceMassAccuracy, metrics.energy_pointing_game),
        (quantus.RelevanceRankAccuracy, metrics.relevance_rank_accuracy),
    ],
)
def test_pointing_games(rng, peer, ours):
    maps = rng.uniform(size=(COUNT, HEIGHT, WIDTH))
    left, right = np.sort(
        [rng.choice(WIDTH + 1, 2, replace=False) for _ in maps]
    ).T
    top, bottom = np.sort(
        [rng.choice(HEIGHT + 1, 2, replace=False) for _ in maps]
    ).T
    boxes = np.stack([left, top, right, bottom], axis=1)
    inside = np.zeros((COUNT, 1, HEIGHT, WIDTH), int)
    for mask, x0, y0, x1, y1 in zip(inside, *boxes.T, strict=True):
        mask[0, y0:y1, x0:x1] = 1
    theirs = peer(normalise=False, disable_warnings=True)(
        model=None,
        x_batch=np.zeros((COUNT, 3, HEIGHT, WIDTH)),
        y_batch=np.zeros(COUNT, int),
        a_batch=maps[:, None],
        s_batch=inside,
        channel_first=True,
    )
    np.testing.assert_allclose(ours(maps, boxes, (HEIGHT, WIDTH)), theirs)


@pytest.mark.parametrize(
    "peer, ours",
    [
        (quantus.Sparseness, metrics.sparseness),
        (quantus.Complexity, metrics.complexity),
    ],
)
def test_concentration(rng, peer, ours):
    maps = rng.gamma(0.3, size=(COUNT, HEIGHT, WIDTH))
    theirs = peer(normalise=False, disable_warnings=True)(
        model=None,
        x_batch=np.zeros((COUNT, 3, HEIGHT, WIDTH)),
        y_batch=np.zeros(COUNT, int),
        a_batch=maps[:, None],
        channel_first=True,
    )
    np.testing.assert_allclose(ours(maps), theirs, rtol=1e-4)
