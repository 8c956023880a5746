"""The wheel runs README's first lines in an empty environment.

`make test-wheel` runs this. It downloads JAX and Matplotlib, as a user would.
"""

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
# Each process of the environment refuses to open a file of the checkout.
GUARD = f"""
import os, sys
def refuse(event, arguments):
    if event == "open" and isinstance(arguments[0], str):
        if os.path.realpath(arguments[0]).startswith({str(ROOT) + os.sep!r}):
            raise RuntimeError("The checkout is read: " + arguments[0])
sys.addaudithook(refuse)
"""
# The variables of a user's process, which know nothing of the checkout.
VARIABLES = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
VARIABLES["KERAS_BACKEND"] = "jax"


def run(*command, cwd):
    ran = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=VARIABLES,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy of the checkout, so that no earlier build is in it."""
    source = tmp_path_factory.mktemp("source")
    for name in ("keras_facnn", "pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, source / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet"]
    run(*pip, "wheel", "--no-deps", "--wheel-dir", "dist", ".", cwd=source)
    (path,) = (source / "dist").iterdir()
    return path


@pytest.fixture(scope="module")
def programs(wheel, tmp_path_factory):
    """Programs of an environment with the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin/python"]
    run(*pip, "install", "--quiet", f"{wheel}[jax,plots]", cwd=folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "sitecustomize.py").write_text(GUARD)
    yield folder / "bin"
    shutil.rmtree(folder)


def test_holds_the_package_and_its_data_only(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    folder = f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"
    assert {name.split("/")[0] for name in names} == {"keras_facnn", folder}
    assert f"{folder}/licenses/LICENSE" in names
    missing = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "keras_facnn").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    } - names
    assert missing == set()
    assert wheel.stat().st_size < 60 * 10**6


def test_the_guard_refuses_the_checkout(programs, tmp_path):
    code = f"open({str(ROOT / 'README.md')!r})"
    with pytest.raises(AssertionError, match="The checkout is read"):
        run(programs / "python", "-c", code, cwd=tmp_path)


def test_the_first_lines_of_python_run(programs, tmp_path):
    found = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", README, re.S)
    (tmp_path / "first.py").write_text(found[1])
    said = run(programs / "python", "first.py", cwd=tmp_path)
    assert said == found[2]
    assert (tmp_path / "why.png").stat().st_size > 10_000


def test_the_first_explanation_in_a_shell_runs(programs, tmp_path):
    """The image that it names stands for a user's own, so it is put there."""
    lines = README.replace("\\\n", " ")
    command = re.search(r"\bkeras-facnn (explain .*)", lines)[1]
    words = shlex.split(command)
    code = "import keras_facnn; print(keras_facnn.__path__[0])"
    package = run(programs / "python", "-c", code, cwd=tmp_path)
    photo = tmp_path / words[1]
    photo.parent.mkdir(parents=True, exist_ok=True)
    samples = pathlib.Path(package.strip(), "samples", "imagenet")
    shutil.copy(samples / photo.name, photo)
    run(programs / "keras-facnn", *words, cwd=tmp_path)
    output = tmp_path / words[words.index("--output") + 1]
    assert output.stat().st_size > 10_000
