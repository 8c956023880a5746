import dataclasses
import inspect
import json
import re

import keras
import numpy as np
import pytest

import zoo.recipes
from keras_facnn import FACNN
from tests.zoo.conftest import RECIPES
from tests.zoo.conftest import ROOT
from tests.zoo.conftest import run
from zoo import networks
from zoo.inputs import load_recipe
from zoo.recipe import Model
from zoo.recipes import imagenet100_224
from zoo.records import field_names

pytestmark = pytest.mark.only_on("torch")

STAGES = [
    (name, stage.name) for name in RECIPES for stage in load_recipe(name).stages
]
PRESETS = ["cifar10", "clothing", "imagenet100", "imagenette"]


@pytest.mark.parametrize("name, stage", STAGES)
def test_every_stage_builds(unset_kernels, name, stage):
    stage = load_recipe(name).stage(stage)
    model = networks.build(
        stage.kind, stage.model.arguments(), pretrained=False
    )
    assert model.output_shape == (None, stage.model.num_classes)
    if stage.kind == "facnn":
        is_hybrid = stage.model.backbone is not None
        assert is_hybrid == (model.backbone is not None)
        if stage.model.num_classes == 100 and not is_hybrid:
            assert model.num_layers == 24


@pytest.mark.parametrize("name, stage", STAGES)
def test_a_stage_starts_from_the_model_of_the_one_that_it_names(name, stage):
    """The same model, but for what a start may differ in."""
    recipe = load_recipe(name)
    stage = recipe.stage(stage)
    free = {"image_shape", "deep_alignment", "stochastic_depth", "alpha"}
    if stage.init is not None:
        start = recipe.stage(stage.init)
        assert start.kind == stage.kind
        one, other = (
            {k: v for k, v in s.model.arguments().items() if k not in free}
            for s in (start, stage)
        )
        assert one == other
    if stage.teacher is not None:
        taught = recipe.stage(stage.teacher.model)
        assert taught.model.num_classes == stage.model.num_classes


@pytest.mark.parametrize("name", PRESETS)
def test_a_recipe_is_the_one_that_made_the_bundled_preset(name):
    """By the records of its runs, the last one first."""
    path = ROOT / "keras_facnn" / "presets" / name / "metadata.json"
    metadata = json.loads(path.read_text("utf-8"))
    recipe = load_recipe(name)
    about = recipe.about
    assert metadata["description"] == about.description
    assert metadata["license"] == about.license
    assert metadata["dataset"]["name"].startswith(about.dataset)
    assert metadata["dataset"]["license"] == about.dataset_license
    training, stage = metadata["training"], recipe.stages[-1]
    compared = 0
    while True:
        made = {**recipe.record(stage), "model": stage.model.arguments()}
        made = json.loads(json.dumps(made))
        if made["crop"]:
            made["crop"]["from"] = made["crop"].pop("from_size")
        recorded = training["recipe"]
        # Keys that a record lacks are younger than it.
        for key, value in recorded["model"].items():
            assert made["model"][key] == value, (stage.name, key)
        for key, value in recorded.items():
            if key != "model":
                assert made[key] == value, (stage.name, key)
        assert stage.precision == training["precision"]
        assert training["seed"] == 0
        taught = training.get("teacher")
        assert (stage.teacher and stage.teacher.weight) == (
            taught and taught["weight"]
        )
        compared += 1
        if stage.init is None:
            break
        training, stage = training["before"], recipe.stage(stage.init)
    assert training["init"] is None
    students = [stage for stage in recipe.stages if stage.kind == "facnn"]
    assert compared == len(students)


@pytest.mark.parametrize(
    "change, message",
    [
        ("cutmx=0.5", "no `cutmx`. Did you mean cutmix.*Received: cutmx=0.5"),
        ("color=1", "no `color`. It takes name, model, .*, mixup"),
        ("cutmix=1.5", "`cutmix` .* at least 0 and at most 1.*cutmix=1.5"),
        ("cutmix=0.7, mixup=0.7", "`cutmix` and `mixup` .* together"),
        ("epochs=1.5", "`epochs` .* an integer of at least 1.*epochs=1.5"),
        ("learning_rate='high'", "`learning_rate` .* a finite number"),
        ("learning_rate=float('nan')", "`learning_rate` .* a finite number"),
        ("optimizer='sgd'", "`optimizer` .* 'adamw' or 'muon'"),
        ("crop=4", "`crop` of Stage must be a Crop, or None"),
        ("pad=2, crop=Crop(smallest=0.3, from_size=(40, 40))", "`pad` must"),
        ("freeze_backbone='('", "`freeze_backbone` needs a `backbone`"),
        ("freeze_backbone='.*'", "`freeze_backbone` needs a `backbone`"),
        ("evidence_penalty=1, baseline='plain'", "only for an FA-CNN"),
        ("name='epochs'", "`name` of Stage must be .* neither a field"),
        ("init='scratch'", "scratch must come after .* scratch is not before"),
        (
            "model=base.model.replace(class_wise_layers=2)",
            "Model takes no `class_wise_layers`. Did you mean classwise_layers",
        ),
        (
            "model=base.model.replace(image_shape=(32, 32))",
            "`image_shape` of Model must be a tuple of 3, each an integer",
        ),
        (
            "model=base.model.replace(alpha=0.2, late_alphas=0.1)",
            "`late_alphas` needs `alpha` to be 'harmonic'",
        ),
        ("model={}", "`model` of Stage must be a Model, or a PooledModel"),
        ("recipe=dict(any_classes=1)", "`any_classes` .* True or False"),
        ("recipe=dict(stages=())", "`stages` .* a tuple, each a Stage"),
        ("recipe=dict(stages=(base, base))", "neither .* another stage's name"),
        (
            "recipe=dict(class_folders='(')",
            "`class_folders` must be a regular expression",
        ),
    ],
)
def test_a_recipe_refuses_what_it_does_not_know(
    folder, tmp_path, monkeypatch, change, message
):
    """In one line, before anything is read; other recipes still work."""
    (tmp_path / "mine.py").write_text(
        '"""Mine."""\nfrom zoo.recipe import Crop\n'
        "from zoo.recipes import smoke\n"
        "(base,) = smoke.recipe.stages\n"
        f"changes = {{'pad': 0, **dict({change})}}\n"
        "of_recipe = changes.pop('recipe', {})\n"
        "stages = (base.replace(**changes),)\n"
        "recipe = smoke.recipe.replace(**{'stages': stages, **of_recipe})\n"
    )
    path = [*zoo.recipes.__path__, str(tmp_path)]
    monkeypatch.setattr(zoo.recipes, "__path__", path)
    flags = {"data": folder, "workdir": tmp_path / "run"}
    result = run("train", recipe="mine", **flags)
    assert result.returncode == 1
    (line,) = result.output.splitlines()
    assert re.search(f"ValueError: zoo/recipes/mine.py: .*{message}", line)
    assert not (tmp_path / "run").exists()
    assert run("cost", recipe="smoke").returncode == 0


def test_a_recipe_module_must_define_a_recipe(tmp_path, monkeypatch):
    (tmp_path / "dictionary.py").write_text("recipe = {'epochs': 1}")
    path = [*zoo.recipes.__path__, str(tmp_path)]
    monkeypatch.setattr(zoo.recipes, "__path__", path)
    result = run("cost", recipe="dictionary")
    assert result.returncode == 1
    assert re.search("must define `recipe`.*Received: dict", result.output)


def test_a_recipe_is_frozen():
    (stage,) = imagenet100_224.recipe.stages
    with pytest.raises(dataclasses.FrozenInstanceError):
        stage.epochs = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        stage.model.depths = (1,)


def test_the_models_keys_are_arguments_and_have_their_defaults():
    arguments = inspect.signature(FACNN.__init__).parameters
    for field in dataclasses.fields(Model):
        if field.name == "late_alphas":
            # What `Model.arguments` makes an `alpha` of.
            continue
        assert field.name in arguments
        if field.default is not dataclasses.MISSING:
            assert field.default == arguments[field.name].default
    (stage,) = imagenet100_224.recipe.stages
    assert stage.model.arguments().keys() == set(field_names(Model)) - {
        "late_alphas"
    }


def test_a_step_of_the_papers_setting_runs(rng):
    (stage,) = imagenet100_224.recipe.stages
    model = FACNN(**stage.model.arguments())
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
