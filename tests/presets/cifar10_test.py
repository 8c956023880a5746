"""What the bundled `cifar10` preset promises, on real images.

`cifar10_golden.npz` holds the pixels of the sample images and their logits in
float64, made by `python -m tests.presets.cifar10_test` with NumPy alone.
"""

import os
import pathlib

import keras
import numpy as np
import pytest

from keras_facnn import FACNN
from keras_facnn.attribution import grad_cam
from keras_facnn.metrics import pearson
from tests import numpy_reference

GOLDEN = pathlib.Path(__file__).with_name("cifar10_golden.npz")
SAMPLES = sorted(pathlib.Path(__file__).parents[2].glob("samples/*.jpg"))


def read(paths):
    from PIL import Image

    return np.stack([np.asarray(Image.open(path)) for path in paths])


@pytest.fixture(scope="module")
def model():
    return FACNN.from_preset("cifar10")


@pytest.fixture(scope="module")
def photographs():
    """256 test images, evenly spread over the classes."""
    root = os.environ.get("KERAS_FACNN_CIFAR10")
    if not root:
        pytest.skip("KERAS_FACNN_CIFAR10, a folder with test/CLASS/*.jpg")
    paths = sorted(pathlib.Path(root).glob("test/*/*.jpg"))
    assert len(paths) == 10_000
    paths = [paths[i] for i in np.linspace(0, 9_999, 256).astype(int)]
    names = FACNN.presets["cifar10"]["class_names"]
    labels = np.array([names.index(path.parent.name) for path in paths])
    return read(paths), labels


def test_golden_logits(model):
    """The same on TensorFlow, JAX and PyTorch, and by NumPy."""
    golden = np.load(GOLDEN)
    actual = model.predict(golden["images"], verbose=0)
    np.testing.assert_allclose(actual, golden["logits"], rtol=1e-4)


def test_golden_logits_are_those_of_the_weights(model):
    """A new preset without new golden logits must not pass unnoticed."""
    golden = np.load(GOLDEN)
    np.testing.assert_allclose(
        numpy_reference.logits(model, golden["images"]),
        golden["logits"],
        rtol=1e-9,
    )


def test_theorem_1_completeness_and_evidence(model, photographs):
    images, _ = photographs
    logits, maps = model.predict_with_maps(images, batch_size=128)
    reference = grad_cam(model, images, "all", layer=24, batch_size=128)
    correlations = pearson(
        np.moveaxis(maps, -1, 1).reshape(-1, 8, 8),
        np.moveaxis(reference, -1, 1).reshape(-1, 8, 8),
    )
    assert len(correlations) == 2560
    assert correlations.min() >= 0.99999

    span = np.ptp(logits)
    scale = np.exp(keras.ops.convert_to_numpy(model.head.log_scale))
    assert np.abs(logits - scale * maps.mean((1, 2))).max() <= 1e-3 * span
    evidence = model.layer_evidence(images, "all", batch_size=128)
    assert np.abs(logits - evidence.sum(1)).max() <= 1e-3 * span

    measured = model.verify(images, batch_size=128)
    assert measured["theorem_1_correlation"] >= 0.99999
    assert measured["completeness_error"] <= 1e-3
    assert measured["evidence_error"] <= 1e-3


def test_accuracy_is_what_the_metadata_say(model, photographs):
    images, labels = photographs
    accuracy = (model.predict(images, verbose=0).argmax(-1) == labels).mean()
    stated = model.preset_metadata["metrics"]["top_1"]
    standard_error = np.sqrt(stated * (1 - stated) / len(labels))
    assert abs(accuracy - stated) < 3 * standard_error


def test_middle_layers_are_aligned(model, photographs):
    images = photographs[0][::4]
    classes = model.predict(images, verbose=0).argmax(-1)
    correlations = pearson(
        model.class_maps(images, classes, layer=18),
        grad_cam(model, images, classes, layer=18),
    )
    stated = model.preset_metadata["metrics"]["alignment"]["mean_pearson"]
    assert abs(np.nanmean(correlations) - stated["fa_18"]) < 0.05


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="tf-keras-vis needs the TensorFlow backend",
)
def test_tf_keras_vis_draws_the_same_map(model):
    gradcam = pytest.importorskip("tf_keras_vis.gradcam")
    scores = pytest.importorskip("tf_keras_vis.utils.scores")
    images = np.load(GOLDEN)["images"].astype("float32")
    classes = model.predict(images, verbose=0).argmax(-1)
    theirs = gradcam.Gradcam(model, clone=False)(
        scores.CategoricalScore(classes.tolist()),
        images,
        penultimate_layer="fa_24",
        seek_penultimate_conv_layer=False,
        normalize_cam=False,
        expand_cam=False,
    )
    ours = model.class_maps(images, classes)
    scale = np.exp(keras.ops.convert_to_numpy(model.head.log_scale))
    np.testing.assert_allclose(
        theirs, scale / 64 * ours, rtol=1e-4, atol=1e-4 * np.max(theirs)
    )


if __name__ == "__main__":
    preset = FACNN.from_preset("cifar10")
    pixels = read(SAMPLES)
    np.savez_compressed(
        GOLDEN, images=pixels, logits=numpy_reference.logits(preset, pixels)
    )
