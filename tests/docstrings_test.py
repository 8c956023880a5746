import doctest
import importlib
import pkgutil
import tempfile

import keras
import numpy as np
import pytest

import keras_facnn

MODULES = [
    m.name
    for m in pkgutil.walk_packages(keras_facnn.__path__, "keras_facnn.")
    if not m.name.endswith("__main__")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_do_what_they_say(name):
    module = importlib.import_module(name)
    result = doctest.testmod(
        module,
        extraglobs={
            "np": np,
            "keras": keras,
            "keras_facnn": keras_facnn,
            "tempfile": tempfile,
        },
        optionflags=doctest.ELLIPSIS,
    )
    assert result.failed == 0


def test_every_public_name_has_an_example():
    for room in (
        keras_facnn,
        keras_facnn.layers,
        keras_facnn.attribution,
        keras_facnn.metrics,
    ):
        for name in room.__all__:
            thing = getattr(room, name)
            if callable(thing):
                assert ">>>" in thing.__doc__, name
