"""The bundled `cifar10` preset keeps its promises on real images.

`cifar10_golden.npz` has the pixels of the sample images, their logits and RISE
maps by NumPy in float64, and Grad-CAM at layer 18 by tf-keras-vis. This command
makes it: `KERAS_BACKEND=tensorflow python -m tests.presets.cifar10_test`.
"""

import os
import pathlib

import keras
import numpy as np
import pytest

from keras_facnn import FACNN
from keras_facnn.attribution import grad_cam
from keras_facnn.attribution import rise
from keras_facnn.metrics import pearson
from keras_facnn.metrics import similarity_by_layer
from tests import numpy_reference

GOLDEN = pathlib.Path(__file__).with_name("cifar10_golden.npz")
MASKS = 32
SAMPLES = sorted(pathlib.Path(__file__).parents[2].glob("samples/*.jpg"))


def read(paths):
    from PIL import Image

    return np.stack([np.asarray(Image.open(path)) for path in paths])


@pytest.fixture(scope="module")
def model():
    return FACNN.from_preset("cifar10")


@pytest.fixture(scope="module")
def photographs():
    """256 test images, spread evenly over the classes."""
    root = os.environ.get("KERAS_FACNN_CIFAR10")
    if not root:
        pytest.skip("KERAS_FACNN_CIFAR10, a folder with test/CLASS/*.jpg")
    paths = sorted(pathlib.Path(root).glob("test/*/*.jpg"))
    assert len(paths) == 10_000
    paths = [paths[i] for i in np.linspace(0, 9_999, 256).astype(int)]
    names = FACNN.presets["cifar10"]["class_names"]
    labels = np.array([names.index(path.parent.name) for path in paths])
    return read(paths), labels


def test_golden_logits(model, optimized):
    """TensorFlow, JAX, PyTorch and NumPy agree."""
    golden = np.load(GOLDEN)
    actual = model.predict(golden["images"], verbose=0)
    np.testing.assert_allclose(actual, golden["logits"], rtol=1e-4)


def test_golden_logits_are_those_of_the_weights(model):
    """A new preset needs new golden logits."""
    golden = np.load(GOLDEN)
    np.testing.assert_allclose(
        numpy_reference.logits(model, golden["images"]),
        golden["logits"],
        rtol=1e-9,
    )


def test_theorem_1_completeness_and_evidence(model, photographs):
    images = photographs[0]
    if keras.backend.backend() != "torch":
        images = images[::4]
    logits, maps = model.predict_with_maps(images, batch_size=128)
    reference = grad_cam(model, images, "all", layer=24, batch_size=128)
    correlations = pearson(
        np.moveaxis(maps, -1, 1).reshape(-1, 8, 8),
        np.moveaxis(reference, -1, 1).reshape(-1, 8, 8),
    )
    assert correlations.values.size == 10 * len(images)
    assert correlations.values.min() >= 0.99999

    span = np.ptp(logits)
    scale = np.exp(keras.ops.convert_to_numpy(model.head.log_scale))
    assert np.abs(logits - scale * maps.mean((1, 2))).max() <= 1e-3 * span
    evidence = model.layer_evidence(images, "all", batch_size=128)
    assert np.abs(logits - evidence.sum(1)).max() <= 1e-3 * span

    measured = model.verify(images[::4], batch_size=16)
    assert measured["theorem_1_correlation"] >= 0.99999
    assert measured["completeness_error"] <= 1e-3
    assert measured["evidence_error"] <= 1e-3


# Another test compares the logits with NumPy on each backend.
@pytest.mark.only_on("torch")
def test_accuracy_is_that_of_the_metadata(model, photographs):
    images, labels = photographs
    accuracy = (model.predict(images, verbose=0).argmax(-1) == labels).mean()
    stated = model.preset_metadata["metrics"]["top_1"]
    standard_error = np.sqrt(stated * (1 - stated) / len(labels))
    assert abs(accuracy - stated) < 3 * standard_error


def test_middle_layers_are_aligned(model, photographs):
    images = photographs[0][::4]
    depth = similarity_by_layer(model, images, layers=[18])
    stated = model.preset_metadata["metrics"]["alignment"]["mean_pearson"]
    assert abs(depth.mean[0] - stated["fa_18"]) < 0.05


def test_golden_maps(model):
    """TensorFlow, JAX, PyTorch and independent code agree."""
    golden = np.load(GOLDEN)
    images, classes = golden["images"], golden["logits"].argmax(-1)
    cams = grad_cam(model, images, classes, layer=18)
    largest = golden["grad_cam"].max(axis=(1, 2), keepdims=True)
    assert (np.abs(cams - golden["grad_cam"]) <= 1e-4 * largest).all()
    maps = rise(model, images, classes, masks=MASKS)
    np.testing.assert_allclose(maps, golden["rise"], rtol=1e-4)


def rise_by_loops(model, images, classes):
    """Return RISE's maps by its definition, in float64 NumPy."""
    total = np.zeros(images.shape[:3])
    for number in range(MASKS):
        rng = np.random.default_rng((0, number))
        cells = (rng.random((7, 7)) < 0.5).astype("float64")
        top, left = rng.integers(0, 5), rng.integers(0, 5)
        large = numpy_reference.resize_bilinear(cells, (40, 40))
        mask = large[top : top + 32, left : left + 32]
        logits = numpy_reference.logits(model, images * mask[..., None])
        p = np.exp(logits - logits.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        total += p[np.arange(len(p)), classes, None, None] * mask
    return total / (MASKS * 0.5)


if __name__ == "__main__":
    from zoo import tf_keras_vis

    preset = FACNN.from_preset("cifar10")
    pixels = read(SAMPLES)
    exact = numpy_reference.logits(preset, pixels)
    top = exact.argmax(-1)
    np.savez_compressed(
        GOLDEN,
        images=pixels,
        logits=exact,
        grad_cam=tf_keras_vis.grad_cam(preset, pixels, top, layer=18),
        rise=rise_by_loops(preset, pixels, top),
    )
