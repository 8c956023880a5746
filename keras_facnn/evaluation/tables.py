"""An evaluation as text, for a terminal."""

import typing

from keras_facnn._checks.text import printable
from keras_facnn.evaluation.exchanges import exchange_sentences
from keras_facnn.evaluation.shares import percent
from keras_facnn.evaluation.shares import span

if typing.TYPE_CHECKING:
    from keras_facnn.evaluation.evaluation import Evaluation

# With more classes, top-5 says something, and not every class is listed.
MANY_CLASSES = 10
# Rows of a table.
_MOST_ROWS = 30
_MOST_PAIRS = 8
# Letters of a name.
_MOST_LETTERS = 28


def as_text(evaluation: "Evaluation") -> str:
    """Return an evaluation as lines of text."""
    right = int(evaluation.is_right.sum())
    lines = [
        f"accuracy {percent(evaluation.accuracy)}"
        f"  ({span(*evaluation.interval)}): {right:,} of "
        f"{evaluation.images:,} photos are right",
        f"balanced {percent(evaluation.balanced_accuracy)}"
        f"  ({span(*evaluation.balanced_interval)}): the mean over classes",
    ]
    if len(evaluation.class_names) > MANY_CLASSES:
        lines.append(
            f"top-5    {percent(evaluation.top_5_accuracy)}: the class is "
            "among the five likeliest"
        )
    error = evaluation.calibration
    lines += [
        f"ECE      {percent(error['expected_calibration_error'])}"
        f"  (a perfect model: {percent(error['by_chance'])}): how far "
        "probabilities are from accuracy",
        "",
        *_classes(evaluation),
        *_pairs(evaluation),
        *([""] * bool(evaluation.exchanges)),
        *map(printable, exchange_sentences(evaluation.exchanges)),
        *([""] * bool(evaluation.notes)),
        *map(printable, evaluation.notes),
    ]
    return "\n".join(lines)


def _classes(evaluation: "Evaluation") -> list[str]:
    """Return the table of the classes, the worst first."""
    worst = sorted(
        evaluation.classes, key=lambda c: (c["accuracy"], -c["images"])
    )
    shown = worst[:_MOST_ROWS]
    names = [_short(c["class"]) for c in shown]
    width = max(map(len, [*names, "class"]))
    lines = [
        f"{'class':{width}}  photos  right  accuracy      95% interval  "
        "precision"
    ]
    for name, c in zip(names, shown, strict=True):
        precision = "-" if c["precision"] is None else percent(c["precision"])
        lines.append(
            f"{name:{width}}  {c['images']:6,}  {c['right']:5,}  "
            f"{percent(c['accuracy']):>8}  {span(c['low'], c['high']):>17}  "
            f"{precision:>9}"
        )
    if len(worst) > len(shown):
        lines.append(f"... and {len(worst) - len(shown)} better classes")
    return lines


def _pairs(evaluation: "Evaluation") -> list[str]:
    """Return the lines of the classes that are mixed up most."""
    totals = {c["class"]: c["images"] for c in evaluation.classes}
    pairs = [
        f"  {_short(pair['class'])} is called {_short(pair['said'])}: "
        f"{pair['images']:,} of {totals[pair['class']]:,}"
        for pair in evaluation.confusions[:_MOST_PAIRS]
    ]
    return ["", "most often mixed up:", *pairs] if pairs else []


def _short(name: str) -> str:
    name = printable(name)
    if len(name) <= _MOST_LETTERS:
        return name
    return f"{name[: _MOST_LETTERS - 1]}…"
