"""Measure the evidence of a linear classifier that is in wrong places."""

from typing import Any

import numpy as np

from keras_facnn.training.region_penalty import LEAST_SHARE
from keras_facnn.training.region_penalty import LEAST_SUM

# The most values that are in memory at once, 256 MiB of float32.
_CHUNK_VALUES = 2**26


class MisplacedEvidence:
    """The sum over photos of their shares of evidence in wrong places.

    The maps of a linear classifier are linear in the features of each cell, as
    its logits are in their means. A share is that of `RegionPenalty`, on the
    centered maps of the photo's class.

    Args:
        cells: Array `(rows, h, w, channels)`, which may be on disk. At most
            256 MiB of it are in memory at a time.
        index: Integers `(N,)`, the rows of the photos.
        labels: Integers `(N,)`, their classes.
        wrong: Float array `(N, h, w)`, which share of each cell is wrong.
        weights: Float array `(N,)`, the weights of the photos in the sum.
    """

    def __init__(
        self,
        cells: Any,
        index: np.ndarray,
        labels: np.ndarray,
        wrong: np.ndarray,
        weights: np.ndarray,
    ) -> None:
        self._cells, self._index, self._labels = cells, index, labels
        self._wrong = wrong.reshape(len(wrong), -1).astype("float32")
        self._weights = weights.astype("float32")
        per_photo = self._wrong.shape[1] * cells.shape[-1]
        self._at_once = max(1, _CHUNK_VALUES // per_photo)

    def value_and_gradients(
        self, kernel: np.ndarray, bias: np.ndarray
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the sum, and its gradients.

        Args:
            kernel: Array `(channels, C)`.
            bias: Array `(C,)`.
        """
        value = 0.0
        of_kernel, of_bias = np.zeros(kernel.shape), np.zeros(bias.shape)
        for start in range(0, len(self._labels), self._at_once):
            part = slice(start, start + self._at_once)
            # From the maps of all classes to the centered map of the label.
            center = np.eye(len(bias), dtype="float32")[self._labels[part]]
            center -= np.float32(1 / len(bias))
            features = self._cells[self._index[part]].astype("float32")
            features = features.reshape(len(center), -1, len(kernel))
            directions = center @ kernel.T.astype("float32")
            evidence = np.matmul(features, directions[..., None])[..., 0]
            evidence += (center @ bias)[:, None]
            shares, slopes = _shares(evidence, self._wrong[part])
            value += float(self._weights[part] @ shares)
            slopes *= self._weights[part, None]
            by_photo = np.matmul(slopes[:, None], features)[:, 0]
            of_kernel += by_photo.T @ center
            of_bias += slopes.sum(axis=1) @ center
        return value, of_kernel, of_bias


def _shares(
    evidence: np.ndarray, wrong: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of each photo `(N,)`, and its gradient `(N, cells)`."""
    positive = np.maximum(evidence, 0)
    total = positive.sum(axis=1)
    least = LEAST_SHARE * np.abs(evidence).sum(axis=1) + LEAST_SUM
    divisor = np.maximum(total, least)
    shares = (positive * wrong).sum(axis=1) / divisor
    of_total = np.where(total > least, shares, 0)
    slopes = (evidence > 0) * (wrong - of_total[:, None]) / divisor[:, None]
    return shares, slopes.astype("float32")
