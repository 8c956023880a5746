"""The notebooks fit their texts, and show only what a reader should see.

`make tutorials` runs them.
"""

import pathlib
import re

import jupytext
import nbformat
import pytest

TUTORIALS = pathlib.Path(__file__).parents[1] / "tutorials"
NOTEBOOKS = sorted(TUTORIALS.glob("*.ipynb"))
# Absolute paths, progress bars, logs, and addresses of objects.
LITTER = re.compile(
    r"(?<![\w.])/\w+/\w+|[A-Z]:\\|\r|\x08|INFO:|WARNING|Traceback|0x[0-9a-f]{6}"
)
NAMES = [path.stem for path in NOTEBOOKS]


def outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        yield from cell.get("outputs", [])


def test_every_text_has_a_notebook():
    texts = {path.stem for path in TUTORIALS.glob("*.py")} - {"run"}
    assert texts == set(NAMES) and texts


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_notebook_and_text_are_in_step(path):
    def cells(notebook):
        return [(cell.cell_type, cell.source) for cell in notebook.cells]

    notebook = nbformat.read(path, as_version=4)
    assert cells(notebook) == cells(jupytext.read(path.with_suffix(".py")))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_all_was_run_in_order(path):
    notebook = nbformat.read(path, as_version=4)
    counts = [
        cell.execution_count
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]
    assert counts == list(range(1, len(counts) + 1))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_outputs_hold_nothing_that_a_reader_should_not_see(path):
    shown = list(outputs(path))
    assert any("image/jpeg" in output.get("data", {}) for output in shown)
    for output in shown:
        # Errors are outputs, and warnings go to stderr.
        assert output.output_type != "error"
        assert output.get("name") != "stderr", output.text
        text = output.get("text", "") + output.get("data", {}).get(
            "text/plain", ""
        )
        assert not LITTER.search(text), text


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_notebook_is_small(path):
    assert path.stat().st_size < 1.5e6


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_links_to_other_tutorials_lead_somewhere(path):
    text = path.with_suffix(".py").read_text("utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        assert (TUTORIALS / target).exists(), target
