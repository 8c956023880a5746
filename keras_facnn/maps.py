"""Helpers for arrays of maps."""

from typing import Any

import numpy as np

from keras_facnn._checks.arrays import as_float32
from keras_facnn._checks.arrays import check_maps
from keras_facnn._checks.classes import CheckedClasses
from keras_facnn._checks.numbers import check_memory
from keras_facnn._checks.numbers import check_size
from keras_facnn.types import Maps


def resize_maps(maps: Maps, size: tuple[int, int]) -> np.ndarray:
    """Resize maps to pixels, bilinearly, with half-pixel centers.

    Args:
        maps: Array `(B, h, w)`, or `(B, h, w, C)` for all classes.
        size: A pair `(H, W)` of positive integers, in pixels.

    Returns:
        A float32 NumPy array `(B, H, W)` or `(B, H, W, C)`.

    Raises:
        ValueError: If `maps` are not an array of maps, or if the result would
            be absurdly large.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> keras_facnn.resize_maps(np.array([[[0.0, 1.0]]]), (1, 4)).tolist()
    [[[0.0, 0.25, 0.75, 1.0]]]
    """
    maps = as_float32(check_maps(maps, ndim=(3, 4), finite=False))
    size = check_size("size", size)
    check_memory("`maps` and `size`", *maps.shape[:1], *size, *maps.shape[3:])
    for axis, pixels in enumerate(size, start=1):
        maps = _resize_axis(maps, axis, pixels)
    return maps


def _resize_axis(maps: np.ndarray, axis: int, pixels: int) -> np.ndarray:
    """Resize float32 maps along one axis."""
    cells = maps.shape[axis]
    if cells == pixels:
        return maps
    at = (np.arange(pixels) + 0.5) * cells / pixels - 0.5
    at = np.clip(at, 0, cells - 1)
    low = at.astype(int)
    high = np.minimum(low + 1, cells - 1)
    share = (at - low).astype("float32")
    share = share.reshape(-1, *[1] * (maps.ndim - axis - 1))
    left, right = maps.take(low, axis), maps.take(high, axis)
    with np.errstate(invalid="ignore"):
        between = left * (1 - share) + right * share
    # Infinity times 0 would be NaN.
    return np.where(share, between, left)


def pick_classes(values: Any, classes: CheckedClasses, logits: Any) -> Any:
    """Pick one class per image from the last axis, or all.

    Args:
        values: Array or tensor `(B, ..., C)`.
        classes: Result of `check_classes`.
        logits: Array `(B, C)`, whose largest values are the predicted classes.

    Returns:
        `values` itself for "all", otherwise an array `(B, ...)`.
    """
    if isinstance(classes, str):
        return values
    if classes is None:
        classes = np.argmax(logits, axis=-1)
    return values[np.arange(len(values)), ..., classes]


def center_maps(maps: Maps) -> Any:
    """Subtract from maps `(..., C)` their mean over the classes."""
    return maps - maps.mean(axis=-1, keepdims=True)


def positive_share(evidence: np.ndarray) -> np.ndarray:
    """Return the share of the positive evidence in each cell `(..., cells)`.

    Where no evidence is positive, all shares are 0.
    """
    positive = np.maximum(evidence, 0)
    total = positive.sum(axis=-1, keepdims=True)
    return np.divide(
        positive, total, out=np.zeros_like(positive), where=total > 0
    )


def strongest_rivals(scores: Any, classes: Any) -> np.ndarray:
    """Return, for each image, the other class with the largest score.

    Args:
        scores: Array `(B, C)`, logits or probabilities.
        classes: An integer, or integers `(B,)`.

    Returns:
        An int array `(B,)`.
    """
    others = np.array(scores, "float64")
    others[np.arange(len(others)), classes] = -np.inf
    return others.argmax(axis=-1)


def are_constant(maps: np.ndarray) -> np.ndarray:
    """Return which maps are constant, up to rounding.

    Args:
        maps: Array `(B, h, w)` or `(B, h, w, C)`.

    Returns:
        A bool array `(B, 1, 1)` or `(B, 1, 1, C)`.
    """
    largest = np.abs(maps).max(axis=(1, 2), keepdims=True)
    return np.ptp(maps, axis=(1, 2), keepdims=True) <= 1e-12 * largest


def locations_by_value(maps: Maps) -> np.ndarray:
    """Return the locations of each map, those with the largest values first.

    Among equal values the earlier location, row by row, comes first.

    Args:
        maps: Array `(B, h, w, ...)`.

    Returns:
        An int array `(B, h * w, ...)` of locations, numbered row by row.
    """
    # Cast before the sign: `-x` of unsigned integers wraps.
    flat = np.asarray(maps, "float64").reshape(
        len(maps), -1, *np.shape(maps)[3:]
    )
    return np.argsort(-flat, axis=1, kind="stable")
