"""Peers: Quantus computes the same, of the same altered images.

It imports TensorFlow and PyTorch.
"""

import keras
import numpy as np
import pytest

from keras_facnn import metrics

if keras.backend.backend() != "tensorflow":
    pytest.skip("TensorFlow must be imported first", allow_module_level=True)

# Quantus' OpenCV needs a libGL, which minimal systems lack.
quantus = pytest.importorskip("quantus", exc_type=ImportError)

LABELS = [3, 0, 1, 1, 2]


def ask(peer, model, images, labels, maps, softmax=False):
    """Return Quantus' values of a model of images of one channel."""
    return peer(
        model=model,
        x_batch=images,
        y_batch=np.array(labels),
        a_batch=maps[:, None],
        channel_first=False,
        softmax=softmax,
    )


@pytest.fixture
def maps(rng):
    return rng.normal(size=(5, 8, 10))


@pytest.mark.parametrize("fraction", [0.05, 0.5])
def test_faithfulness_correlation(
    curved, pictures, maps, altered, fraction, monkeypatch
):
    """At the same sets, which also makes it a column of sensitivity-n."""
    ours = metrics.sensitivity_n(
        curved, pictures, LABELS, maps, fractions=[fraction], sets=8
    )
    removed = (np.stack(altered).reshape(5, 9, 80) == 0)[:, 1:]
    # Quantus draws a set of each image before the next set of the first.
    draws = iter(
        [np.flatnonzero(s) for s in removed.swapaxes(0, 1).reshape(-1, 80)]
    )
    monkeypatch.setattr(np.random, "choice", lambda *_, **__: next(draws))
    peer = quantus.FaithfulnessCorrelation(
        nr_runs=8,
        subset_size=round(fraction * 80),
        perturb_baseline=0.0,
        normalise=False,
        return_aggregate=False,
        disable_warnings=True,
    )
    theirs = ask(peer, curved, pictures, LABELS, maps)
    np.testing.assert_allclose(ours.values[:, 0], theirs, rtol=1e-3)


def test_faithfulness_estimate(curved, pictures, maps):
    peer = quantus.FaithfulnessEstimate(
        features_in_step=8,
        perturb_baseline=0.0,
        normalise=False,
        disable_warnings=True,
    )
    theirs = ask(peer, curved, pictures, LABELS, maps)
    ours = metrics.faithfulness_estimate(
        curved, pictures, LABELS, maps, sets=10
    )
    np.testing.assert_allclose(ours.values, theirs, rtol=1e-3)


def test_infidelity(curved, pictures, maps, altered):
    """At the same squares. Quantus multiplies maps by the change of pixels."""
    ours = metrics.infidelity(
        curved, pictures, LABELS, maps, size=3, squares=20, normalize=False
    )
    changed = np.stack(altered).reshape(5, 21, 80)[:, 1:]
    draws = iter(changed.swapaxes(0, 1))
    peer = quantus.Infidelity(
        # Each of the 20 patches of an image becomes a square.
        perturb_func=lambda arr, indices, **_: next(draws),
        perturb_patch_sizes=[2],
        n_perturb_samples=1,
        disable_warnings=True,
    )
    theirs = ask(peer, curved, pictures, LABELS, maps / pictures[..., 0])
    np.testing.assert_allclose(ours.values, theirs, rtol=1e-3)


@pytest.mark.parametrize(
    "ours, peer",
    [
        (metrics.max_sensitivity, quantus.MaxSensitivity),
        (metrics.local_lipschitz, quantus.LocalLipschitzEstimate),
    ],
)
def test_robustness(curved, pictures, maps, ours, peer):
    """With the same noise."""
    seen = []

    def method(model, images, classes):
        images = np.asarray(images).reshape(pictures.shape)
        seen.append(images)
        return (images[..., 0] + maps) ** 3

    found = ours(curved, pictures, method, LABELS, noise=0.3, samples=8)
    draws = iter([images.reshape(5, 80) for images in seen[1:]])
    peer = peer(
        nr_samples=8,
        perturb_func=lambda arr, indices, **_: next(draws),
        normalise=False,
        disable_warnings=True,
    )
    theirs = peer(
        model=curved,
        x_batch=pictures,
        y_batch=np.array(LABELS),
        channel_first=False,
        explain_func=lambda model, inputs, targets, **_: method(
            model, inputs, targets
        ),
    )
    np.testing.assert_allclose(found.values, theirs, rtol=1e-4)


def test_deletion(curved, pictures, maps):
    """The curve, which starts at the whole image here."""
    peer = quantus.PixelFlipping(
        features_in_step=8,
        perturb_baseline=0.0,
        normalise=False,
        disable_warnings=True,
    )
    theirs = ask(peer, curved, pictures, LABELS, maps, softmax=True)
    fractions = np.linspace(0, 1, 11).tolist()
    ours = metrics.deletion(curved, pictures, LABELS, maps, fractions=fractions)
    np.testing.assert_allclose(ours.probabilities[:, 1:], theirs, rtol=1e-4)
