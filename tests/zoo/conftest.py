import contextlib
import importlib
import io
import logging
import os
import pathlib
import pkgutil
import signal
import subprocess
import sys
import types
from unittest import mock

import absl.flags
import absl.logging
import keras
import numpy as np
import pytest
from PIL import Image

import zoo.recipes
from tests.conftest import optimizing
from zoo.inputs import load_any_recipe
from zoo.recipe import Recipe
from zoo.recipe import Stage
from zoo.records import field_names

# Those that train.
RECIPES = [
    m.name
    for m in pkgutil.iter_modules(zoo.recipes.__path__)
    if isinstance(load_any_recipe(m.name), Recipe)
]
NAMES = [f"class_{c}" for c in range(10)]
ROOT = pathlib.Path(__file__).parents[2]


def with_set(flags):
    """Return flags in which all fields of a stage are moved into `--set`."""
    fields = {*field_names(Stage)} - {"init", "teacher"}
    changes = [key for key in flags if "." in key or key in fields]
    rest = {k: v for k, v in flags.items() if k not in changes}
    if changes:
        rest["set"] = ",".join(f"{key}={flags[key]}" for key in changes)
    return rest


def command(module, **flags):
    """Return the command line of a zoo command, as a user types it."""
    values = [f"--{name}={value}" for name, value in flags.items()]
    return [sys.executable, "-m", f"zoo.{module}", *values]


def start(module, log, environment=None, **flags):
    """Start a command in a separate process that writes its output to `log`."""
    return subprocess.Popen(
        command(module, **flags),
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdout=log,
        stderr=subprocess.STDOUT,
    )


def run(name, *words, **flags):
    """Run a command in this process.

    TensorFlow optimizes graphs here, as it does in a separate process.
    Therefore both give exactly the same numbers.

    Returns:
        An object with `returncode` and `output`, which holds stdout and
        stderr.
    """
    from zoo import inputs

    module = importlib.import_module(f"zoo.{name}")
    arguments = [f"--{flag}={value}" for flag, value in flags.items()]
    arguments += words
    output = io.StringIO()
    logger = absl.logging.get_absl_logger()
    handler = logging.StreamHandler(output)
    verbosity = absl.logging.get_verbosity()
    policy = keras.config.dtype_policy()
    handlers = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    values = absl.flags.FLAGS
    before = set(values)
    code = 0
    optimizes = keras.backend.backend() == "tensorflow"
    try:
        logger.addHandler(handler)
        absl.logging.set_verbosity(absl.logging.INFO)
        with (
            optimizing() if optimizes else contextlib.nullcontext(),
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(output),
            mock.patch.object(sys, "argv", [module.__file__, *arguments]),
        ):
            module.define_flags()
            inputs.in_one_line(module.main, values(sys.argv))
    except absl.flags.Error as e:
        # Exit in the same way as `absl.app.run`.
        code = 1
        output.write(f"FATAL Flags parsing error: {e}\n")
    except SystemExit as e:
        code = e.code
    finally:
        for flag in set(values) - before:
            delattr(values, flag)
        values.unparse_flags()
        logger.removeHandler(handler)
        absl.logging.set_verbosity(verbosity)
        keras.config.set_dtype_policy(policy)
        for number, function in handlers.items():
            signal.signal(number, function)
    return types.SimpleNamespace(returncode=code, output=output.getvalue())


@pytest.fixture
def unset_kernels(monkeypatch):
    """Initialize kernels with zeros, for tests that depend only on shapes.

    Random kernels take time to draw, and JAX compiles a program per shape.
    """

    def zeros(self, shape, dtype=None):
        return keras.ops.convert_to_tensor(np.zeros(shape, "float32"), dtype)

    monkeypatch.setattr(keras.initializers.VarianceScaling, "__call__", zeros)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Ten classes of noisy colors, with 12 training and 4 test images each."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    colors = rng.uniform(0, 255, (10, 1, 1, 3))
    for split, n in (("train", 12), ("test", 4)):
        for name, color in zip(NAMES, colors, strict=True):
            where = root / split / name
            where.mkdir(parents=True)
            for i in range(n):
                pixels = color + rng.normal(0, 25, (32, 32, 3))
                pixels = np.clip(pixels, 0, 255).astype("uint8")
                Image.fromarray(pixels).save(where / f"{i}.png")
    return root
