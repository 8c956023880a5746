"""Intervals and calibration, against closed forms and other libraries."""

import numpy as np
import pytest
from scipy import special

from keras_facnn import Evaluation
from keras_facnn.evaluation import statistics

# What does not depend on the backend.
pytestmark = pytest.mark.only_on("torch")


@pytest.mark.parametrize("right, count", [(0, 9), (8, 12), (312, 341), (5, 5)])
def test_wilson_interval_is_the_closed_form(right, count):
    p, z = right / count, 1.959963984540054
    center = (p + z**2 / (2 * count)) / (1 + z**2 / count)
    half = (
        z
        * np.sqrt(p * (1 - p) / count + z**2 / (4 * count**2))
        / (1 + z**2 / count)
    )
    assert statistics.wilson_interval(right, count) == pytest.approx(
        (center - half, center + half)
    )


def test_balanced_interval_holds_the_balanced_accuracy(rng):
    """In about 95 % of draws, also where classes are small and easy."""
    true, counts = np.array([0.95, 0.8, 0.99, 0.7]), np.array([12, 40, 25, 80])
    held = 0
    for _ in range(1000):
        right = rng.binomial(counts, true)
        low, high = statistics.balanced_interval(right, counts)
        held += low <= true.mean() <= high
    assert 930 <= held <= 985


def evaluation_of(rng, count=500, scale=2.0):
    logits = scale * rng.normal(size=(count, 4))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(-1)
    return logits, labels, Evaluation.from_logits(logits, labels)


def test_calibration_is_that_of_scikit_learn(rng):
    calibration = pytest.importorskip("sklearn.calibration")
    logits, labels, evaluation = evaluation_of(rng)
    confidence = special.softmax(logits, axis=-1).max(-1)
    right = logits.argmax(-1) == labels
    accuracy, mean = calibration.calibration_curve(right, confidence, n_bins=15)
    bins = evaluation.calibration["bins"]
    assert [b["accuracy"] for b in bins] == pytest.approx(accuracy)
    assert [b["confidence"] for b in bins] == pytest.approx(mean)


def test_calibration_error_is_that_of_a_loop(rng):
    """Of Guo et al., arXiv 1706.04599, equation 5."""
    logits, labels, evaluation = evaluation_of(rng)
    confidence = special.softmax(logits, axis=-1).max(-1)
    right = logits.argmax(-1) == labels
    error = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence > low) & (confidence <= low + 1 / 15)
        if inside.any():
            gap = abs(right[inside].mean() - confidence[inside].mean())
            error += inside.mean() * gap
    found = evaluation.calibration["expected_calibration_error"]
    assert found == pytest.approx(error)


def test_chance_makes_the_error_of_a_perfect_model(rng):
    """These labels are drawn from the model's own probabilities."""
    found = [evaluation_of(rng)[2].calibration for _ in range(200)]
    mean = np.mean([c["expected_calibration_error"] for c in found])
    by_chance = np.mean([c["by_chance"] for c in found])
    assert by_chance == pytest.approx(mean, rel=0.05)
    # A model that is too sure has a larger one.
    logits, labels, _ = evaluation_of(rng)
    sure = Evaluation.from_logits(3 * logits, labels).calibration
    assert sure["expected_calibration_error"] > 3 * sure["by_chance"]


def test_numbers_are_those_of_scikit_learn(rng):
    metrics = pytest.importorskip("sklearn.metrics")
    logits, labels, evaluation = evaluation_of(rng)
    said = logits.argmax(-1)
    assert evaluation.accuracy == metrics.accuracy_score(labels, said)
    assert evaluation.balanced_accuracy == pytest.approx(
        metrics.balanced_accuracy_score(labels, said)
    )
    assert evaluation.cross_entropy == pytest.approx(
        metrics.log_loss(labels, special.softmax(logits, axis=-1))
    )
    np.testing.assert_array_equal(
        evaluation.confusion_matrix, metrics.confusion_matrix(labels, said)
    )
    precision, recall, _, support = metrics.precision_recall_fscore_support(
        labels, said
    )
    rows = evaluation.classes
    assert [c["precision"] for c in rows] == pytest.approx(precision)
    assert [c["accuracy"] for c in rows] == pytest.approx(recall)
    assert [c["images"] for c in rows] == support.tolist()
    top_3 = metrics.top_k_accuracy_score(labels, logits, k=3)
    assert (evaluation.scores.rank < 3).mean() == top_3


def test_several_labels_use_sigmoids(rng):
    logits = rng.normal(size=(50, 4))
    labels = rng.integers(0, 4, 50)
    scores = Evaluation.from_logits(logits, labels, several_labels=True).scores
    p = special.expit(logits)
    present = np.eye(4)[labels]
    entropy = -(present * np.log(p) + (1 - present) * np.log(1 - p)).mean(-1)
    np.testing.assert_allclose(scores.probability, p.max(-1))
    np.testing.assert_allclose(scores.cross_entropy, entropy)


@pytest.mark.parametrize(
    "logits, options, message",
    [
        (np.zeros((3, 1)), {}, "shape \\(N, C\\)"),
        (np.zeros((0, 3)), {}, "shape \\(N, C\\)"),
        (np.full((2, 3), np.nan), {}, "`logits` must be finite"),
        (np.zeros((2, 3)), {"labels": [0, 3]}, "`labels` must be 2 integers"),
        (np.zeros((2, 3)), {"class_names": ["a"]}, "must be 3 names"),
    ],
)
def test_refuses_what_is_no_logits(logits, options, message):
    options = {"labels": np.zeros(len(logits), int), **options}
    with pytest.raises(ValueError, match=message):
        Evaluation.from_logits(logits, **options)
