"""The architecture, as rules."""

import ast
import importlib
import operator
import pathlib
import pkgutil
import subprocess
import sys

import keras
import pytest

import keras_facnn

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "keras_facnn"
FRAMEWORKS = {"tensorflow", "tf", "jax", "jaxlib", "torch", "flax"}
# Data goes one way: a room imports only from rooms to its left.
ROOMS = [
    "version",
    "types",
    "_checks",
    "pictures",
    "maps",
    "_backend",
    "layers",
    "_graph",
    "architecture",
    "training",
    "explaining.explanation",
    "attribution",
    "metrics",
    "explaining",
    "presets",
    "architecture.fusing",
    "export",
    "model",
    "sharing",
    "plots",
    "demo",
    "cli",
    "__main__",
]


def imports(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            if node.module == "keras_facnn":
                yield from (f"keras_facnn.{a.name}" for a in node.names)
            else:
                yield node.module


def room_of(module):
    # The package's own names are those of what stands left of the plots.
    module = {
        "FACNN": "model",
        "__version__": "version",
        "load_images": "pictures",
        "printable": "_checks",
    }.get(module, module)
    return max(
        ROOMS.index(room)
        for room in ROOMS
        if f"{module}.".startswith(f"{room}.")
    )


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.name
)
def test_rules_of_the_house(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    for name in imports(path):
        top = name.split(".")[0]
        assert top != "zoo"
        if parts[0] not in ("_backend", "export"):
            assert top not in FRAMEWORKS
        if parts[0] not in ("pictures", "plots", "demo", "cli"):
            assert top not in ("matplotlib", "PIL")
        if parts[0] != "demo":
            assert top not in ("gradio", "fastapi", "uvicorn")
        inner = name.partition(".")[2]
        if top == "keras_facnn" and inner and parts != ("__init__",):
            assert room_of(inner) <= room_of(".".join(parts))


def test_no_file_has_the_name_of_a_public_function():
    """Or `import keras_facnn.metrics.x as m` gives the function."""
    for info in pkgutil.walk_packages(keras_facnn.__path__, "keras_facnn."):
        if not info.name.endswith("__main__"):
            module = importlib.import_module(info.name)
            name = info.name.removeprefix("keras_facnn.")
            assert operator.attrgetter(name)(keras_facnn) is module, name


def test_zoo_uses_public_names_alone():
    public = {"keras_facnn"} | {
        f"keras_facnn.{name}" for name in keras_facnn.__all__
    }
    for path in (ROOT / "zoo").rglob("*.py"):
        for name in imports(path):
            if name.split(".")[0] == "keras_facnn":
                assert name in public, (path, name)


@pytest.mark.skipif(
    keras.backend.backend() == "tensorflow",
    reason="TensorFlow is what has to be absent",
)
def test_needs_no_tensorflow_matplotlib_or_network():
    code = """
import socket, sys
for name in ("tensorflow", "matplotlib", "PIL", "gradio"):
    sys.modules[name] = None
def no_network(*args):
    raise OSError("network")
socket.socket.connect = no_network
import numpy as np
import keras_facnn
model = keras_facnn.FACNN.from_preset("cifar10")
assert model.class_maps(np.zeros((1, 32, 32, 3))).shape == (1, 8, 8, 10)
from keras_facnn import *
assert FACNN is keras_facnn.FACNN
try:
    keras_facnn.plots
except ImportError as e:
    assert "pip install 'keras-facnn[plots]'" in str(e)
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
