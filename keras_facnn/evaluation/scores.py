"""What is kept of each photo: a few numbers in place of all logits."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy


@dataclasses.dataclass(frozen=True, eq=False)
class Scores:
    """What a classifier says of some photos, and what is right.

    Args:
        label: Integers `(N,)`, the right class of each photo.
        predicted: Integers `(N,)`, the likeliest class.
        rival: Integers `(N,)`, the second likeliest class.
        probability: Floats `(N,)`, the probability of `predicted`.
        rival_probability: Floats `(N,)`, the probability of `rival`.
        label_probability: Floats `(N,)`, the probability of `label`.
        rank: Integers `(N,)`, how many classes are likelier than `label`.
        cross_entropy: Floats `(N,)`.
    """

    label: np.ndarray
    predicted: np.ndarray
    rival: np.ndarray
    probability: np.ndarray
    rival_probability: np.ndarray
    label_probability: np.ndarray
    rank: np.ndarray
    cross_entropy: np.ndarray

    @property
    def margin(self) -> np.ndarray:
        """How far the likeliest class is ahead of the second, `(N,)`."""
        return self.probability - self.rival_probability


def score(
    outputs: np.ndarray,
    labels: np.ndarray,
    several_labels: bool = False,
    from_logits: bool = True,
) -> Scores:
    """Return the scores of a batch.

    Args:
        outputs: Array `(B, C)` of a classifier's outputs.
        labels: Integers `(B,)`.
        several_labels: Whether each class has a probability of its own.
        from_logits: Whether `outputs` are logits, or already probabilities.
    """
    outputs = np.asarray(outputs, "float64")
    rows = np.arange(len(outputs))
    order = np.argsort(-outputs, axis=-1, kind="stable")
    predicted, rival = order[:, 0], order[:, 1]
    log_p = _log_probabilities(outputs, several_labels, from_logits)
    p = np.exp(log_p)
    entropy = -log_p[rows, labels]
    if several_labels:
        present = np.zeros(outputs.shape, bool)
        present[rows, labels] = True
        log_rest = (
            scipy.special.log_expit(-outputs) if from_logits else np.log1p(-p)
        )
        entropy = -np.where(present, log_p, log_rest).mean(axis=-1)
    return Scores(
        label=np.asarray(labels),
        predicted=predicted,
        rival=rival,
        probability=p[rows, predicted],
        rival_probability=p[rows, rival],
        label_probability=p[rows, labels],
        rank=(order == labels[:, None]).argmax(axis=-1),
        cross_entropy=entropy,
    )


def join(batches: Sequence[Scores]) -> Scores:
    """Return the scores of several batches as one."""
    return Scores(
        **{
            field.name: np.concatenate(
                [getattr(b, field.name) for b in batches]
            )
            for field in dataclasses.fields(Scores)
        }
    )


def mean_cross_entropy(
    logits: np.ndarray, labels: np.ndarray, several_labels: bool
) -> float:
    """Return the mean cross-entropy of logits `(N, C)`."""
    return float(score(logits, labels, several_labels).cross_entropy.mean())


def _log_probabilities(
    outputs: np.ndarray, several_labels: bool, from_logits: bool
) -> np.ndarray:
    if not from_logits:
        # Where a probability is 0, its logarithm stays finite.
        return np.log(np.maximum(outputs, np.finfo("float32").tiny))
    if several_labels:
        return scipy.special.log_expit(outputs)
    return scipy.special.log_softmax(outputs, axis=-1)
