import importlib
import pkgutil

import keras
import numpy as np
import pytest

import zoo.configs
from keras_facnn import FACNN
from zoo import networks
from zoo.configs import imagenet100_224

pytestmark = pytest.mark.only_on("torch")

NAMES = [m.name for m in pkgutil.iter_modules(zoo.configs.__path__)]


@pytest.mark.parametrize("name", NAMES)
def test_every_config_builds(unset_kernels, name):
    config = importlib.import_module(f"zoo.configs.{name}").config
    model = networks.facnn(config["model"], pretrained=False)
    is_hybrid = "backbone" in config["model"]
    assert is_hybrid == (model.backbone is not None)
    if config["model"]["num_classes"] == 100 and not is_hybrid:
        assert model.num_layers == 24
    assert {"description", "dataset", "dataset_license", "license"} == set(
        config["about"]
    )


def test_a_step_of_the_papers_setting_runs(rng):
    model = FACNN(**imagenet100_224.config["model"])
    model.compile(
        keras.optimizers.SGD(0.01),
        keras.losses.CategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    images = rng.integers(0, 256, (2, 224, 224, 3)).astype("uint8")
    labels = np.eye(100, dtype="float32")[[3, 7]]
    before = model.get_weights()
    loss = model.train_on_batch(images, labels)
    # Of 100 classes, and less than half as much again for deep alignment.
    assert np.log(100) < loss < 2 * np.log(100)
    changed = [
        not np.array_equal(a, b)
        for a, b in zip(before, model.get_weights(), strict=True)
    ]
    assert all(changed)
