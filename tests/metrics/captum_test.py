"""Peers: captum computes the same on the PyTorch backend."""

import keras
import numpy as np
import pytest

from keras_facnn import attribution
from keras_facnn.metrics import infidelity
from keras_facnn.metrics import max_sensitivity

if keras.backend.backend() != "torch":
    pytest.skip("captum needs the PyTorch backend", allow_module_level=True)

import captum.metrics
import torch
from captum import attr


@pytest.mark.parametrize("normalize", [False, True])
def test_infidelity(small_model, images, rng, altered, normalize):
    """At the same squares, of images of three channels."""
    labels, maps = [3, 1, 0, 2, 2], rng.normal(size=(5, 16, 16))
    ours = infidelity(
        small_model,
        images,
        labels,
        maps,
        size=5,
        squares=12,
        baseline=300.0,
        normalize=normalize,
    )
    changed = np.stack(altered).reshape(5, 13, 16, 16, 3)[:, 1:]
    changed = torch.tensor(changed.reshape(60, 16, 16, 3))
    theirs = captum.metrics.infidelity(
        lambda x: small_model(x, training=False),
        lambda x: ((changed == 300).float(), changed),
        torch.tensor(images.astype("float32")),
        # Each channel has a third of the pixel's value.
        torch.tensor(maps[..., None].repeat(3, -1) / 3),
        target=labels,
        n_perturb_samples=12,
        normalize=normalize,
    )
    np.testing.assert_allclose(ours.values, theirs.detach(), rtol=1e-3)


def test_max_sensitivity(small_model, images):
    """Of saliency by captum, too, and with the same noise."""
    seen, labels = [], [3, 1, 0, 2, 2]

    def noted(model, images, classes):
        seen.append(images)
        return attribution.saliency(model, images, classes)

    ours = max_sensitivity(
        small_model, images, noted, labels, noise=0.5, samples=7
    )
    saliency = attr.Saliency(lambda x: small_model(x, training=False))

    def explanation(x, target):
        # Of the images themselves, captum makes a tuple.
        (x,) = x if isinstance(x, tuple) else (x,)
        return (saliency.attribute(x.requires_grad_(), target).amax(-1),)

    theirs = captum.metrics.sensitivity_max(
        explanation,
        torch.tensor(images.astype("float32")),
        lambda x: torch.tensor(np.stack(seen[1:], 1).reshape(x.shape)),
        n_perturb_samples=7,
        target=labels,
    )
    assert ours.mean > 0.001
    np.testing.assert_allclose(ours.values, theirs, rtol=1e-3)
