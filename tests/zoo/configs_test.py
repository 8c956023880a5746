import dataclasses
import importlib
import inspect
import pkgutil
import re

import keras
import numpy as np
import pytest

import zoo.configs
from keras_facnn import FACNN
from tests.zoo.conftest import run
from zoo import networks
from zoo.config import Model
from zoo.configs import imagenet100_224

pytestmark = pytest.mark.only_on("torch")

NAMES = [m.name for m in pkgutil.iter_modules(zoo.configs.__path__)]


@pytest.mark.parametrize("name", NAMES)
def test_every_config_builds(unset_kernels, name):
    config = importlib.import_module(f"zoo.configs.{name}").config
    model = networks.facnn(config.model.arguments(), pretrained=False)
    is_hybrid = config.model.backbone is not None
    assert is_hybrid == (model.backbone is not None)
    if config.model.num_classes == 100 and not is_hybrid:
        assert model.num_layers == 24


@pytest.mark.parametrize(
    "change, message",
    [
        ("cutmx=0.5", "no `cutmx`. Did you mean cutmix.*Received: cutmx=0.5"),
        ("colour=1", "no `colour`. It takes about, model, .*, mixup"),
        ("cutmix=1.5", "`cutmix` .* at least 0 and at most 1.*cutmix=1.5"),
        ("cutmix=0.7, mixup=0.7", "`cutmix` and `mixup` .* together"),
        ("epochs=1.5", "`epochs` .* an integer of at least 1.*epochs=1.5"),
        ("learning_rate='high'", "`learning_rate` .* a finite number"),
        ("learning_rate=float('nan')", "`learning_rate` .* a finite number"),
        ("any_classes=1", "`any_classes` .* True or False"),
        ("optimizer='sgd'", "`optimizer` .* 'adamw' or 'muon'"),
        ("crop=4", "`crop` of Config must be a Crop, or None"),
        ("pad=2, crop=Crop(smallest=0.3, from_size=(40, 40))", "`pad` must"),
        ("class_folders='('", "`class_folders` must be a regular expression"),
        ("freeze_backbone='.*'", "`freeze_backbone` needs a `backbone`"),
        (
            "model=base.model.replace(class_wise_layers=2)",
            "Model takes no `class_wise_layers`. Did you mean classwise_layers",
        ),
        (
            "model=base.model.replace(image_shape=(32, 32))",
            "`image_shape` of Model must be a tuple of 3, each an integer",
        ),
        ("model={}", "`model` of Config must be a Model"),
    ],
)
def test_a_config_refuses_what_it_does_not_know(
    folder, tmp_path, monkeypatch, change, message
):
    """In one line, before anything is read, and no other config is hindered."""
    (tmp_path / "mine.py").write_text(
        '"""Mine."""\nfrom zoo.config import Crop\n'
        "from zoo.configs.smoke import config as base\n"
        f"config = base.replace(**{{'pad': 0, **dict({change})}})\n"
    )
    path = [*zoo.configs.__path__, str(tmp_path)]
    monkeypatch.setattr(zoo.configs, "__path__", path)
    flags = {"data": folder, "workdir": tmp_path / "run"}
    result = run("train", config="mine", **flags)
    assert result.returncode == 1
    (line,) = result.output.splitlines()
    assert re.search(f"ValueError: zoo/configs/mine.py: .*{message}", line)
    assert not (tmp_path / "run").exists()
    assert run("cost", config="smoke").returncode == 0


def test_a_config_module_must_define_a_config(tmp_path, monkeypatch):
    (tmp_path / "dictionary.py").write_text("config = {'epochs': 1}")
    path = [*zoo.configs.__path__, str(tmp_path)]
    monkeypatch.setattr(zoo.configs, "__path__", path)
    result = run("cost", config="dictionary")
    assert result.returncode == 1
    assert re.search("must define `config`.*Received: dict", result.output)


def test_a_config_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        imagenet100_224.config.epochs = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        imagenet100_224.config.model.depths = (1,)


def test_the_models_keys_are_arguments_and_have_their_defaults():
    arguments = inspect.signature(FACNN.__init__).parameters
    for field in dataclasses.fields(Model):
        assert field.name in arguments
        if field.default is not dataclasses.MISSING:
            assert field.default == arguments[field.name].default


def test_a_step_of_the_papers_setting_runs(rng):
    model = FACNN(**imagenet100_224.config.model.arguments())
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
