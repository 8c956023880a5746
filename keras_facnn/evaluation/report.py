"""The page of an evaluation."""

import pathlib
import typing

from keras_facnn._checks.text import escaped
from keras_facnn.evaluation import page as html
from keras_facnn.evaluation.cards import cards
from keras_facnn.evaluation.cards import filters
from keras_facnn.evaluation.cards import legend
from keras_facnn.evaluation.curve import reliability_curve
from keras_facnn.evaluation.exchanges import exchange_sentences
from keras_facnn.evaluation.report_tables import classes
from keras_facnn.evaluation.report_tables import confusions
from keras_facnn.evaluation.shares import percent
from keras_facnn.evaluation.shares import span
from keras_facnn.evaluation.summary import calibration_sentences
from keras_facnn.evaluation.summary import in_short
from keras_facnn.evaluation.tables import MANY_CLASSES

if typing.TYPE_CHECKING:
    from keras_facnn.evaluation.evaluation import Evaluation


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
            classes(evaluation),
            confusions(evaluation),
            _exchanges(evaluation),
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
            "how far its probabilities are off; a perfect model would show "
            f"{percent(error['by_chance'])} on these photos",
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


def _exchanges(evaluation: "Evaluation") -> str:
    if not evaluation.exchanges:
        return ""
    return html.section(
        "Does it go by what must not count?",
        html.paragraph(
            "What must not count was exchanged between these photos. A model "
            "that goes by it calls other photos the class if they show it, and "
            "no longer knows photos of the class that do not. What another "
            "class shows there is the control: any other part disturbs."
        ),
        html.listing(map(escaped, exchange_sentences(evaluation.exchanges))),
        name="exchanges",
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
            "Only an FA-CNN can show why: FACNN.from_classifier makes one of "
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
        if value not in (None, 0)
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
