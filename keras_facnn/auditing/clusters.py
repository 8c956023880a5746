"""Group places by their looks."""

import warnings

import numpy as np
import scipy


def unit_rows(values: np.ndarray) -> np.ndarray:
    """Return vectors `(..., D)` of length 1; those of length 0 stay 0."""
    values = np.asarray(values, "float32")
    length = np.linalg.norm(values, axis=-1, keepdims=True)
    return np.divide(
        values, length, out=np.zeros_like(values), where=length > 0
    )


def k_means(looks: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return the number of each vector's cluster.

    Args:
        looks: Floats `(N, D)`.
        count: Positive integer, how many clusters to make at most.
        seed: Seed of the start (k-means++).
    """
    distinct = len(np.unique(looks, axis=0))
    count = min(count, distinct)
    if count < 2:
        return np.zeros(len(looks), int)
    with warnings.catch_warnings():
        # A cluster that loses all its vectors is left empty.
        warnings.filterwarnings("ignore", "One of the clusters is empty")
        _, numbers = scipy.cluster.vq.kmeans2(
            looks.astype("float64"), count, minit="++", seed=seed
        )
    return numbers
