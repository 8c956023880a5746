import numpy as np
import pytest

from keras_facnn import plots
from tests.plots.figures import explanation_of
from tests.plots.figures import texts_of

pytestmark = pytest.mark.only_on("torch")

ONE_PLACE = np.zeros((4, 4))
ONE_PLACE[1, 1] = 1
MAPS = {
    "outlined": ONE_PLACE,
    "scattered": np.ones((4, 4)),
    "nowhere": -ONE_PLACE,
}


@pytest.mark.parametrize(
    "where, asked, label, expected",
    [
        (
            "outlined",
            1,
            None,
            "Said “bee” (70.0%), mostly because of the outlined region; next: "
            "“cat” (20.0%).",
        ),
        (
            "scattered",
            1,
            None,
            "Said “bee” (70.0%), because of parts all over the picture; next: "
            "“cat” (20.0%).",
        ),
        (
            "nowhere",
            1,
            None,
            "Said “bee” (70.0%), though no part of the picture speaks for it; "
            "next: “cat” (20.0%).",
        ),
        (
            "outlined",
            1,
            1,
            "Rightly said “bee” (70.0%), mostly because of the outlined "
            "region; next: “cat” (20.0%).",
        ),
        (
            "outlined",
            1,
            "ant",
            "Said “bee” (70.0%), is “ant” (10.0%): misled mostly by the "
            "outlined region.",
        ),
        (
            "nowhere",
            1,
            0,
            "Said “bee” (70.0%), is “ant” (10.0%): no part of the picture "
            "speaks for the answer.",
        ),
        (
            "outlined",
            2,
            None,
            "What speaks for “cat” (20.0%) is mostly in the outlined region. "
            "Said “bee” (70.0%).",
        ),
        (
            "scattered",
            2,
            0,
            "What speaks for “cat” (20.0%) is all over the picture. Said “bee” "
            "(70.0%), is “ant” (10.0%).",
        ),
        (
            "nowhere",
            2,
            1,
            "No part of the picture speaks for “cat” (20.0%). Rightly said "
            "“bee” (70.0%).",
        ),
    ],
)
def test_says_the_answer_and_where_its_reason_is(
    images, where, asked, label, expected
):
    maps = np.zeros((1, 4, 4, 3), "float32")
    maps[0, ..., asked] = MAPS[where]
    explanation = explanation_of(
        images[:1],
        maps=maps,
        probabilities=np.array([[0.1, 0.7, 0.2]]),
        classes=np.array([asked]),
        centered=True,
    )
    labels = None if label is None else [label]
    figure = plots.explanation(explanation, labels=labels)
    assert texts_of(figure)[0] == expected
    lines = [c for c in figure.axes[1].collections if len(c.get_paths())]
    assert bool(lines) == (where == "outlined")
    assert ("Inside the line" in texts_of(figure)[1]) == bool(lines)


def test_says_that_none_of_several_labels_was_found(images):
    explanation = explanation_of(
        images[:2],
        probabilities=np.array([[0.1, 0.3, 0.2], [0.1, 0.9, 0.8]]),
        classes=np.array([1, 1]),
        several_labels=True,
    )
    none, two, _ = texts_of(plots.explanation(explanation))
    assert none.startswith("Found nothing; likeliest is “bee” (30.0%)")
    assert two.startswith("Said “bee” (90.0%)")
    assert two.endswith("next: “cat” (80.0%).")


def test_no_probability_is_rounded_to_0_or_1(images):
    explanation = explanation_of(
        images[:1],
        probabilities=np.array([[2e-5, 1 - 3e-5, 1e-5]]),
        classes=np.array([1]),
    )
    sentence = texts_of(plots.explanation(explanation))[0]
    assert "“bee” (>99.9%)" in sentence and "“ant” (<0.1%)" in sentence
