"""An evaluation in a few sentences, for readers who want no table."""

import typing

import numpy as np

from keras_facnn.evaluation.shares import percent
from keras_facnn.evaluation.shares import span

if typing.TYPE_CHECKING:
    from keras_facnn.evaluation.evaluation import Evaluation

# The `kind_of_model` of a model whose temperature can be fitted.
FA_CNN = "FA-CNN"
# A mistake that is surer than this is a sure one.
_SURE = 0.9


def in_short(evaluation: "Evaluation") -> list[str]:
    """Return what a reader must know first."""
    right = int(evaluation.is_right.sum())
    classes = evaluation.classes
    largest = max(c["images"] for c in classes) / evaluation.images
    sentences = [
        f"{right:,} of {evaluation.images:,} photos got the right class. For "
        "more photos of the same kind, expect "
        f"{span(*evaluation.interval)}. Always naming the most frequent class "
        f"would be right for {percent(largest)}."
    ]
    worst = sorted(classes, key=lambda c: (c["accuracy"], -c["images"]))
    weak = [
        f"{c['class']} ({c['right']:,} of {c['images']:,} right)"
        for c in worst[:3]
        if c["right"] < c["images"]
    ]
    if weak and len(classes) > 1:
        sentences.append(f"It is weakest at {_listed(weak)}.")
    pairs = [
        f"{pair['class']} is called {pair['said']} ({pair['images']:,} times)"
        for pair in evaluation.confusions[:2]
        if pair["images"] > 1
    ]
    if pairs:
        sentences.append(f"Most often mixed up: {'; '.join(pairs)}.")
    wrong = ~evaluation.is_right
    if wrong.any():
        sure = int((evaluation.scores.probability[wrong] > _SURE).sum())
        sentences.append(
            f"It was more than {_SURE:.0%} sure of {sure:,} of its "
            f"{int(wrong.sum()):,} mistakes."
        )
    return sentences


def calibration_sentences(evaluation: "Evaluation") -> list[str]:
    """Return what the reliability curve says, in words."""
    scores, error = evaluation.scores, evaluation.calibration
    mean = float(np.mean(scores.probability))
    low, high = evaluation.interval
    if mean > high:
        verdict = "So it is surer than it may be."
    elif mean < low:
        verdict = "So it is less sure than it might be."
    else:
        verdict = "That fits, as far as so many photos can tell."
    advice = (
        " The option --calibrate of keras-facnn evaluate corrects this by one "
        "number, the temperature. It changes no answer and no map."
        if not low <= mean <= high
        and evaluation.facts.get("kind_of_model") == FA_CNN
        else ""
    )
    return [
        f"On average, it gives its answer a probability of {percent(mean)}, "
        f"and it is right for {percent(evaluation.accuracy)}. {verdict}"
        f"{advice}",
        "In the figure, photos are in groups by that probability. Each dot is "
        "a group: how sure the model was, and how often it was right, with the "
        "95% interval. Large dots are large groups. On the dashed line, 70% "
        "sure means right in 70% of cases. Below it, the model is too sure; "
        "above it, not sure enough.",
        "The calibration error is the mean distance from the dashed line, "
        f"{percent(error['expected_calibration_error'])}. On so few photos, "
        "a perfect model would show an error of "
        f"{percent(error['by_chance'])}.",
    ]


def _listed(parts: typing.Sequence[str]) -> str:
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"
