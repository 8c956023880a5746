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


def test_saliency_of_channels(small_model, images, forward, tensor):
    theirs = attr.Saliency(forward).attribute(tensor, CLASSES, abs=False)
    theirs = theirs.detach()
    for reduce, expected in ((None, theirs), ("sum", theirs.sum(-1))):
        ours = attribution.saliency(small_model, images, CLASSES, reduce=reduce)
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-8)


@pytest.fixture
def curved():
    """A model whose gradient changes from pixel value to pixel value."""
    return keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(4, 3, activation="tanh"),
            keras.layers.Flatten(),
            keras.layers.Dense(4),
        ]
    )


@pytest.mark.parametrize("kind", ["smoothgrad", "vargrad"])
def test_noise_tunnel(curved, images, tensor, monkeypatch, kind):
    """captum gets our noise, since it draws its own from PyTorch."""
    samples = 6
    drawn = np.stack(
        [
            np.random.default_rng((3, i)).standard_normal(
                (1, 16, 16, 3), "float32"
            )
            for i in range(samples)
        ],
        axis=1,
    )
    ranges = np.ptp(images.astype("float32"), axis=(1, 2, 3))
    noise = 0.5 * ranges.reshape(-1, 1, 1, 1, 1) * drawn
    noise = torch.tensor(noise.reshape(-1, 16, 16, 3).astype("float32"))
    monkeypatch.setattr(
        attr.NoiseTunnel,
        "_add_noise_to_input",
        staticmethod(lambda x, _, n: x.repeat_interleave(n, 0) + noise),
    )
    theirs = attr.NoiseTunnel(attr.Saliency(curved)).attribute(
        tensor, nt_type=kind, nt_samples=samples, target=CLASSES, abs=False
    )
    method = {
        "smoothgrad": attribution.smooth_grad,
        "vargrad": attribution.var_grad,
    }[kind]
    ours = method(
        curved,
        images,
        CLASSES,
        noise=0.5,
        samples=samples,
        reduce=None,
        seed=3,
    )
    theirs = theirs.detach().numpy()
    largest = np.abs(theirs).max()
    np.testing.assert_allclose(ours / largest, theirs / largest, atol=1e-5)


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


def test_integrated_gradients_from_an_image(curved, images, tensor):
    theirs = attr.IntegratedGradients(curved).attribute(
        tensor, target=CLASSES, baselines=tensor.detach().flip(0), n_steps=16
    )
    ours = attribution.integrated_gradients(
        curved, images, CLASSES, baseline=images[::-1], steps=16, reduce=None
    )
    assert ours.any()
    np.testing.assert_allclose(ours, theirs.detach(), rtol=1e-3, atol=1e-5)


def test_expected_gradients(curved, images, tensor, rng, monkeypatch):
    """captum draws from NumPy, here our background images and points."""
    background = rng.uniform(0, 255, (3, 16, 16, 3)).astype("float32")
    draws = np.random.default_rng(4)
    chosen = draws.integers(3, size=6)
    shares = draws.random(6, "float32")
    # captum's order is image by image.
    monkeypatch.setattr(np.random, "choice", lambda *_: np.tile(chosen, 5))
    monkeypatch.setattr(np.random, "uniform", lambda *_: np.tile(shares, 5))
    theirs = attr.GradientShap(curved).attribute(
        tensor, torch.tensor(background), n_samples=6, target=CLASSES
    )
    ours = attribution.expected_gradients(
        curved,
        images,
        CLASSES,
        background=background,
        samples=6,
        reduce=None,
        seed=4,
    )
    theirs = theirs.detach().numpy()
    largest = np.abs(theirs).max()
    np.testing.assert_allclose(ours / largest, theirs / largest, atol=1e-5)


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
