"""The Makefile, the scripts and the workflows name only what there is."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
TARGETS = set(re.findall(r"^([a-z][\w-]*):", MAKEFILE, re.MULTILINE))
# What does not depend on the backend.
pytestmark = pytest.mark.only_on("torch")


def test_every_target_is_phony_and_explained():
    phony = re.search(r"^\.PHONY:((?:.*\\\n)*.*)", MAKEFILE, re.MULTILINE)[1]
    assert set(phony.replace("\\", "").split()) == TARGETS
    explained = re.findall(r"^#   make ([\w-]+)", MAKEFILE, re.MULTILINE)
    assert set(explained) == TARGETS - {"clean"}


def test_named_files_exist():
    core = (ROOT / "tests" / "core.txt").read_text("utf-8").split()
    named = set(re.findall(r"\b(?:tests|tutorials)/[\w/.]+\w", MAKEFILE))
    assert {"tests/core.txt", "tests/run.py"} <= named
    for path in [*core, *named]:
        assert (ROOT / path).exists(), path


def test_ci_runs_every_target():
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    goals = re.search(r"^    set -- ((?:.*\\\n)*.*)", script, re.MULTILINE)[1]
    goals = goals.replace("\\", "").split()
    assert set(goals) == TARGETS - {"clean", "test-core"}
    assert goals[0] == "lint"


def test_clean_removes_every_environment():
    clean = MAKEFILE[MAKEFILE.index("\nclean:") :]
    for name in re.findall(r"^(\.venv-\w+-?)", MAKEFILE, re.MULTILINE):
        assert name in clean
