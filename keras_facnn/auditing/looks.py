"""How an image looks, in few numbers."""

import functools

import numpy as np

from keras_facnn.grid import Grid
from keras_facnn.regions import area_weights

# Pixels of a thumbnail per cell of the grid, down and across.
DETAIL = 4
# Below so much contrast, in 0..255, there is no texture to tell.
_NOISE = 0.3


def thumbnail(pixels: np.ndarray, grid: Grid) -> np.ndarray:
    """Return an image as the mean colors of parts of the cells.

    Args:
        pixels: uint8 array `(H, W, channels)`.
        grid: The grid of an audit.

    Returns:
        A uint8 array `(rows * DETAIL, columns * DETAIL, channels)`.
    """
    rows, columns = grid.shape
    return shrunk(pixels, rows * DETAIL, columns * DETAIL)


def shrunk(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return an image as the mean colors of equal parts.

    Args:
        pixels: uint8 array `(H, W, channels)`.
        height: Positive integer, the parts of a column.
        width: Positive integer, the parts of a row.

    Returns:
        A uint8 array `(height, width, channels)`.
    """
    down = _weights(pixels.shape[0], height)
    across = _weights(pixels.shape[1], width)
    lines = down @ pixels.reshape(len(pixels), -1).astype("float32")
    means = across @ lines.reshape(height, *pixels.shape[1:])
    return np.round(means).astype("uint8")


@functools.cache
def _weights(pixels: int, cells: int) -> np.ndarray:
    return area_weights(pixels, cells).astype("float32")


def texture(pixels: np.ndarray) -> np.ndarray:
    """Return how sharp, detailed and blocky an image is, `(9,)`.

    Blurred images have less contrast at the finest scale than at coarser ones.
    JPEG files of low quality have jumps at every eighth pixel.

    Args:
        pixels: uint8 array `(H, W, channels)`.
    """
    channels = pixels.shape[-1]
    gray = pixels.astype("float32") @ np.full(channels, 1 / channels, "float32")
    half = _halved(gray)
    fine, middle, coarse = map(_contrast, (gray, half, _halved(half)))
    return np.concatenate(
        [fine - middle, middle - coarse, fine, [2 * _blockiness(gray)]]
    ).astype("float32")


def _halved(gray: np.ndarray) -> np.ndarray:
    height, width = (n // 2 * 2 for n in gray.shape)
    if min(height, width) < 6:
        return gray
    even = gray[:height, :width]
    rows = even[::2] + even[1::2]
    return (rows[:, ::2] + rows[:, 1::2]) / 4


def _contrast(gray: np.ndarray) -> np.ndarray:
    """Return the log of the mean, and of a high, contrast to neighbors."""
    contrast = 4 * gray[1:-1, 1:-1]
    for neighbors in (gray[2:], gray[:-2]):
        contrast -= neighbors[:, 1:-1]
    for neighbors in (gray[:, 2:], gray[:, :-2]):
        contrast -= neighbors[1:-1]
    contrast = np.abs(contrast, out=contrast).ravel()
    if not contrast.size:
        contrast = np.zeros(1)
    # `np.quantile` looks for two neighbors, which takes twice as long.
    rank = int(0.95 * (contrast.size - 1))
    high = np.partition(contrast, rank)[rank]
    return np.log([contrast.mean() + _NOISE, high + _NOISE])


def _blockiness(gray: np.ndarray) -> float:
    """Return the log of how much larger the jumps at each eighth pixel are."""
    at, others = [], []
    for lines in (gray, gray.T):
        jumps = np.abs(np.diff(lines, axis=0)).mean(axis=1)
        by_phase = [
            jumps[phase::8].mean() for phase in range(min(8, len(jumps)))
        ]
        at.append(by_phase[-1] if by_phase else 0.0)
        others.append(np.median(by_phase) if by_phase else 0.0)
    return float(np.log((sum(at) + 0.5) / (sum(others) + 0.5)))
