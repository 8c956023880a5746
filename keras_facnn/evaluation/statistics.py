"""Intervals, confusions and calibration of scored photos."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy

# Guo et al., arXiv 1706.04599, use 15 bins of equal width.
BINS = 15


def wilson_interval(right: int, count: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share."""
    found = scipy.stats.binomtest(int(right), int(count)).proportion_ci(
        method="wilson"
    )
    return float(found.low), float(found.high)


def balanced_interval(
    right: Sequence[int], counts: Sequence[int]
) -> tuple[float, float]:
    """Return a 95 % interval of the mean of the classes' accuracies.

    It is made of Wilson's intervals of the classes, as Newcombe does for a
    difference of shares (Zou and Donner, 2008: MOVER). So a class of which
    every photo is right does not count as certain.
    """
    shares = np.asarray(right) / np.asarray(counts)
    intervals = map(wilson_interval, right, counts)
    low, high = np.array(list(intervals)).T
    mean = float(shares.mean())
    below = math.sqrt(((shares - low) ** 2).sum()) / len(shares)
    above = math.sqrt(((high - shares) ** 2).sum()) / len(shares)
    return mean - below, mean + above


def confusion_matrix(
    labels: np.ndarray, predicted: np.ndarray, num_classes: int
) -> np.ndarray:
    """Return counts `(C, C)`: a row per class, a column per answer."""
    cells = labels.astype("int64") * num_classes + predicted
    counts = np.bincount(cells, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def class_rows(
    matrix: np.ndarray, class_names: Sequence[str]
) -> list[dict[str, Any]]:
    """Return `Evaluation.classes` of a confusion matrix."""
    rows = []
    for c in np.flatnonzero(matrix.sum(axis=1)).tolist():
        count, right = int(matrix[c].sum()), int(matrix[c, c])
        said = int(matrix[:, c].sum())
        low, high = wilson_interval(right, count)
        rows.append(
            {
                "class": class_names[c],
                "images": count,
                "right": right,
                "accuracy": right / count,
                "low": low,
                "high": high,
                "said": said,
                "precision": right / said if said else None,
            }
        )
    return rows


def confusion_rows(
    matrix: np.ndarray, class_names: Sequence[str]
) -> list[dict[str, Any]]:
    """Return `Evaluation.confusions` of a confusion matrix."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    rows, columns = np.nonzero(wrong)
    order = np.argsort(-wrong[rows, columns], kind="stable")
    return [
        {
            "class": class_names[rows[i]],
            "said": class_names[columns[i]],
            "images": int(wrong[rows[i], columns[i]]),
        }
        for i in order
    ]


def calibration_bins(
    probability: np.ndarray, right: np.ndarray, bins: int = BINS
) -> list[dict[str, Any]]:
    """Return how often a classifier is right, by how sure it is.

    Args:
        probability: Floats `(N,)`, the probability of the likeliest class.
        right: Booleans `(N,)`, whether it is the right class.
        bins: The number of bins of equal width in (0, 1].

    Returns:
        A dict for each bin that holds photos: its bounds `above` and `to`, how
        many `images` it has, their mean probability `confidence`, their
        `accuracy`, and the interval `low` to `high` of it.
    """
    edges = np.linspace(0, 1, bins + 1)
    own = np.searchsorted(edges[1:-1], probability, side="left")
    found = []
    for i in np.unique(own):
        inside = own == i
        count, hits = int(inside.sum()), int(right[inside].sum())
        low, high = wilson_interval(hits, count)
        found.append(
            {
                "above": float(edges[i]),
                "to": float(edges[i + 1]),
                "images": count,
                "confidence": float(probability[inside].mean()),
                "accuracy": hits / count,
                "low": low,
                "high": high,
            }
        )
    return found


def expected_calibration_error(bins: Sequence[dict[str, Any]]) -> float:
    """Return the mean distance of confidence and accuracy, over the photos."""
    count = sum(b["images"] for b in bins)
    return sum(
        b["images"] * abs(b["accuracy"] - b["confidence"]) for b in bins
    ) / max(count, 1)


def calibration_error_by_chance(bins: Sequence[dict[str, Any]]) -> float:
    """Return the error to expect of a perfectly calibrated classifier.

    Few photos never match a probability exactly. The mean distance of a
    binomial count from its mean has a closed form, which De Moivre found.
    """
    total = 0.0
    for b in bins:
        n, p = b["images"], min(b["confidence"], 1.0)
        peak = scipy.stats.binom.pmf(math.floor(n * p), n - 1, p)
        total += 2 * n * p * (1 - p) * float(peak)
    return total / max(sum(b["images"] for b in bins), 1)
