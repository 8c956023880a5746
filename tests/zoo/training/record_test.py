import importlib
import json
import types

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from zoo.data.images import Split
from zoo.training import record

pytestmark = pytest.mark.only_on("torch")

CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck".split()
CLOTHES = [f"garment_{i}" for i in range(10)]


def metadata(monkeypatch, config, folders, **flags):
    names = ("description", "dataset", "dataset_license", "data_note")
    flags = {**dict.fromkeys(names), **flags}
    monkeypatch.setattr(record, "FLAGS", types.SimpleNamespace(**flags))
    config = importlib.import_module(f"zoo.configs.{config}").config
    split = Split(np.array([]), np.array([]), folders, folders, "x", None)
    return record.metadata(config, {"data": "mine"}, split, None)


def test_a_config_speaks_of_its_own_data_set(monkeypatch):
    told = metadata(monkeypatch, "cifar10", CIFAR10, data_note="JPEG copies")
    assert told["dataset"]["name"] == "CIFAR-10 (JPEG copies)"
    assert "Krizhevsky" in told["dataset"]["license"]
    assert "animals and vehicles" in told["description"]
    wnids = [f"n0144076{i}" for i in range(10)]
    told = metadata(monkeypatch, "imagenette_64", wnids)
    assert "Imagenette" in told["dataset"]["name"]
    assert "non-commercial" in told["dataset"]["license"]


@pytest.mark.parametrize(
    "config", ["cifar10", "imagenette_64", "smoke", "photos"]
)
def test_no_config_speaks_of_another_data_set(monkeypatch, config):
    told = metadata(monkeypatch, config, CLOTHES)
    assert told["dataset"] == {"name": "mine", "license": "Not stated."}
    assert told["license"] == "Not stated."
    text = json.dumps(told).lower()
    for word in ("cifar", "imagenet", "krizhevsky", "animals"):
        assert word not in text


@pytest.mark.parametrize(
    "config, folders", [("smoke", CLOTHES), ("cifar10", CIFAR10)]
)
def test_flags_tell_of_the_data(monkeypatch, config, folders):
    told = metadata(
        monkeypatch,
        config,
        folders,
        description="My clothes.",
        dataset="Wardrobe",
        dataset_license="CC0",
    )
    assert told["description"] == "My clothes."
    assert told["dataset"] == {"name": "Wardrobe", "license": "CC0"}
    # Nor does the licence of one data set pass to another.
    told = metadata(monkeypatch, config, folders, dataset="Wardrobe")
    assert told["dataset"] == {"name": "Wardrobe", "license": "Not stated."}
