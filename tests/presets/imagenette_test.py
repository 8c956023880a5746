"""The bundled `imagenette` preset keeps its promises on real photographs."""

import os
import pathlib

import numpy as np
import pytest

from keras_facnn import FACNN
from keras_facnn import load_images
from keras_facnn.metrics import similarity_by_layer
from tests import numpy_reference

SAMPLES = pathlib.Path(__file__).parents[2] / "samples"


@pytest.fixture(scope="module")
def model():
    return FACNN.from_preset("imagenette")


@pytest.fixture(scope="module")
def photographs():
    """200 validation photographs, spread evenly over the classes."""
    root = os.environ.get("KERAS_FACNN_IMAGENETTE")
    if not root:
        pytest.skip("KERAS_FACNN_IMAGENETTE, a folder with val/WNID/*.JPEG")
    paths = sorted(pathlib.Path(root).glob("val/*/*.JPEG"))
    assert len(paths) == 3_925
    paths = [paths[i] for i in np.linspace(0, 3_924, 200).astype(int)]
    folders = sorted({path.parent.name for path in paths})
    labels = np.array([folders.index(path.parent.name) for path in paths])
    return load_images(paths, image_size=160), labels


def test_logits_are_those_of_the_equations(model, optimized):
    images = load_images(SAMPLES / "clothing" / "shoes.jpg", model)
    assert images.shape == (1, 160, 160, 3)
    expected = numpy_reference.logits(model, images)
    actual = model.predict(images, verbose=0)
    assert np.abs(actual - expected).max() <= 1e-4 * np.ptp(expected)


# Other tests compare the logits with NumPy on each backend, and cifar10's maps
# with Grad-CAM.
@pytest.mark.only_on("torch")
def test_accuracy_is_that_of_the_metadata(model, photographs):
    images, labels = photographs
    accuracy = (model.predict(images, verbose=0).argmax(-1) == labels).mean()
    stated = model.preset_metadata["metrics"]["top_1"]
    standard_error = np.sqrt(stated * (1 - stated) / len(labels))
    assert abs(accuracy - stated) < 3 * standard_error


@pytest.mark.only_on("torch")
def test_theorem_1_and_middle_layers(model, photographs):
    images = photographs[0][::10]
    assert model.class_maps(images[:1], 0).shape == (1, 20, 20)
    stated = model.preset_metadata["metrics"]["alignment"]["mean_pearson"]
    depth = similarity_by_layer(model, images, layers=[12, 18, 24])
    assert depth.mean[0] >= stated["fa_12"] - 0.05
    assert depth.mean[1] >= stated["fa_18"] - 0.05
    assert depth.values[:, 2].min() >= 0.99999
