"""Fit a linear classifier of features that lie on disk."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import scipy

# The most values that are in memory at once, 256 MiB of float32.
_CHUNK_VALUES = 2**26
_STEPS = 200
# A step that lowers the loss by less than this share of it is the last.
_LEAST_GAIN = 1e-5
# Features, labels and weights.
_Chunk = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Linear:
    """A linear classifier: logits are `features @ kernel + bias`.

    Args:
        kernel: Float array `(channels, C)`.
        bias: Float array `(C,)`.
    """

    kernel: np.ndarray
    bias: np.ndarray

    def logits(self, features: np.ndarray) -> np.ndarray:
        return np.asarray(features, "float32") @ self.kernel + self.bias


class LogisticRegression:
    """Multinomial logistic regression with an L2 penalty, by L-BFGS.

    It minimizes the sum over the photos of the weighted cross-entropy, which is
    averaged over the versions of each photo, plus half the penalty times the
    squared norm of the kernel. For the penalty, the features are divided by one
    number, so that their mean variance is 1.

    Args:
        rows: Array `(N, versions, channels)`, which may be on disk. At most
            256 MiB of it are in memory at a time.
        index: Integers, the rows to fit.
        labels: Integers, the class of each of these rows.
        weights: Float array `(C,)`, the weight of each class.
        shares: Float array, by which the weights of these rows are multiplied.
            None means 1.
    """

    def __init__(
        self,
        rows: np.ndarray,
        index: np.ndarray,
        labels: np.ndarray,
        weights: np.ndarray,
        shares: np.ndarray | None = None,
    ) -> None:
        self._rows, self._index, self._labels = rows, index, labels
        self._classes = len(weights)
        of_rows = (
            weights[labels] if shares is None else weights[labels] * shares
        )
        self._weights = of_rows.astype("float32")
        _, self._versions, self._channels = rows.shape
        per_row = self._versions * self._channels
        self._rows_at_once = max(1, _CHUNK_VALUES // per_row)
        self._kept: list[_Chunk] | None = None
        self._center, self._scale = np.zeros(self._channels), 1.0
        self._center, self._scale = self._moments()
        if len(index) <= self._rows_at_once:
            self._kept = list(self._chunks())

    def fit(self, penalty: float, start: Linear | None = None) -> Linear:
        """Return the classifier for a penalty.

        Args:
            penalty: Positive float.
            start: A classifier to start at, such as that of another penalty.
        """
        classes = self._classes
        x = np.zeros((self._channels + 1, classes))
        if start is not None:
            x[:-1] = start.kernel * self._scale
            x[-1] = start.bias + self._center @ start.kernel

        def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
            x = flat.reshape((-1, classes))
            value, gradient = self._cross_entropy(x)
            value += 0.5 * penalty * float((x[:-1] ** 2).sum())
            gradient[:-1] += penalty * x[:-1]
            return value, gradient.ravel()

        found = scipy.optimize.minimize(
            objective,
            x.ravel(),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": _STEPS, "ftol": _LEAST_GAIN},
        )
        x = found.x.reshape(x.shape)
        kernel = x[:-1] / self._scale
        bias = x[-1] - self._center @ kernel
        return Linear(kernel.astype("float32"), bias.astype("float32"))

    def _cross_entropy(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the cross-entropy of all photos, and its gradient."""
        value, gradient = 0.0, np.zeros_like(x)
        kernel, bias = x[:-1].astype("float32"), x[-1].astype("float32")
        for features, labels, weight in self._chunks():
            logits = features @ kernel + bias
            logits -= logits.max(axis=1, keepdims=True)
            each = np.arange(len(labels))
            of_label = logits[each, labels]
            errors = np.exp(logits, out=logits)
            total = errors.sum(axis=1, keepdims=True)
            value += float(weight @ (np.log(total[:, 0]) - of_label))
            errors /= total
            errors[each, labels] -= 1
            errors *= weight[:, None]
            gradient[:-1] += features.T @ errors
            gradient[-1] += errors.sum(axis=0)
        return value, gradient

    def _chunks(self) -> Iterator[_Chunk]:
        """Yield features `(n, channels)`, standardized, labels and weights."""
        if self._kept is not None:
            yield from self._kept
            return
        for start in range(0, len(self._index), self._rows_at_once):
            part = slice(start, start + self._rows_at_once)
            features = self._rows[self._index[part]].astype("float32")
            features -= self._center.astype("float32")
            features /= np.float32(self._scale)
            yield (
                features.reshape(-1, self._channels),
                np.repeat(self._labels[part], self._versions),
                np.repeat(self._weights[part], self._versions) / self._versions,
            )

    def _moments(self) -> tuple[np.ndarray, float]:
        """Return the mean of each channel, and the mean deviation of all."""
        first = np.zeros(self._channels)
        second = np.zeros(self._channels)
        count = 0
        for features, *_ in self._chunks():
            first += features.sum(axis=0, dtype="float64")
            second += np.square(features).sum(axis=0, dtype="float64")
            count += len(features)
        center = first / count
        variance = float(np.maximum(second / count - center**2, 0).mean())
        return center, np.sqrt(variance) or 1.0
