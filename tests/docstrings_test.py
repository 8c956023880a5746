import doctest
import importlib
import inspect
import pkgutil

import pytest

import keras_facnn
from keras_facnn import plots
from keras_facnn import runtime

MODULES = [
    m.name
    for m in pkgutil.walk_packages(keras_facnn.__path__, "keras_facnn.")
    if not m.name.endswith("__main__")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_do_what_they_say(name):
    """An example has only the names that it imports."""
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for example in doctest.DocTestFinder().find(module, globs={}):
        runner.run(example)
    assert runner.summarize().failed == 0


def public():
    """Yield the name of each public function and class, and the object."""
    for room in (
        keras_facnn,
        keras_facnn.layers,
        keras_facnn.attribution,
        keras_facnn.metrics,
        plots,
        runtime,
    ):
        for name in room.__all__:
            if callable(getattr(room, name)):
                yield name, getattr(room, name)


def test_every_public_name_has_an_example():
    for name, thing in public():
        assert ">>>" in thing.__doc__, name


# Keras defines their signatures.
OF_KERAS = {
    "build", "call", "compile", "compile_from_config", "compute_loss",
    "compute_metrics", "compute_output_shape", "compute_output_spec",
    "evaluate", "fit", "from_config", "get_config", "get_weights",
    "make_train_function", "predict", "set_weights", "test_step",
    "train_on_batch", "train_step",
}  # fmt: skip


def methods(cls):
    for base in cls.__mro__:
        if base.__module__.startswith("keras_facnn"):
            for name, method in vars(base).items():
                method = getattr(method, "__func__", method)
                shown = not name.startswith("_") or name == "__init__"
                if shown and inspect.isfunction(method):
                    if name not in OF_KERAS:
                        yield f"{base.__name__}.{name}", method


def test_every_public_signature_is_typed():
    for name, thing in public():
        found = methods(thing) if inspect.isclass(thing) else [(name, thing)]
        for where, function in found:
            signature = inspect.signature(function)
            for parameter in signature.parameters.values():
                if parameter.name not in ("self", "cls", "args", "kwargs"):
                    assert parameter.annotation is not parameter.empty, (
                        where,
                        parameter.name,
                    )
            if function.__name__ != "__init__":
                assert signature.return_annotation is not signature.empty, where
