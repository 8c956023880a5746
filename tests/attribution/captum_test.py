"""Peers: captum computes the same on the PyTorch backend."""

import keras
import numpy as np
import pytest

from keras_facnn import attribution

if keras.backend.backend() != "torch":
    pytest.skip("captum needs the PyTorch backend", allow_module_level=True)

import torch
from captum import attr

CLASSES = [3, 1, 0, 2, 2]


@pytest.fixture
def forward(small_model):
    def forward(x):
        return small_model(x, training=False)

    return forward


@pytest.fixture
def tensor(images):
    return torch.tensor(images.astype("float32"), requires_grad=True)


@pytest.mark.parametrize("size, stride", [(5, 3), (4, 4), (7, 2)])
def test_occlusion(small_model, images, forward, tensor, size, stride):
    theirs = attr.Occlusion(forward).attribute(
        tensor,
        sliding_window_shapes=(size, size, 3),
        strides=(stride, stride, 3),
        target=CLASSES,
        baselines=20.0,
    )
    ours = attribution.occlusion(
        small_model, images, CLASSES, size=size, stride=stride, baseline=20.0
    )
    np.testing.assert_allclose(
        ours, theirs[..., 0].detach(), rtol=1e-4, atol=1e-6
    )


def test_saliency(small_model, images, forward, tensor):
    theirs = attr.Saliency(forward).attribute(tensor, target=CLASSES)
    ours = attribution.saliency(small_model, images, CLASSES)
    np.testing.assert_allclose(ours, theirs.detach().amax(-1), rtol=1e-4)


def test_integrated_gradients(small_model, images, forward, tensor):
    theirs = attr.IntegratedGradients(forward).attribute(
        tensor, target=CLASSES, baselines=20.0, n_steps=32
    )
    ours = attribution.integrated_gradients(
        small_model, images, CLASSES, baseline=20.0, steps=32
    )
    np.testing.assert_allclose(
        ours, theirs.detach().sum(-1), rtol=1e-3, atol=1e-5
    )


class ChannelsFirst(torch.nn.Module):
    """A Keras model with `seam`, a PyTorch layer with channels in dimension 1.

    `seam` passes on the output of the Keras layer of that name.
    """

    def __init__(self, model, layer):
        super().__init__()
        features = model.get_layer(layer).output
        self.before = keras.Model(model.input, features)
        self.seam = torch.nn.Identity()
        self.after = keras.Model(features, model.output)

    def forward(self, x):
        x = self.before(x, training=False)
        x = self.seam(x.permute(0, 3, 1, 2))
        return self.after(x.permute(0, 2, 3, 1), training=False)


def test_grad_cam(small_model, images, tensor):
    for layer in ("fa_1", "fa_3"):
        peer = ChannelsFirst(small_model, layer)
        theirs = attr.LayerGradCam(peer, peer.seam).attribute(
            tensor, target=CLASSES, relu_attributions=True
        )
        ours = attribution.grad_cam(small_model, images, CLASSES, layer=layer)
        assert ours.any()
        np.testing.assert_allclose(
            ours, theirs[:, 0].detach(), rtol=1e-4, atol=1e-6
        )


def test_grad_cam_plus_plus(small_model, images):
    """PyTorch computes the gradients, and the paper's formula uses float64."""
    for layer in ("fa_1", "fa_3"):
        peer = ChannelsFirst(small_model, layer)
        a = peer.before(images.astype("float32"), training=False).detach()
        a.requires_grad_()
        scores = peer.after(a, training=False)
        chosen = scores[torch.arange(len(CLASSES)), CLASSES].sum()
        (g,) = torch.autograd.grad(chosen, a)
        a, g = a.detach().double(), g.double()
        total = a.sum((1, 2), keepdim=True)
        alpha = g**2 / (2 * g**2 + total * g**3)
        alpha = torch.where(g > 0, alpha, 0)
        weights = (alpha * g.clamp(min=0)).sum((1, 2), keepdim=True)
        theirs = (weights * a).sum(-1).clamp(min=0)
        ours = attribution.grad_cam_plus_plus(
            small_model, images, CLASSES, layer=layer
        )
        assert ours.any()
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
