"""The bundled `imagenet100` preset keeps its promises on real images."""

import csv
import os
import pathlib

import numpy as np
import pytest

from keras_facnn import FACNN
from keras_facnn.metrics import similarity_by_layer
from tests import numpy_reference

SAMPLES = pathlib.Path(__file__).parents[2] / "samples"


@pytest.fixture(scope="module")
def model():
    return FACNN.from_preset("imagenet100")


@pytest.fixture(scope="module")
def photographs():
    """250 validation images, spread evenly over the classes."""
    from PIL import Image

    root = os.environ.get("KERAS_FACNN_IMAGENET100")
    if not root:
        pytest.skip("KERAS_FACNN_IMAGENET100, a folder with val/WNID/*.JPEG")
    root = pathlib.Path(root)
    paths = sorted(root.glob("val/*/*.JPEG"))
    assert len(paths) == 5_000
    paths = [paths[i] for i in np.linspace(0, 4_999, 250).astype(int)]
    with open(root / "classes.tsv", newline="") as file:
        names = {
            row["wnid"]: row["name"]
            for row in csv.DictReader(file, delimiter="\t")
        }
    images = np.stack(
        [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    )
    return images, [names[path.parent.name] for path in paths]


def test_logits_are_those_of_the_equations(model, optimized):
    from PIL import Image

    image = Image.open(SAMPLES / "cat.jpg").resize((64, 64))
    images = np.asarray(image)[None]
    expected = numpy_reference.logits(model, images)
    actual = model.predict(images, verbose=0)
    assert np.abs(actual - expected).max() <= 1e-4 * np.ptp(expected)


# Other tests compare the logits with NumPy on each backend, and cifar10's maps
# with Grad-CAM.
@pytest.mark.only_on("torch")
def test_accuracy_is_that_of_the_metadata(model, photographs):
    images, names = photographs
    best = model.predict(images, verbose=0).argmax(-1)
    predicted = [model.preset_metadata["class_names"][c] for c in best]
    accuracy = np.mean([a == b for a, b in zip(predicted, names, strict=True)])
    stated = model.preset_metadata["metrics"]["top_1"]
    standard_error = np.sqrt(stated * (1 - stated) / len(names))
    assert abs(accuracy - stated) < 3 * standard_error


@pytest.mark.only_on("torch")
def test_theorem_1_and_middle_layers(model, photographs):
    images = photographs[0][::5]
    stated = model.preset_metadata["metrics"]["alignment"]["mean_pearson"]
    depth = similarity_by_layer(model, images, layers=[18, 24])
    assert depth.mean[0] >= stated["fa_18"] - 0.05
    assert depth.values[:, 1].min() >= 0.99999
