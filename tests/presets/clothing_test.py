"""The bundled `clothing` preset keeps its promises on real photographs."""

import os
import pathlib

import numpy as np
import pytest

from keras_facnn import FACNN
from keras_facnn import load_images
from keras_facnn.metrics import similarity_by_layer

ROOT = pathlib.Path(__file__).parents[2]
SAMPLES = sorted((ROOT / "samples" / "clothing").glob("*.jpg"))


@pytest.fixture(scope="module")
def model():
    return FACNN.from_preset("clothing")


@pytest.fixture(scope="module")
def photographs():
    """Every third of the 341 validation photographs."""
    root = os.environ.get("KERAS_FACNN_CLOTHING")
    if not root:
        pytest.skip("KERAS_FACNN_CLOTHING, a folder with val/CLASS/*.jpg")
    paths = sorted(pathlib.Path(root).glob("val/*/*.jpg"))
    assert len(paths) == 341
    paths = paths[::3]
    return load_images(paths, image_size=224), [p.parent.name for p in paths]


# The test below shows that all backends give the same logits.
@pytest.mark.only_on("torch")
def test_accuracy_is_that_of_the_metadata(model, photographs):
    images, names = photographs
    best = model.predict(images, verbose=0).argmax(-1)
    predicted = [model.class_names[c] for c in best]
    accuracy = np.mean([a == b for a, b in zip(predicted, names, strict=True)])
    stated = model.preset_metadata["metrics"]["top_1"]
    assert stated > 0.9
    standard_error = np.sqrt(stated * (1 - stated) / len(names))
    assert abs(accuracy - stated) < 3 * standard_error


def test_every_backend_gives_the_logits_that_tensorflow_gave(model, optimized):
    golden = np.load(pathlib.Path(__file__).with_name("clothing_golden.npz"))
    logits = model.predict(golden["images"], verbose=0)
    expected = golden["logits"]
    assert np.abs(logits - expected).max() <= 1e-4 * np.ptp(expected)


@pytest.mark.only_on("torch")
def test_maps_equal_grad_cam_at_every_layer(model):
    images = load_images(SAMPLES, model)
    assert model.class_maps(images[:1], 0).shape == (1, 14, 14)
    stated = model.preset_metadata["metrics"]["alignment"]["mean_pearson"]
    depth = similarity_by_layer(model, images)
    assert depth.columns == (1, 2, 3, 4)
    for layer, mean in zip(depth.columns, depth.mean, strict=True):
        assert mean >= stated[f"fa_{layer}"] - 0.05
    assert model.verify(images)["completeness_error"] < 1e-4


def test_names_the_sources_of_photographs_and_weights(model):
    metadata = model.preset_metadata
    assert "EfficientNet-Lite0" in metadata["description"]
    assert "Apache-2.0" in metadata["license"]
    assert metadata["dataset"]["license"] == "CC0"
    assert "clothing-dataset-small" in metadata["dataset"]["name"]


def test_classifies_the_samples(model):
    explanation = model.explain(load_images(SAMPLES, model))
    names = [explanation.name_of(c) for c in explanation.classes]
    assert names == [path.stem for path in SAMPLES]
