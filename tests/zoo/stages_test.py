"""A recipe of several stages, by one command."""

import json
import os
import re
import shutil

import keras
import numpy as np
import pytest

import zoo.recipes
from keras_facnn import FACNN
from tests.zoo.conftest import run

pytest.importorskip("tensorflow")

# A teacher, and two stages, of which the second learns from it.
RECIPE = '''"""Three small stages."""

from zoo.recipe import About
from zoo.recipe import Model
from zoo.recipe import Recipe
from zoo.recipe import Stage
from zoo.recipe import Teacher

knows = Stage(
    name="knows",
    model=Model(
        num_classes=10,
        image_shape=(32, 32, 3),
        depths=(1, 1),
        maps_per_class=(1, 2),
        space_to_depth=2,
    ),
    baseline="plain",
    precision="float32",
    epochs=2,
    batch_size=20,
    optimizer="adamw",
    learning_rate=0.01,
    warmup_epochs=0.5,
    weight_decay=0.05,
)
small = knows.replace(
    name="small",
    baseline=None,
    model=knows.model.replace(image_shape=(16, 16, 3)),
)
large = small.replace(
    name="large",
    init="small",
    model=knows.model,
    teacher=Teacher(model="knows", weight=0.9),
    learning_rate=0.0,
)
recipe = Recipe(
    about=About(
        description="Tiny.", dataset=None, dataset_license=None, license="None."
    ),
    train_split="train",
    validation_split="test",
    stages=(knows, small, large),
)
'''


@pytest.fixture
def three(folder, tmp_path, monkeypatch):
    """Runs the recipe, or one of its stages."""
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "three.py").write_text(RECIPE)
    path = [*zoo.recipes.__path__, str(tmp_path / "recipes")]
    monkeypatch.setattr(zoo.recipes, "__path__", path)

    def train(workdir, **flags):
        trial = {"steps_per_epoch": 1, "validate_every": 1}
        flags = {**trial, "data": folder, "workdir": workdir, **flags}
        return run("train", recipe="three", **flags)

    return train


def weights(path):
    return FACNN.from_preset(path / "preset").get_weights()


class Kill(BaseException):
    """Ends a run at once, as a kill does: nothing is written after it."""


def test_one_command_runs_all_stages_and_continues_in_any(
    three, tmp_path, monkeypatch
):
    """Killed in the second stage, and between it and the third."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    result = three(whole)
    assert result.returncode == 0, result.output
    assert re.findall(r"Stage \d of 3: \w+", result.output) == [
        "Stage 1 of 3: knows",
        "Stage 2 of 3: small",
        "Stage 3 of 3: large",
    ]
    # At a rate of 0 the last stage is what it started from.
    for a, b in zip(
        weights(whole / "small"), weights(whole / "large"), strict=True
    ):
        if a.ndim > 1:
            np.testing.assert_array_equal(a, b)
    metadata = FACNN.from_preset(whole / "large" / "preset").preset_metadata
    assert metadata["description"] == "Tiny."
    training = metadata["training"]
    assert training["recipe"]["stage"] == "large"
    assert training["init"] == "small"
    assert training["teacher"]["name"] == "knows"
    assert training["before"]["recipe"]["stage"] == "small"
    before = FACNN.from_preset(whole / "small" / "preset").preset_metadata
    assert "The stage small, which others follow" in before["description"]
    assert keras.saving.load_model(whole / "knows" / "model.keras")

    real = os.replace
    # In the second stage, and when it has just been noted as finished.
    for file, times in (("small/last.weights.h5", 2), ("small/run.json", 2)):
        seen = []

        def replace(source, target, file=file, times=times, seen=seen):
            real(source, target)
            seen.append(os.path.relpath(target, killed))
            if (seen[-1], seen.count(file)) == (file, times):
                raise Kill

        monkeypatch.setattr(os, "replace", replace)
        with pytest.raises(Kill):
            three(killed)
        monkeypatch.setattr(os, "replace", real)
        assert (killed / "small" / "run.json").exists()
        assert not (killed / "large" / "run.json").exists()
    log = (killed / "knows" / "log.csv").read_text()
    result = three(killed)
    assert result.returncode == 0, result.output
    # What is finished is not read again.
    assert len(re.findall("This run is finished", result.output)) == 2
    assert len(re.findall("Reading", result.output)) == 2
    assert (killed / "knows" / "log.csv").read_text() == log
    for name in ("small", "large"):
        for a, b in zip(
            weights(whole / name), weights(killed / name), strict=True
        ):
            np.testing.assert_array_equal(a, b)


@pytest.mark.only_on("torch")
def test_a_stage_runs_by_itself(three, tmp_path):
    result = three(tmp_path / "small", stage="small")
    assert result.returncode == 0, result.output
    assert not re.search(r"Stage \d of", result.output)
    result = three(tmp_path / "large", stage="large")
    assert result.returncode == 1
    assert "`--stage large` needs `--init`" in result.output
    flags = {"stage": "large", "init": tmp_path / "small" / "preset"}
    result = three(tmp_path / "large", **flags)
    assert "`--stage large` needs `--teacher`" in result.output
    # Also where a preset has the name of a stage.
    flags |= {"teacher": "knows"}
    result = three(tmp_path / "large", **flags)
    assert "needs `--teacher`" not in result.output
    flags |= {"teacher": tmp_path / "small" / "preset"}
    result = three(tmp_path / "large", **flags, set="model.depths=(2,1)")
    assert result.returncode == 1
    assert "must be the recipe's model" in result.output
    flags |= {"set": "teacher.weight=0.25"}
    result = three(tmp_path / "other", **flags)
    assert result.returncode == 0, result.output
    run = json.loads((tmp_path / "other" / "run.json").read_text())
    assert run["teacher"]["weight"] == 0.25
    assert run["init"] == run["teacher"]["name"] == "preset"
    assert run["finished"]


@pytest.mark.only_on("torch")
@pytest.mark.parametrize(
    "flags, message",
    [
        ({"stage": "big"}, "`--stage` must be one of knows, small, large"),
        ({"init": "cifar10"}, "`--init` needs a single `--stage`"),
        ({"teacher": "cifar10"}, "`--teacher` needs a single `--stage`"),
        ({"set": "large.batch_size=200"}, "at most the 120 .*batch_size=200"),
        ({"set": "large.model.num_classes=9"}, "is for 9 classes"),
    ],
)
def test_refuses_before_any_stage_runs(three, tmp_path, flags, message):
    result = three(tmp_path / "run", **flags)
    assert result.returncode == 1
    assert re.search(message, result.output), result.output
    assert not [*tmp_path.glob("run/**/*.h5")]


@pytest.mark.only_on("torch")
def test_refuses_to_continue_a_stage_that_was_changed(three, tmp_path):
    result = three(tmp_path / "run")
    assert result.returncode == 0, result.output
    result = three(tmp_path / "run", set="small.epochs=3")
    assert result.returncode == 1
    assert re.search("run/small holds another run.*epochs", result.output)
    shutil.rmtree(tmp_path / "run" / "large")
    result = three(tmp_path / "run", set="large.epochs=1")
    assert result.returncode == 0, result.output
