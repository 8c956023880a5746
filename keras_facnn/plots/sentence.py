"""Say in a sentence what a model answered, and why."""

import numpy as np

from keras_facnn.explaining.explanation import Explanation
from keras_facnn.maps import strongest_rivals
from keras_facnn.plots.text import cut_text
from keras_facnn.plots.text import percent

# Points to which a name is cut, room for about 60 letters.
_NAME = 380
# What a sentence says of the evidence: by where it is, for the likeliest class,
# for the likeliest class if that is wrong, and for another class.
_REASONS = {
    "outlined": (
        "mostly because of the outlined region",
        "misled mostly by the outlined region",
        "What speaks for {} is mostly in the outlined region",
    ),
    "scattered": (
        "because of parts all over the picture",
        "misled by parts all over the picture",
        "What speaks for {} is all over the picture",
    ),
    "nowhere": (
        "though no part of the picture speaks for it",
        "no part of the picture speaks for the answer",
        "No part of the picture speaks for {}",
    ),
}


def answer_sentence(
    explanation: Explanation,
    row: int,
    label: int | None,
    outlined: bool,
) -> str:
    """Return a sentence about one image.

    Args:
        explanation: The explanation of all images.
        row: The number of the image.
        label: The true class, if it is known.
        outlined: Whether the figure outlines half of the evidence.
    """
    probabilities = explanation.probabilities[row]
    c, said = int(explanation.classes[row]), int(np.argmax(probabilities))

    def name(index: int) -> str:
        cut = cut_text(explanation.name_of(index), lines=1, width=_NAME)
        return f"“{cut}” ({percent(probabilities[index])})"

    where = "outlined" if outlined else "scattered"
    if explanation.maps[row, ..., c].max() <= 0:
        where = "nowhere"
    because, misled, speaks = _REASONS[where]
    answer = f"Said {name(said)}"
    if explanation.several_labels and probabilities[said] < 0.5:
        answer = f"Found nothing; likeliest is {name(said)}"
    if label == said:
        answer = f"Rightly said {name(said)}"
    elif label is not None:
        answer += f", is {name(label)}"
    if c != said:
        return f"{speaks.format(name(c))}. {answer}."
    if label not in (None, said):
        return f"{answer}: {misled}."
    if len(probabilities) == 1:
        return f"{answer}, {because}."
    (rival,) = strongest_rivals(probabilities[None], c)
    return f"{answer}, {because}; next: {name(int(rival))}."
