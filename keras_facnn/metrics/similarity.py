import numpy as np


def pearson(maps, reference):
    """Pearson correlation of each map with its reference.

    Args:
        maps: Array `(B, h, w)` or `(B, h, w, C)`.
        reference: Array of the same shape.

    Returns:
        A float64 NumPy array `(B,)` or `(B, C)`, in -1..1. NaN where a map is
        constant, since no correlation exists then.

    Example:

    >>> maps = np.array([[[0.0, 1.0], [2.0, 3.0]]])
    >>> keras_facnn.metrics.pearson(maps, 1 - 2 * maps).tolist()
    [-1.0]
    """
    maps = np.asarray(maps, "float64")
    reference = np.asarray(reference, "float64")
    if maps.shape != reference.shape or maps.ndim not in (3, 4):
        raise ValueError(
            "`maps` and `reference` must have the same shape, (B, h, w) or "
            f"(B, h, w, C). Received: maps of shape {maps.shape}, reference of "
            f"shape {reference.shape}"
        )
    return (_standardise(maps) * _standardise(reference)).sum(axis=(1, 2))


def _standardise(maps):
    """Maps of mean 0 and norm 1; NaN where constant."""
    maps = maps - maps.mean(axis=(1, 2), keepdims=True)
    norm = np.sqrt((maps**2).sum(axis=(1, 2), keepdims=True))
    # Rounding leaves a constant map not quite at 0.
    constant = norm <= 1e-12 * np.sqrt(maps[0].size)
    return np.divide(
        maps, norm, out=np.full_like(maps, np.nan), where=~constant
    )
