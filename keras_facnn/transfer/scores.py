"""Score the answers for photographs that are held out."""

import dataclasses

import numpy as np

from keras_facnn.evaluation.scores import score


@dataclasses.dataclass(frozen=True)
class Scores:
    """How good answers are.

    Args:
        images: The number of photos.
        accuracy: The share of right answers.
        balanced_accuracy: The mean over the classes of this share.
        cross_entropy: The mean negative logarithm of the probability of the
            right class, in nats.
    """

    images: int
    accuracy: float
    balanced_accuracy: float
    cross_entropy: float


def scores_of(logits: np.ndarray, labels: np.ndarray) -> Scores:
    """Return the scores of logits `(B, C)` for labels `(B,)`."""
    scores = score(logits, labels)
    right = scores.predicted == labels
    per_class = [right[labels == label].mean() for label in np.unique(labels)]
    return Scores(
        images=len(labels),
        accuracy=float(right.mean()),
        balanced_accuracy=float(np.mean(per_class)),
        cross_entropy=float(scores.cross_entropy.mean()),
    )
