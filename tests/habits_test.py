"""Makefile, scripts, workflows and changelog name only what there is."""

import importlib.util
import pathlib
import re
import tomllib

import pytest
import yaml

import keras_facnn

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


def steps(job):
    """The commands of a job, one per entry of its matrix."""
    matrix = job["strategy"]["matrix"]
    for entry in matrix.get("include", [{}]):
        for step in job["steps"]:
            if "run" in step:
                yield re.sub(
                    r"\$\{\{ matrix\.(\w+) \}\}",
                    lambda found, entry=entry: entry[found[1]],
                    step["run"],
                )


def test_workflows_run_what_there_is():
    (path,) = (ROOT / ".github" / "workflows").iterdir()
    jobs = yaml.safe_load(path.read_text("utf-8"))["jobs"]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    extras = extras["project"]["optional-dependencies"]
    goals, backends = set(), set()
    for command in steps(jobs["linux"]):
        script, *words = command.split()
        assert (ROOT / script).stat().st_mode & 0o100
        goals |= {word for word in words if "=" not in word}
        backends |= {w.split("=")[1] for w in words if "=" in w}
    # Together, the jobs run all that `.ci/run` does.
    assert goals == TARGETS - {"clean", "test-core"}
    assert backends == {"tensorflow", "jax", "torch"}
    install, test = steps(jobs["core"])
    (wanted,) = re.findall(r"\.\[(.*)\]", install)
    assert set(wanted.split(",")) <= set(extras)
    assert jobs["core"]["env"]["KERAS_BACKEND"] in wanted.split(",")
    (file,) = re.findall(r"'@(.*)'", test)
    assert (ROOT / file).exists()


def test_pre_commit_and_lint_run_the_same_tools():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    pinned = [
        requirement
        for requirement in project["project"]["optional-dependencies"]["dev"]
        if requirement.startswith(("ruff", "mypy"))
    ]
    (repository,) = config["repos"]
    hooks = repository["hooks"]
    assert {hook["additional_dependencies"][0] for hook in hooks} == set(pinned)
    assert len(pinned) == 2
    lint = MAKEFILE[MAKEFILE.index("\nlint:") :].split("\n\n")[0]
    for hook in hooks:
        words = [w for w in hook["entry"].split() if not w.startswith("--")]
        assert " ".join(words) in lint


def test_issue_forms_have_what_their_host_asks_for():
    forms = ROOT / ".github" / "ISSUE_TEMPLATE"
    names = set()
    for path in sorted(forms.glob("*.yml")):
        form = yaml.safe_load(path.read_text("utf-8"))
        if path.stem == "config":
            continue
        names.add(path.stem)
        assert form["name"] and form["description"]
        ids = [part["id"] for part in form["body"] if "id" in part]
        assert len(ids) == len(set(ids))
        for part in form["body"]:
            key = "value" if part["type"] == "markdown" else "label"
            assert part["attributes"][key]
    assert names == {"bug", "feature", "question"}


def test_the_changelog_begins_with_this_version():
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    newest = re.search(r"^## (\S+) - (\S+)$", text, re.MULTILINE)
    assert newest[1] == keras_facnn.__version__
    assert re.fullmatch(r"unreleased|\d{4}-\d\d-\d\d", newest[2])


def test_the_changelog_names_only_what_there_is():
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    rooms = {"keras_facnn": keras_facnn, "FACNN": keras_facnn.FACNN}
    named = re.findall(r"`(keras_facnn|FACNN)\.(\w+)", text)
    assert len(named) > 5
    for room, name in named:
        # Some rooms are imported only by their own name.
        found = hasattr(rooms[room], name) or (
            room == "keras_facnn"
            and importlib.util.find_spec(f"keras_facnn.{name}")
        )
        assert found, name
    for preset in keras_facnn.FACNN.presets:
        assert f"`{preset}`" in text
