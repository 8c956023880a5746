"""The tables of a report: each class, and what is mixed up with what."""

import typing
from typing import Any

import numpy as np

from keras_facnn._checks.text import escaped
from keras_facnn.evaluation import page as html
from keras_facnn.evaluation.shares import percent
from keras_facnn.evaluation.shares import span

if typing.TYPE_CHECKING:
    from keras_facnn.evaluation.evaluation import Evaluation

# A larger matrix can't be read, so its largest cells are listed.
_LARGEST_MATRIX = 25
_MOST_PAIRS = 50


def classes(evaluation: "Evaluation") -> str:
    """Return the table of the classes, the worst first."""
    first: dict[str, dict[str, Any]] = {}
    for confusion in evaluation.confusions:
        first.setdefault(confusion["class"], confusion)
    rows = []
    for c in sorted(
        evaluation.classes, key=lambda c: (c["accuracy"], -c["images"])
    ):
        pair = first.get(c["class"], {})
        taken = f"{pair['said']} ({pair['images']:,})" if pair else ""
        precision = c["precision"]
        rows.append(
            [
                (escaped(c["class"]), c["class"]),
                (_bar(c), c["accuracy"]),
                (f"{c['right']:,} of {c['images']:,}", c["images"]),
                (escaped(span(c["low"], c["high"])), c["low"]),
                (escaped(taken), pair.get("images", 0)),
                (
                    "" if precision is None else escaped(percent(precision)),
                    "" if precision is None else precision,
                ),
            ]
        )
    return html.section(
        "Class by class",
        html.paragraph(
            "The weakest class is first. The bar is the accuracy, and the line "
            "in it the 95% interval: with few photos, it is long, and the "
            "class may be better or worse than it seems. Precision is how "
            "often the model is right when it names the class. A click on a "
            "heading sorts.",
            "hint",
        ),
        html.table(
            [
                ("class", "name"),
                ("accuracy", "number"),
                ("right", "number"),
                ("95% interval", "number"),
                ("most often taken for", "name"),
                ("precision", "number"),
            ],
            rows,
        ),
        name="classes",
    )


def _bar(c: dict[str, Any]) -> str:
    low, high = 100 * c["low"], 100 * c["high"]
    return (
        '<span class="barred"><span class="bar">'
        f'<i style="width:{100 * c["accuracy"]:.1f}%"></i>'
        f'<em style="left:{low:.1f}%;width:{high - low:.1f}%"></em></span>'
        f"{escaped(percent(c['accuracy']))}</span>"
    )


def confusions(evaluation: "Evaluation") -> str:
    """Return the confusion matrix, or the pairs that are mixed up most."""
    matrix = evaluation.confusion_matrix
    used = np.flatnonzero(matrix.sum(axis=0) + matrix.sum(axis=1))
    if not evaluation.confusions:
        return ""
    if len(used) <= _LARGEST_MATRIX:
        return html.section(
            "What is mixed up with what",
            html.paragraph(
                "A row for each class, and a column for each answer. Blue "
                "cells are right, and orange ones are mistakes; the stronger "
                "the color, the larger the share of the row.",
                "hint",
            ),
            _matrix(evaluation, used),
            name="confusions",
        )
    totals = {c["class"]: c["images"] for c in evaluation.classes}
    pairs = evaluation.confusions[:_MOST_PAIRS]
    rows = [
        [
            (escaped(pair["class"]), pair["class"]),
            (escaped(pair["said"]), pair["said"]),
            (f"{pair['images']:,}", pair["images"]),
            (
                escaped(percent(pair["images"] / totals[pair["class"]])),
                pair["images"] / totals[pair["class"]],
            ),
        ]
        for pair in pairs
    ]
    return html.section(
        "What is mixed up with what",
        html.paragraph(
            f"The {len(pairs)} most frequent of {len(evaluation.confusions):,} "
            "pairs.",
            "hint",
        ),
        html.table(
            [
                ("what it is", "name"),
                ("what was said", "name"),
                ("photos", "number"),
                ("share of the class", "number"),
            ],
            rows,
        ),
        name="confusions",
    )


def _matrix(evaluation: "Evaluation", used: np.ndarray) -> str:
    names, matrix = evaluation.class_names, evaluation.confusion_matrix
    heads = "".join(
        f'<th scope="col" title="{escaped(names[c])}"><span>'
        f"{escaped(names[c])}</span></th>"
        for c in used
    )
    rows = []
    for c in used[matrix[used].sum(axis=1) > 0]:
        cells = []
        for d in used:
            count = int(matrix[c, d])
            kind = "zero" if not count else "hit" if c == d else "miss"
            # Mistakes are rarer, so that their colors are steeper.
            steep = 1 if c == d else 3
            share = min(0.05 + steep * count / matrix[c].sum(), 0.85)
            hint = f"{names[c]} called {names[d]}: {count}"
            cells.append(
                f'<td class="{kind}" style="--share:{share:.2f}" '
                f'title="{escaped(hint)}">{count or "·"}</td>'
            )
        rows.append(
            f'<tr><th scope="row" title="{escaped(names[c])}">'
            f"{escaped(names[c])}</th>{''.join(cells)}</tr>\n"
        )
    return (
        '<div class="scroll"><table class="matrix"><thead><tr><th>is ↓ said →'
        f"</th>{heads}</tr></thead><tbody>\n{''.join(rows)}</tbody></table>"
        "</div>"
    )
