"""Peers: Quantus computes the same. It imports TensorFlow and PyTorch."""

import itertools

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


@pytest.fixture
def classifier(rng):
    """A classifier, and a function of it and images to maps by its weights.

    The channels come first, which Quantus needs throughout. To the classifier,
    these images have 3 rows.
    """
    inputs = keras.Input((3, HEIGHT, WIDTH))
    x = keras.layers.Dense(4, activation="relu")(inputs)
    model = keras.Model(
        inputs, keras.layers.Dense(5)(keras.layers.Flatten()(x))
    )
    trained = [w.tolist() for w in model.get_weights()]
    of_trained, of_shuffled = rng.normal(size=(2, 3, HEIGHT, WIDTH))

    def maps_of(model, images, classes, **kwargs):
        # Quantus shuffles by other numbers, and rows of weights only.
        same = [w.tolist() for w in model.get_weights()] == trained
        factors = of_trained if same else of_shuffled
        return (np.asarray(images) ** 2 * factors).sum(axis=1)

    return model, maps_of


def test_efficient_randomization(rng, classifier):
    model, maps_of = classifier
    images = rng.gamma(0.5, size=(20, 3, HEIGHT, WIDTH)).astype("float32")
    theirs = quantus.EfficientMPRT(
        complexity_func_kwargs={"n_bins": 30}, disable_warnings=True
    )(
        model=model,
        x_batch=images,
        y_batch=np.zeros(20, int),
        channel_first=True,
        explain_func=lambda model, inputs, targets, **_: maps_of(
            model, inputs, targets
        ),
    )
    ours = metrics.efficient_randomization(model, images, maps_of, 0, bins=30)
    assert np.ptp(ours.values) > 0.05
    np.testing.assert_allclose(ours, theirs)


def test_smooth_cascading_randomization(rng, classifier, monkeypatch):
    model, maps_of = classifier
    images = rng.normal(size=(7, 3, HEIGHT, WIDTH)).astype("float32")
    seen = []

    def attribution(model, images, classes):
        seen.append(images)
        return maps_of(model, images, classes)

    ours = metrics.cascading_randomization(
        model, images, attribution, 0, samples=4, noise=0.3
    )
    # Quantus draws this noise, in the same order for each state of the model.
    ranges = np.ptp(images, axis=(1, 2, 3), keepdims=True)
    draws = itertools.cycle((x - images) / (0.3 * ranges) for x in seen[1:4])
    monkeypatch.setattr(np.random, "randn", lambda *shape: next(draws))
    monkeypatch.setattr(quantus, "explain", maps_of)
    theirs = quantus.SmoothMPRT(
        nr_samples=4,
        noise_magnitude=0.3,
        layer_order="top_down",
        abs=False,
        normalise=False,
        disable_warnings=True,
    )(
        model=model,
        x_batch=images,
        y_batch=np.zeros(7, int),
        channel_first=True,
        explain_func=lambda *_, **__: None,
    )
    assert theirs.pop("original") == pytest.approx(np.ones(7))
    assert list(theirs) == list(ours.columns)
    np.testing.assert_allclose(ours.values.T, list(theirs.values()), atol=1e-12)
