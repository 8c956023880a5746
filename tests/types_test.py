"""A type checker finds the mistakes of users, and accepts correct lines."""

import os
import pathlib
import re
import subprocess
import sys

import keras
import pytest

from keras_facnn import keras_model

ROOT = pathlib.Path(__file__).parents[1]
SCRIPT = ROOT / "tests" / "user_script.py"
# The planted mistakes that mypy does not find.
NOT_FOUND: set[int] = set()


@pytest.fixture
def user(tmp_path):
    """A Python of a user, who has installed the package."""
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", tmp_path], check=True
    )
    (packages,) = tmp_path.glob("[lL]ib/**/site-packages")
    os.symlink(ROOT / "keras_facnn", packages / "keras_facnn")
    # NumPy and Matplotlib.
    others = [p for p in sys.path if p.endswith("site-packages")]
    (packages / "others.pth").write_text("\n".join(others))
    return next(tmp_path.glob("[bS]*/python*"))


@pytest.mark.only_on("torch")
def test_mypy_finds_mistakes_of_users(user, tmp_path):
    """As `mypy user_script.py` in a folder of theirs, without a config."""
    lines = SCRIPT.read_text("utf-8").splitlines()
    planted = {
        int(found[1]): number
        for number, line in enumerate(lines, 1)
        if (found := re.search(r"# mistake (\d+):", line))
    }
    assert list(planted) == list(range(1, 14))
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file=", SCRIPT]
        + ["--python-executable", user, "--cache-dir", tmp_path / "cache"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 1, checked.stderr
    said = checked.stdout
    # Only in the script, for which the lines of other files don't matter.
    found = re.findall(r"^(?:.*/)?user_script\.py:(\d+): error", said, re.M)
    wrong = {int(line) for line in found}
    missed = {n for n, line in planted.items() if line not in wrong}
    assert wrong <= set(planted.values()), said
    assert missed == NOT_FOUND, said
    assert len(planted) - len(NOT_FOUND) >= 12


def test_no_name_of_a_keras_model_is_missing():
    """Or a type checker would refuse it."""
    stub = pathlib.Path(keras_model.__file__).with_suffix(".pyi")
    text = stub.read_text("utf-8")
    typed = set(re.findall(r"^    (?:def )?(\w+)[(:]", text, re.MULTILINE))
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    public = {name for name in dir(model) if not name.startswith("_")}
    assert public - typed == set()
    assert keras_model.KerasModel is keras.Model
