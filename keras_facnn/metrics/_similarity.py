"""Compare maps with a reference, value by value."""

import numpy as np
import scipy

from keras_facnn._checks.arrays import check_maps
from keras_facnn._checks.arrays import real_array
from keras_facnn._checks.numbers import check_float
from keras_facnn.maps import are_constant
from keras_facnn.maps import locations_by_value
from keras_facnn.metrics._result import Result
from keras_facnn.types import Maps


def pearson(maps: Maps, reference: Maps) -> Result:
    """Return the Pearson correlation of each map with its reference.

    Args:
        maps: Array `(B, h, w)` or `(B, h, w, C)`.
        reference: Array of the same shape.

    Returns:
        A `Result` whose values, `(B,)` or `(B, C)`, are in -1..1. They are NaN
        where a map is constant, because no correlation exists then.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> maps = np.array([[[0.0, 1.0], [2.0, 3.0]]])
    >>> keras_facnn.metrics.pearson(maps, 1 - 2 * maps).mean
    -1.0
    """
    maps, reference = _check(maps, reference)
    return Result(
        values=correlations(maps, reference),
        metric="pearson",
        higher_is_better=True,
        definition="the Pearson correlation of a map with its reference",
    )


def spearman(maps: Maps, reference: Maps) -> Result:
    """Return Spearman's rank correlation of each map with its reference.

    Equal values get their mean rank.

    Args:
        maps: Array `(B, h, w)` or `(B, h, w, C)`.
        reference: Array of the same shape.

    Returns:
        A `Result` whose values, `(B,)` or `(B, C)`, are in -1..1; NaN where a
        map is constant.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> maps = np.array([[[0.0, 1.0], [2.0, 3.0]]])
    >>> keras_facnn.metrics.spearman(maps, np.exp(maps)).mean
    1.0
    """
    maps, reference = _check(maps, reference)

    def ranks(x: np.ndarray) -> np.ndarray:
        flat = x.reshape(x.shape[0], -1, *x.shape[3:])
        return scipy.stats.rankdata(flat, axis=1).reshape(x.shape)

    return Result(
        values=correlations(ranks(maps), ranks(reference)),
        metric="spearman",
        higher_is_better=True,
        definition="Spearman's rank correlation of a map with its reference",
    )


def top_iou(maps: Maps, reference: Maps, fraction: float = 0.2) -> Result:
    """Return the intersection over union of the brightest locations.

    In each map, the `fraction` of locations with the largest values is chosen.
    Among equal values, earlier locations are chosen first.

    Args:
        maps: Array `(B, h, w)` or `(B, h, w, C)`.
        reference: Array of the same shape.
        fraction: Float in (0, 1), the share of locations to choose.

    Returns:
        A `Result` whose values, `(B,)` or `(B, C)`, are in 0..1; NaN where a
        map is constant.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> maps = np.array([[[0.0, 1.0], [2.0, 3.0]]])
    >>> keras_facnn.metrics.top_iou(maps, -maps, fraction=0.5).mean
    0.0
    """
    maps, reference = _check(maps, reference)
    fraction = check_float("fraction", fraction, above=0, below=1)
    count = max(1, round(fraction * maps.shape[1] * maps.shape[2]))

    def top(x: np.ndarray) -> np.ndarray:
        order = locations_by_value(x)
        chosen = np.zeros(order.shape, bool)
        np.put_along_axis(chosen, order[:, :count], True, axis=1)
        return chosen

    a, b = top(maps), top(reference)
    iou = (a & b).sum(axis=1) / (a | b).sum(axis=1)
    constant = are_constant(maps) | are_constant(reference)
    return Result(
        values=np.where(constant[:, 0, 0], np.nan, iou),
        metric="top_iou",
        higher_is_better=True,
        definition="the intersection over union of the brightest locations",
        settings={"fraction": fraction},
    )


def correlations(maps: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the Pearson correlations of checked maps, `(B,)` or `(B, C)`."""
    return (_standardize(maps) * _standardize(reference)).sum(axis=(1, 2))


def _check(maps: Maps, reference: Maps) -> tuple[np.ndarray, np.ndarray]:
    """Return maps and their reference, of the same shape."""
    maps = real_array("maps", maps)
    reference = real_array("reference", reference)
    if maps.shape != reference.shape:
        raise ValueError(
            "`maps` and `reference` must have the same shape, (B, h, w) or "
            f"(B, h, w, C). Received: maps of shape {maps.shape}, reference of "
            f"shape {reference.shape}"
        )
    maps = check_maps(maps, ndim=(3, 4))
    reference = check_maps(reference, ndim=(3, 4), name="reference")
    return maps, reference


def _standardize(maps: np.ndarray) -> np.ndarray:
    """Return maps with mean 0 and norm 1, and NaN for constant maps."""
    centered = maps - maps.mean(axis=(1, 2), keepdims=True)
    varies = np.broadcast_to(~are_constant(maps), maps.shape)
    nothing = np.full_like(maps, np.nan)
    # Scale the largest value to 1, so that no square underflows.
    largest = np.abs(centered).max(axis=(1, 2), keepdims=True)
    centered = np.divide(centered, largest, out=nothing.copy(), where=varies)
    with np.errstate(under="ignore"):
        norm = np.sqrt((centered**2).sum(axis=(1, 2), keepdims=True))
    return np.divide(centered, norm, out=nothing, where=varies)
