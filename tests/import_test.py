"""Rules for imports between rooms."""

import ast
import importlib
import importlib.util
import operator
import os
import pathlib
import pkgutil
import subprocess
import sys
import types

import keras
import pytest

import keras_facnn

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "keras_facnn"
HAS_SERVING = all(
    importlib.util.find_spec(name)
    for name in ("starlette", "prometheus_client")
)
FRAMEWORKS = {"tensorflow", "tf", "jax", "jaxlib", "torch", "flax"}
# Data goes one way: a room imports only from rooms to its left.
ROOMS = [
    "version",
    "types",
    "keras_model",
    "_checks",
    "_progress",
    "_files",
    "regions",
    "pictures",
    "maps",
    "colors",
    "grid",
    "watching",
    "runtime",
    "batch",
    "_backend",
    "layers",
    "_graph",
    "architecture",
    "training",
    "explaining",
    "attribution",
    "metrics",
    "presets",
    "export",
    "model",
    "plots",
    "evaluation",
    "auditing",
    "transfer",
    "demo",
    "serving",
    "cli",
    "__main__",
]

# Public rooms that work without Keras, which `import keras_facnn` leaves out.
BY_THEIR_OWN_NAME = ["runtime", "watching", "batch"]


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
    # These names of the package itself are from rooms left of the plots.
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
            assert top not in ("gradio", "fastapi")
        if parts[0] not in ("demo", "serving"):
            assert top not in ("starlette", "uvicorn")
        inner = name.partition(".")[2]
        if top == "keras_facnn" and inner and parts != ("__init__",):
            assert room_of(inner) <= room_of(".".join(parts))
            if parts[0] == "serving":
                assert f"{inner}.".startswith("serving.") or (
                    room_of(inner) <= ROOMS.index("runtime")
                ), "the server imports no Keras"


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.name
)
def test_parts_of_scipy_are_imported_when_they_are_used(path):
    """`import scipy` imports none of them; together they take seconds."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert not node.module.startswith("scipy")
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            assert not any(name.startswith("scipy.") for name in names)


def test_no_file_has_the_name_of_a_public_function():
    """Otherwise, `import keras_facnn.metrics.x as m` gives the function."""
    for info in pkgutil.walk_packages(keras_facnn.__path__, "keras_facnn."):
        # All modules of this room need packages that not all users install.
        if info.name.startswith("keras_facnn.serving.") and not HAS_SERVING:
            continue
        if not info.name.endswith("__main__"):
            module = importlib.import_module(info.name)
            name = info.name.removeprefix("keras_facnn.")
            assert operator.attrgetter(name)(keras_facnn) is module, name


def public_names_used(path):
    """Return the dotted names of the package that a file uses.

    These are imported names, and attributes of imported modules, such as
    `keras_facnn.metrics.pearson` or `metrics.pearson`.
    """
    tree = ast.parse(path.read_text("utf-8"))
    modules = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "keras_facnn":
                    yield alias.name
                    modules[alias.asname or "keras_facnn"] = (
                        alias.name if alias.asname else "keras_facnn"
                    )
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module.split(".")[0] == "keras_facnn":
                for alias in node.names:
                    name = f"{node.module}.{alias.name}"
                    yield name
                    modules[alias.asname or alias.name] = name
    for node in ast.walk(tree):
        names = []
        while isinstance(node, ast.Attribute):
            names.insert(0, node.attr)
            node = node.value
        if names and isinstance(node, ast.Name) and node.id in modules:
            yield ".".join([modules[node.id], *names])


def is_public(name):
    """Return whether each module of a dotted name lists the next part."""
    first, *parts = name.split(".")
    thing = importlib.import_module(first)
    for part in parts:
        if not isinstance(thing, types.ModuleType):
            return True
        shown = [name for name in dir(thing) if not name.startswith("_")]
        shown = [*getattr(thing, "__all__", shown), "__all__"]
        if thing is keras_facnn:
            shown += BY_THEIR_OWN_NAME
        if part not in shown:
            return False
        if thing is keras_facnn and part in BY_THEIR_OWN_NAME:
            # It is an attribute of the package only once it is imported.
            importlib.import_module(f"keras_facnn.{part}")
        thing = getattr(thing, part)
    return True


def test_zoo_uses_only_public_names():
    used = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in (ROOT / "zoo").rglob("*.py")
        for name in public_names_used(path)
    }
    assert ("zoo/networks.py", "keras_facnn.FACNN.from_preset") in used
    assert ("zoo/compare.py", "keras_facnn.metrics.pixel_removal") in used
    assert [use for use in sorted(used) if not is_public(use[1])] == []


def test_sees_names_that_are_not_public(tmp_path):
    path = tmp_path / "file.py"
    path.write_text(
        "import keras_facnn\n"
        "from keras_facnn import metrics as m\n"
        "from keras_facnn.attribution import _cam\n"
        "keras_facnn.pictures.read_picture(m.pearson, m.hidden.name)\n"
        "keras_facnn.FACNN.from_preset('x')._read\n"
    )
    assert {n for n in public_names_used(path) if not is_public(n)} == {
        "keras_facnn.attribution._cam",
        "keras_facnn.metrics.hidden",
        "keras_facnn.metrics.hidden.name",
        "keras_facnn.pictures",
        "keras_facnn.pictures.read_picture",
    }


def test_the_package_shows_only_its_public_names():
    assert dir(keras_facnn) == sorted(keras_facnn.__all__)
    for name in dir(keras_facnn):
        assert getattr(keras_facnn, name) is not None
    with pytest.raises(AttributeError, match="'no_such_name'"):
        _ = keras_facnn.no_such_name


@pytest.mark.only_on("torch")
def test_help_works_without_a_backend():
    code = "import inspect, keras_facnn; inspect.getmembers(keras_facnn)"
    environment = {**os.environ, "KERAS_BACKEND": "no_such"}
    subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=ROOT, env=environment
    )


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
assert "plots" not in dir(keras_facnn)
try:
    keras_facnn.plots
except ImportError as e:
    assert "pip install 'keras-facnn[plots]'" in str(e)
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
