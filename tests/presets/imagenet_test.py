"""The bundled `imagenet` preset keeps its promises on photographs."""

import os
import pathlib

import keras
import numpy as np
import pytest

from keras_facnn import FACNN
from keras_facnn import load_images
from keras_facnn.metrics import energy_pointing_game
from keras_facnn.metrics import pointing_game

ROOT = pathlib.Path(__file__).parents[2]
SAMPLES = sorted((ROOT / "samples" / "imagenet").glob("*.jpg"))
GOLDEN = pathlib.Path(__file__).with_name("imagenet_golden.npz")


@pytest.fixture(scope="module")
def model():
    return FACNN.from_preset("imagenet")


@pytest.fixture(scope="module")
def photographs():
    """Every fifth official validation photograph, and their labels' numbers."""
    root = os.environ.get("KERAS_FACNN_IMAGENET")
    if not root:
        pytest.skip("KERAS_FACNN_IMAGENET, a folder with val/WNID/*.JPEG")
    paths = sorted(pathlib.Path(root).glob("val/*/*.JPEG"))
    assert len(paths) == 650
    table = (ROOT / "zoo" / "recipes" / "imagenet.tsv").read_text("utf-8")
    wnids = [line.split("\t")[0] for line in table.splitlines()[1:]]
    paths = paths[::5]
    labels = [wnids.index(path.parent.name) for path in paths]
    return load_images(paths, image_size=256), np.array(labels)


def test_every_backend_gives_the_logits_that_the_classifier_gave(
    model, optimized
):
    """EfficientNet-Lite1 in float32, before its weights became float16."""
    golden = np.load(GOLDEN)
    actual = model.probabilities(model.predict(golden["images"], verbose=0))
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(golden["logits"]))
    assert np.abs(actual - expected).max() < 0.01
    assert expected.max() > 0.3


@pytest.mark.only_on("torch")
def test_accuracy_is_that_of_the_metadata(model, photographs):
    images, labels = photographs
    predicted = model.predict(images, batch_size=26, verbose=0).argmax(-1)
    stated = model.preset_metadata["metrics"]["top_1"]
    standard_error = np.sqrt(stated * (1 - stated) / len(labels))
    assert abs((predicted == labels).mean() - stated) < 3 * standard_error


@pytest.mark.only_on("torch")
def test_knows_the_samples(model):
    explanation = model.explain(load_images(SAMPLES, model))
    names = [explanation.name_of(c) for c in explanation.classes]
    assert [path.stem for path in SAMPLES] == [
        "cat",
        "coffee",
        "palace",
        "rocket",
    ]
    assert names[:3] == ["Egyptian cat", "espresso", "palace"]
    # No class is a rocket.
    assert explanation.probabilities[3].max() < 0.2


@pytest.mark.only_on("torch")
def test_its_map_is_the_logit_and_grad_cam(model):
    images = load_images(SAMPLES, model)
    exactness = model.verify(images)
    assert exactness["theorem_1_correlation"] > 0.99999
    assert exactness["completeness_error"] < 1e-4
    logits, maps = model.predict_with_maps(images)
    assert maps.shape == (4, 16, 16, 1000)
    assert maps.min() >= 0
    np.testing.assert_allclose(maps.mean((1, 2)), logits, rtol=1e-4)


@pytest.mark.only_on("torch")
def test_its_map_points_at_the_cat(model):
    """The face is in the left half of the square; no box is published."""
    cat = load_images(SAMPLES[0], model)
    maps = model.class_maps(cat, "Egyptian cat", centered=True)
    box = [[30, 20, 190, 230]]
    assert pointing_game(maps, box, (256, 256)).mean == 1
    energy = energy_pointing_game(maps, box, (256, 256)).mean
    assert energy > 160 * 210 / 256**2


def test_says_where_it_is_from(model):
    metadata = model.preset_metadata
    assert "EfficientNet-Lite1" in metadata["description"]
    assert metadata["license"].startswith("Apache-2.0")
    assert "ImageNet" in metadata["dataset"]["name"]
    assert "non-commercial" in metadata["dataset"]["license"]
    folder = ROOT / "keras_facnn" / "presets" / "imagenet"
    assert sum(p.stat().st_size for p in folder.iterdir()) <= 12_000_000
