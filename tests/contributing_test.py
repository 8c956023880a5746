"""The table of CONTRIBUTING.md is complete, and everything is in its files."""

import pathlib
import re

import pytest

import keras_facnn
from keras_facnn.export.formats import FORMATS

ROOT = pathlib.Path(__file__).parents[1]
ROWS = {
    kind: re.findall(r"`([^`]+)`", files)
    for kind, files in re.findall(
        r"^\| ([a-z][a-z ]+) \| (.* \| .*) \|$",
        (ROOT / "CONTRIBUTING.md").read_text("utf-8"),
        re.MULTILINE,
    )
    if kind != "new"
}
RECIPES = {path.stem for path in (ROOT / "zoo" / "recipes").glob("*.py")}
NAMES = {
    "attribution method": sorted(keras_facnn.attribution.__all__),
    # Results have capitals.
    "metric": [n for n in keras_facnn.metrics.__all__ if n.islower()],
    "layer": keras_facnn.layers.__all__,
    "recipe": sorted(RECIPES - {"__init__"}),
    "preset": sorted(keras_facnn.FACNN.presets),
    "export format": sorted(FORMATS),
}
# What does not depend on the backend.
pytestmark = pytest.mark.only_on("torch")


def test_the_table_has_every_kind():
    assert set(ROWS) == set(NAMES)
    for kind, names in NAMES.items():
        assert len(names) >= 4, kind
        assert len(ROWS[kind]) >= 3, kind


@pytest.mark.parametrize(
    "kind, name",
    [(kind, name) for kind, names in NAMES.items() for name in names],
)
def test_every_file_of_the_table_names_it(kind, name):
    for pattern in ROWS[kind]:
        paths = list(ROOT.glob(pattern.replace("NAME", name)))
        if "*" in pattern:
            paths = [path for path in paths if path.name != "__init__.py"]
        assert paths, f"{name} has no {pattern}"
        if "NAME" not in pattern:
            word = re.compile(rf"\b{re.escape(name)}\b")
            assert any(
                word.search(path.read_text("utf-8")) for path in paths
            ), f"{pattern} does not name {name}"
