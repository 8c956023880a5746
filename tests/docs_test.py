"""The documentation has all public names, and its numbers were measured.

`readme_test.py` runs its lines; `make docs` builds it.
"""

import pathlib
import re

import pytest

import keras_facnn
from keras_facnn import plots
from keras_facnn import runtime
from tests.docstrings_test import methods
from tests.docstrings_test import public

ROOT = pathlib.Path(__file__).parents[1]
DOCS = ROOT / "docs"
BLOCKS = re.DOTALL | re.MULTILINE
CARDS = dict(
    re.findall(
        r"^## (\w+)\n(.*?)(?=^## |\Z)",
        (DOCS / "models.md").read_text("utf-8"),
        BLOCKS,
    )
)


def test_the_reference_has_every_public_name():
    text = "".join(
        path.read_text("utf-8") for path in (DOCS / "reference").glob("*.md")
    )
    shown = set(re.findall(r"^::: (\S+)$", text, re.MULTILINE))
    rooms = {
        keras_facnn: "keras_facnn",
        keras_facnn.layers: "keras_facnn.layers",
        keras_facnn.attribution: "keras_facnn.attribution",
        keras_facnn.metrics: "keras_facnn.metrics",
        plots: "keras_facnn.plots",
        runtime: "keras_facnn.runtime",
    }
    for name, thing in public():
        room = next(r for r in rooms if getattr(r, name, None) is thing)
        path = f"{rooms[room]}.{name}"
        # Without the second name, this would be the module of that name.
        if thing.__module__ == path:
            path += f".{name}"
        assert path in shown
    for name, _ in methods(keras_facnn.FACNN):
        name = name.split(".")[-1]
        assert name == "__init__" or f"keras_facnn.FACNN.{name}" in shown, name


TEXTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    ROOT / "CHANGELOG.md",
    ROOT / "samples" / "README.md",
    ROOT / "keras_facnn" / "samples" / "README.md",
    *sorted(DOCS.rglob("*.md")),
    *sorted((ROOT / "tutorials").glob("*.md")),
    *sorted((ROOT / "zoo").rglob("*.md")),
]


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_relative_links_lead_somewhere_in_a_checkout(path):
    """These are the links on a Git host; mkdocs checks those of the site."""
    text = re.sub(
        r"^ *```.*?^ *```$", "", path.read_text("utf-8"), flags=BLOCKS
    )
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    links += re.findall(r"\b(?:src|srcset|href)=\"([^\"]+)\"", text)
    for link in links:
        if re.match(r"https?:|mailto:", link):
            continue
        target, _, anchor = link.partition("#")
        page = path.parent / target if target else path
        assert page.exists(), link
        # Material for MkDocs marks pictures for light or dark pages so.
        if anchor and not anchor.startswith("only-"):
            assert anchor in anchors(page), link


def anchors(page):
    """Return the anchors that Git hosts and mkdocs give the headings."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text("utf-8"), flags=BLOCKS)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", h.lower()) for h in headings)
    return {h.replace(" ", "-") for h in kept}


def test_the_page_of_metrics_has_each():
    text = (DOCS / "metrics.md").read_text("utf-8")
    headings = re.findall(r"^### (\w+)$", text, re.MULTILINE)
    functions = [n for n in keras_facnn.metrics.__all__ if n.islower()]
    assert sorted(headings) == sorted(functions)


def test_every_preset_has_a_card():
    assert set(keras_facnn.FACNN.presets) <= set(CARDS)


@pytest.mark.parametrize("name", keras_facnn.FACNN.presets)
def test_a_card_says_what_an_audit_found(name):
    """Just before it says what the preset can't do, on all cards."""
    found, limits = "*What an audit found.*", "*What it can't do.*"
    after = CARDS[name].split(found)
    assert len(after) == 2
    assert re.findall(r"^\*[^*\n]+\.\*", after[1], re.MULTILINE)[0] == limits
    assert "zoo/results/audit.md#" in after[1].split(limits)[0]


@pytest.mark.parametrize("name", keras_facnn.FACNN.presets)
def test_numbers_of_a_card_are_those_that_were_measured(name):
    card, record = CARDS[name], keras_facnn.FACNN.presets[name]
    metrics = record["metrics"]
    shape = record["input"]["shape"]
    assert "x".join(map(str, shape)) in card
    assert f"| {record['parameters'] / 1e6:.2f} M parameters," in card
    accuracies = f"{metrics['top_1']:.1%}, {metrics['top_5']:.1%}"
    assert f"{accuracies.replace('%', ' %')} of {metrics['images']:,}" in card
    if "balanced" in metrics:
        assert f"{metrics['balanced']:.1%}".replace("%", " %") in card
    if "multiply_adds" in metrics:
        assert f"{metrics['multiply_adds'] / 1e6:.0f} M multiply-adds" in card
    if len(record["class_names"]) <= 10:
        assert ", ".join(record["class_names"]) in card
    assert f"--alignment_images {metrics['alignment']['images']}" in (
        card.replace("\n", " ")
    )
    correlations = [("`r`", "mean_pearson")]
    if "mean_pearson_of_contrast" in metrics["alignment"]:
        correlations += [("`r` of the contrast", "mean_pearson_of_contrast")]
    correlations = [(*c, metrics["alignment"]) for c in correlations]
    if "controls" in metrics["alignment"]:
        controls = metrics["alignment"]["controls"]
        other, shuffled = controls["other_image"], controls["shuffled_weights"]
        correlations += [
            ("`r` of another image", "mean_pearson", other),
            ("`r` with shuffled weights", "mean_pearson", shuffled),
            ("`r` centered", "mean_pearson_of_centered", metrics["alignment"]),
            *(
                (f"`r` centered, {words}", "mean_pearson_of_centered", of)
                for words, of in (
                    ("of another image", other),
                    ("with shuffled weights", shuffled),
                )
            ),
        ]
    for name, key, numbers in correlations:
        row = re.search(rf"{name} at layer ([\d, ]+) \| ([\d., -]+) ", card)
        layers, values = (cell.split(", ") for cell in row.groups())
        for layer, value in zip(layers, values, strict=True):
            digits = len(value.split(".")[1])
            # A converted classifier has no FA layers, only `x_0`.
            at = "x_0" if layer == "0" else f"fa_{layer}"
            measured = f"{numbers[key][at]:.{digits}f}"
            assert measured == value, (name, layer)


@pytest.mark.parametrize("name", keras_facnn.FACNN.presets)
def test_a_card_says_what_the_report_of_sanity_checks_does(name):
    report = (ROOT / "zoo" / "results" / "sanity.md").read_text("utf-8")
    rows = re.findall(
        rf"^\| `{name}` \| (\d+) \| (\w+) \| (.*) \|$", report, re.MULTILINE
    )
    assert [kind for _, kind, _ in rows] == ["raw", "centered"]
    for images, kind, cells in rows:
        shuffled, _, other, *_ = cells.split(" | ")
        row = f"| sanity check of {images} images, {kind} maps | {shuffled}; "
        assert f"{row}of another image, {other} |" in CARDS[name]
    assert f"python -m zoo.sanity --preset {name} --data" in CARDS[name]


def test_every_test_that_the_page_of_proofs_names_exists():
    text = (ROOT / "docs" / "theory.md").read_text("utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)?(?:::(\w+))?`", text)
    named = [pair for pair in named if any(pair)]
    assert len(named) > 8
    path = None
    for file, test in named:
        path = file or path
        code = (ROOT / path).read_text("utf-8")
        assert not test or f"def {test}(" in code, (path, test)
