"""Measure how few locations hold most of a map."""

import numpy as np
import scipy

from keras_facnn._checks.arrays import check_maps
from keras_facnn.metrics._result import Result
from keras_facnn.types import Maps


def sparseness(maps: Maps) -> Result:
    """Return the Gini index of the absolute values of each map.

    It is 0 if all values are equal, and near 1 if one location has all.

    Source: Chalasani et al., "Concise Explanations of Neural Networks using
    Adversarial Training", arXiv 1810.06583, section 4.

    Args:
        maps: Array `(B, h, w)`. Maps of another resolution have another value.

    Returns:
        A `Result` whose values `(B,)` are in 0..1. They are NaN where a map is
        0 everywhere.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> keras_facnn.metrics.sparseness(np.eye(4)[None]).mean
    0.75
    """
    shares = np.sort(_shares(maps), axis=1)
    count = shares.shape[1]
    weights = 2 * np.arange(1, count + 1) - count - 1
    return Result(
        values=(shares * weights).sum(axis=1) / count,
        metric="sparseness",
        definition="the Gini index of the absolute values of a map",
        source="Chalasani et al. 2020, arXiv 1810.06583",
    )


def complexity(maps: Maps) -> Result:
    """Return the entropy of the absolute values of each map.

    It is 0 if one location has all, and `log(h * w)` if all values are equal.

    Source: Bhatt et al., "Evaluating and Aggregating Feature-based Model
    Explanations", arXiv 2005.00631, section 3.3.

    Args:
        maps: Array `(B, h, w)`. Maps of another resolution have another value.

    Returns:
        A `Result` whose values `(B,)` are in `0..log(h * w)`, in nats. They are
        NaN where a map is 0 everywhere.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> keras_facnn.metrics.complexity(np.ones((1, 1, 1))).mean
    0.0
    """
    return Result(
        values=scipy.special.entr(_shares(maps)).sum(axis=1),
        metric="complexity",
        definition="the entropy of the absolute values of a map, in nats",
        source="Bhatt et al. 2020, arXiv 2005.00631",
    )


def _shares(maps: Maps) -> np.ndarray:
    """Return absolute values as shares of their sum, `(B, h * w)`."""
    array = np.abs(check_maps(maps).astype("float64"))
    flat = array.reshape(len(array), -1)
    total = flat.sum(axis=1, keepdims=True)
    return np.divide(
        flat, total, out=np.full(flat.shape, np.nan), where=total > 0
    )
