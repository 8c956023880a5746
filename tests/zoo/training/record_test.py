import json
import types

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from zoo.data.images import Split
from zoo.inputs import load_recipe
from zoo.training import record

pytestmark = pytest.mark.only_on("torch")

CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck".split()
CLOTHES = [f"garment_{i}" for i in range(10)]


def metadata(monkeypatch, name, folders, **flags):
    names = ("description", "dataset", "dataset_license", "data_note")
    flags = {**dict.fromkeys(names), **flags}
    monkeypatch.setattr(record, "FLAGS", types.SimpleNamespace(**flags))
    recipe = load_recipe(name)
    split = Split(np.array([]), np.array([]), folders, folders, "x", None)
    stage = recipe.stages[-1]
    return record.metadata(recipe, stage, {"data": "mine"}, split, None)


def test_a_command_names_no_folders(monkeypatch):
    paths = ["--data=/home/me/photos", "--init", "/home/me/preset/"]
    paths += ["--set=init=/home/me/preset,teacher.model=/home/me/x.keras"]
    kept = ["--data", "hf://user/repo", "--set=epochs=3,model.depths=(2, 2)"]
    monkeypatch.setattr("sys.argv", ["zoo/train.py", *paths, *kept])
    said = record.command()
    assert "/home" not in said and said.count("./") == 4
    assert "teacher.model=./x.keras" in said
    for word in kept:
        assert word in said


def test_a_recipe_speaks_of_its_own_data_set(monkeypatch):
    said = metadata(monkeypatch, "cifar10", CIFAR10, data_note="JPEG copies")
    assert said["dataset"]["name"] == "CIFAR-10 (JPEG copies)"
    assert "Krizhevsky" in said["dataset"]["license"]
    assert "animals and vehicles" in said["description"]
    wnids = [f"n0144076{i}" for i in range(10)]
    said = metadata(monkeypatch, "imagenette", wnids)
    assert "Imagenette" in said["dataset"]["name"]
    assert "non-commercial" in said["dataset"]["license"]


@pytest.mark.parametrize("name", ["cifar10", "imagenette", "smoke", "photos"])
def test_no_recipe_speaks_of_another_data_set(monkeypatch, name):
    said = metadata(monkeypatch, name, CLOTHES)
    assert said["dataset"] == {"name": "mine", "license": "Not stated."}
    assert said["license"] == "Not stated."
    text = json.dumps(said).lower()
    for word in ("cifar", "imagenet", "krizhevsky", "animals"):
        assert word not in text


@pytest.mark.parametrize(
    "name, folders", [("smoke", CLOTHES), ("cifar10", CIFAR10)]
)
def test_flags_tell_of_the_data(monkeypatch, name, folders):
    said = metadata(
        monkeypatch,
        name,
        folders,
        description="My clothes.",
        dataset="Wardrobe",
        dataset_license="CC0",
    )
    assert said["description"] == "My clothes."
    assert said["dataset"] == {"name": "Wardrobe", "license": "CC0"}
    # The license of the recipe's data set does not apply to another data set.
    said = metadata(monkeypatch, name, folders, dataset="Wardrobe")
    assert said["dataset"] == {"name": "Wardrobe", "license": "Not stated."}
