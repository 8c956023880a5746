"""The page of an evaluation."""

import pathlib
import typing
from typing import Any

import numpy as np

from keras_facnn.evaluation import page as html
from keras_facnn.evaluation.cards import cards
from keras_facnn.evaluation.cards import filters
from keras_facnn.evaluation.cards import legend
from keras_facnn.evaluation.curve import reliability_curve
from keras_facnn.evaluation.page import escaped
from keras_facnn.evaluation.summary import calibration_sentences
from keras_facnn.evaluation.summary import in_short
from keras_facnn.evaluation.tables import MANY_CLASSES
from keras_facnn.evaluation.tables import percent
from keras_facnn.evaluation.tables import span

if typing.TYPE_CHECKING:
    from keras_facnn.evaluation.evaluation import Evaluation

# A larger matrix can't be read, so its largest cells are listed.
_LARGEST_MATRIX = 25
_MOST_PAIRS = 50


def page(evaluation: "Evaluation") -> str:
    """Return the page of an evaluation, in HTML."""
    # The name of a preset may be the path of its folder.
    path = pathlib.PurePath(evaluation.facts.get("model") or "the model")
    return html.page(
        f"How good is {path.name}?",
        [
            _tiles(evaluation),
            html.listing(map(escaped, in_short(evaluation))),
            *(html.paragraph(note, "note") for note in evaluation.notes),
            _classes(evaluation),
            _confusions(evaluation),
            _mistakes(evaluation),
            _calibration(evaluation),
            _unsure(evaluation),
            _terms(evaluation),
        ],
    )


def _tiles(evaluation: "Evaluation") -> str:
    """Return the few numbers that matter most."""
    tiles = [
        (
            percent(evaluation.accuracy),
            "accuracy",
            f"of {evaluation.images:,} photos; 95% interval "
            f"{span(*evaluation.interval)}",
        ),
        (
            percent(evaluation.balanced_accuracy),
            "balanced accuracy",
            "every class counts the same; "
            f"{span(*evaluation.balanced_interval)}",
        ),
    ]
    if len(evaluation.class_names) > MANY_CLASSES:
        tiles.append(
            (
                percent(evaluation.top_5_accuracy),
                "top-5 accuracy",
                "the class is among the five likeliest",
            )
        )
    error = evaluation.calibration
    tiles.append(
        (
            percent(error["expected_calibration_error"]),
            "calibration error",
            "how far its probabilities are off; perfect ones would show "
            f"{percent(error['by_chance'])} on so many photos",
        )
    )
    return (
        '<div class="tiles">'
        + "".join(
            f'<div class="tile"><b>{escaped(number)}</b><span>{escaped(name)}'
            f"</span><small>{escaped(meaning)}</small></div>"
            for number, name, meaning in tiles
        )
        + "</div>"
    )


def _classes(evaluation: "Evaluation") -> str:
    """Return the table of the classes, the worst first."""
    first: dict[str, dict[str, Any]] = {}
    for confusion in evaluation.confusions:
        first.setdefault(confusion["class"], confusion)
    rows = []
    for c in sorted(
        evaluation.classes, key=lambda c: (c["accuracy"], c["class"])
    ):
        pair = first.get(c["class"], {})
        taken = f"{pair['said']} ({pair['images']:,})" if pair else ""
        precision = c["precision"]
        rows.append(
            [
                (escaped(c["class"]), c["class"]),
                (_bar(c), c["accuracy"]),
                (escaped(percent(c["accuracy"])), c["accuracy"]),
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
                ("accuracy", ""),
                ("", "number"),
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
        f'<span class="bar"><i style="width:{100 * c["accuracy"]:.1f}%"></i>'
        f'<em style="left:{low:.1f}%;width:{high - low:.1f}%"></em></span>'
    )


def _confusions(evaluation: "Evaluation") -> str:
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
            share = count / matrix[c].sum()
            kind = "zero" if not count else "hit" if c == d else "miss"
            hint = f"{names[c]} called {names[d]}: {count}"
            cells.append(
                f'<td class="{kind}" style="--share:{0.15 + 0.7 * share:.2f}" '
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


def _mistakes(evaluation: "Evaluation") -> str:
    shown, wrong = evaluation.mistakes, int((~evaluation.is_right).sum())
    if not shown:
        return ""
    which = (
        f"All {wrong:,} mistakes"
        if len(shown) == wrong
        else f"{len(shown):,} of {wrong:,} mistakes: half of them the surest "
        "of all, the others the surest of each class"
    )
    return html.section(
        "The surest mistakes, and why",
        html.paragraph(f"{which}. {_meaning(evaluation)}"),
        legend() if shown[0].said_map is not None else "",
        filters(evaluation, shown),
        cards(evaluation, shown),
        name="mistakes",
    )


def _meaning(evaluation: "Evaluation") -> str:
    if evaluation.mistakes[0].said_map is None:
        return (
            "Only an FA-CNN can show why: `FACNN.from_classifier` makes one of "
            "many classifiers."
        )
    return (
        "Beside each photo, as the model saw it, are two maps. The first shows "
        "what made the model give its answer. The second shows what decided "
        "between its answer and the right one: yellow parts speak for its "
        "answer, and blue parts for the right one. The maps are exact: yellow "
        "less blue adds up to the difference of the two scores. Where yellow "
        "is not on the thing itself, the model used something else. Labels can "
        "be wrong, too."
    )


def _calibration(evaluation: "Evaluation") -> str:
    return html.section(
        "Does it know how sure it may be?",
        '<div class="side"><div>'
        + reliability_curve(evaluation.calibration["bins"])
        + "</div><div>"
        + "".join(map(html.paragraph, calibration_sentences(evaluation)))
        + "</div></div>",
        name="calibration",
    )


def _unsure(evaluation: "Evaluation") -> str:
    if not evaluation.unsure:
        return ""
    return html.section(
        "Where it is least sure",
        html.paragraph(
            f"The {len(evaluation.unsure)} photos whose two likeliest classes "
            "are closest, right or wrong. They may show two things, or be what "
            "the training photos lack."
        ),
        cards(evaluation, evaluation.unsure),
        name="unsure",
    )


def _terms(evaluation: "Evaluation") -> str:
    """Return how it was measured, and what each number means."""
    facts = [
        f"{name.replace('_', ' ')}: {value}"
        for name, value in evaluation.facts.items()
        if value is not None
    ]
    return html.section(
        "How this was measured",
        html.listing(map(escaped, facts)),
        html.paragraph(
            "Accuracy is the share of photos whose likeliest class is the "
            "right one; its interval is Wilson's. Balanced accuracy is the "
            "mean of the classes' accuracies, and its interval is made of "
            "theirs (MOVER). An interval of 95% holds the accuracy on all "
            "photos like these in 19 of 20 cases. It does not know of photos "
            "of another kind. The calibration error is the expected "
            "calibration error (ECE) of the likeliest class, in 15 bins of "
            "equal width."
        ),
        html.paragraph(
            f"The mean cross-entropy is {evaluation.cross_entropy:.4f}.",
            "hint",
        ),
        name="terms",
    )
