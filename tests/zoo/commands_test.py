"""The commands of the zoo that its documentation names."""

import importlib
import re
import shlex

import pytest

from tests.zoo.conftest import ROOT
from tests.zoo.conftest import run
from zoo import inputs

pytestmark = pytest.mark.only_on("torch")

PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    *sorted((ROOT / "zoo").rglob("*.md")),
]


def commands(text, variables):
    """The module and words of each, with the variables of the pages so far."""
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            try:
                words = shlex.split(line, comments=True)
            except ValueError:
                # A string goes on in the next line, which no command has.
                continue
            while words and re.match(r"(export$|\w+=)", words[0]):
                name, equals, value = words.pop(0).partition("=")
                # The number of a process that runs beside it.
                if equals and value != "$!":
                    variables[name] = value
            if words[:2] == ["python", "-m"] and words[2].startswith("zoo."):
                yield (
                    words[2].removeprefix("zoo."),
                    [
                        re.sub(
                            r"\$(\w+)",
                            lambda name: variables.get(name[1], name[0]),
                            word,
                        )
                        for word in words[3:]
                    ],
                )


# The number of a process that a page starts before.
VARIABLES = {"PID": "1"}
COMMANDS = [
    (path.relative_to(ROOT).as_posix(), module, words)
    for path in PAGES
    for module, words in commands(path.read_text("utf-8"), VARIABLES)
    # That one is of an older commit, which its page names.
    if "--help" not in words and "runs/gap" not in words
]


@pytest.mark.parametrize("page, module, words", COMMANDS)
def test_a_documented_command_has_known_flags_stages_and_settings(
    monkeypatch, page, module, words
):
    command = importlib.import_module(f"zoo.{module}")
    read = {
        "train": lambda: command.read_recipe(),
        "cost": inputs.read_stage,
        "benchmark": inputs.read_stage,
    }
    monkeypatch.setattr(command, "main", read.get(module, lambda: None))
    result = run(module, *words)
    assert result.returncode == 0, (page, result.output)


def test_the_documentation_names_every_command():
    modules = {module for _, module, _ in COMMANDS}
    assert modules == {
        *("train", "evaluate", "compare", "cost", "benchmark", "inference"),
        *("applications", "convert", "finer_maps", "plants", "mending"),
        *("load", "peers", "sanity", "stains", "throughput"),
    }
    recipes = {
        re.search(r"--recipe[ =](\w+)", " ".join(words))[1]
        for _, module, words in COMMANDS
        if module == "train"
    }
    bundled = {"cifar10", "clothing", "imagenette", "imagenet100"}
    assert recipes >= {*bundled, "photos", "imagenet100_224"}
