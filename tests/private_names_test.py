"""Private names of Keras are few, each is read in one place, and exists."""

import ast
import pathlib

import keras
import numpy as np
import pytest

from keras_facnn import FACNN

ROOT = pathlib.Path(__file__).parents[1]
# The files that read each name. Keras may change any of these names.
READ = {
    "_flatten_layers": {
        "keras_facnn/_checks/models.py",
        "keras_facnn/architecture/freezing.py",
    },
    "_get_jax_state": {"keras_facnn/training/deep_alignment.py"},
    "_compile_loss": {"keras_facnn/training/custom_loops.py"},
    "_inbound_nodes": {"keras_facnn/_graph/nodes.py"},
    "_keras_history": {"keras_facnn/_graph/nodes.py"},
    "_reduction_axes": {
        "keras_facnn/architecture/graph.py",
        "zoo/baselines.py",
    },
}
# `zoo/muon.py` overrides these, so Keras must still call them.
MUON = {
    "_should_use_adamw",
    "zeropower_via_newtonschulz5",
    "lr_adjust",
}


def private_names(path):
    """Return all names `_y` in expressions `x._y`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            if not node.attr.startswith("__"):
                found.add(node.attr)
    return found


def own_names():
    """Return the private names that the files of this project define."""
    names = set()
    for path in files():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(
                node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
            ):
                names.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
            elif (
                isinstance(node, ast.Attribute)
                and isinstance(node.ctx, ast.Store)
                and isinstance(node.value, ast.Name)
                and node.value.id in ("self", "model")
            ):
                names.add(node.attr)
    return names


def files():
    for folder in ("keras_facnn", "zoo"):
        yield from (ROOT / folder).rglob("*.py")


def test_each_private_name_is_read_only_in_its_place():
    own = own_names() - READ.keys()
    # `sys._getframe`, `os._exit` and a named tuple's `_replace` are of Python.
    own |= {"_getframe", "_exit", "_replace"}
    found = {}
    for path in files():
        for name in private_names(path) - own:
            where = path.relative_to(ROOT).as_posix()
            found.setdefault(name, set()).add(where)
    assert found == READ


@pytest.mark.parametrize("name", sorted(READ))
def test_keras_still_has_it(name):
    model = FACNN(2, depths=(1,), maps_per_class=(1,))
    if name == "_compile_loss":
        model.compile("sgd", "mse")
        loss = model._compile_loss(np.zeros((1, 2)), np.full((1, 2), 2.0))
        assert float(loss) == pytest.approx(4)
    elif name == "_get_jax_state":
        trainer = pytest.importorskip("keras.src.backend.jax.trainer")
        assert callable(trainer.JAXTrainer._get_jax_state)
    elif name == "_flatten_layers":
        assert model.get_layer("head") in list(model._flatten_layers())
    elif name in ("_inbound_nodes", "_keras_history"):
        layer, node, tensor = model.output._keras_history
        assert layer is model.get_layer("head")
        made = layer._inbound_nodes[node].output_tensors[tensor]
        assert made is model.output
    else:
        norm = keras.layers.BatchNormalization()
        norm.build((None, 4, 4, 3))
        assert list(norm._reduction_axes) == [0, 1, 2]
        assert model.get_layer("norm_1")._reduction_axes == (0, 1, 2)


@pytest.mark.parametrize("name", sorted(MUON))
def test_keras_muon_still_calls_it(name, monkeypatch):
    called = []
    original = getattr(keras.optimizers.Muon, name)

    def spy(self, *args, **kwargs):
        called.append(name)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(keras.optimizers.Muon, name, spy)
    kernel = keras.Variable(np.eye(3, dtype="float32"), name="kernel")
    optimizer = keras.optimizers.Muon(0.1)
    optimizer.build([kernel])
    optimizer.apply([keras.ops.ones((3, 3))], [kernel])
    assert called
