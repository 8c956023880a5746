"""Replace removed pixels."""

from typing import Any

import numpy as np
import scipy

from keras_facnn._checks.arrays import finite_array
from keras_facnn._checks.numbers import is_number
from keras_facnn.types import Baseline


def baseline_images(images: np.ndarray, baseline: Baseline) -> np.ndarray:
    """Return the images that replace removed pixels.

    Args:
        images: Float32 array `(B, H, W, channels)`.
        baseline: A number, `"mean"` (each image's own mean color), `"blur"`
            (each image, blurred by a Gaussian whose standard deviation is a
            tenth of its longer side), or an array that broadcasts to `images`,
            such as a data set's mean color.

    Returns:
        An array of the shape and dtype of `images`.
    """
    if isinstance(baseline, str) and baseline == "blur":
        sigma = 0.1 * max(images.shape[1:3])
        return scipy.ndimage.gaussian_filter(images, (0, sigma, sigma, 0))
    values: Any = baseline
    if isinstance(baseline, str) and baseline == "mean":
        values = images.mean(axis=(1, 2), keepdims=True)
    expected = (
        '`baseline` must be a number, "mean", "blur", or an array that '
        f"broadcasts to {images.shape}, with finite {images.dtype} values. "
    )
    if not is_number(values) and (
        isinstance(values, (str, bool, np.bool_)) or values is None
    ):
        raise ValueError(f"{expected}Received: baseline={baseline!r}")
    values = finite_array("baseline", values)
    with np.errstate(over="ignore"):
        values = values.astype(images.dtype)
    if not np.isfinite(values).all():
        raise ValueError(f"{expected}Received: baseline={baseline!r}")
    try:
        return np.broadcast_to(values, images.shape)
    except ValueError:
        raise ValueError(
            f"{expected}Received: an array of shape {values.shape}"
        ) from None


# Neighbors of a pixel and their weights in ROAD's linear imputation.
_NEIGHBORS = [
    (dy, dx, 1 / 12 if dy and dx else 1 / 6)
    for dy in (-1, 0, 1)
    for dx in (-1, 0, 1)
    if dy or dx
]


def impute(
    image: np.ndarray,
    pixels: np.ndarray,
    noise: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Impute removed pixels as ROAD does, by the weighted mean of neighbors.

    If no pixel is left, the image becomes its own mean color.

    Source: Rong et al., "A Consistent and Efficient Evaluation Strategy for
    Attribution Methods", arXiv 2202.00449.

    Args:
        image: Float array `(H, W, channels)`.
        pixels: Locations of the removed pixels, numbered row by row.
        noise: Standard deviation of the noise that is added to them.
        rng: NumPy random generator of the noise.

    Returns:
        An array of the shape of `image`.
    """
    height, width, channels = image.shape
    if len(pixels) == 0:
        return image
    if len(pixels) == height * width:
        filled = np.broadcast_to(image.mean(axis=(0, 1)), image.shape)
        return filled + noise * rng.normal(size=image.shape)
    flat = image.reshape(-1, channels).astype("float64")
    unknown = np.full(height * width, -1)
    unknown[pixels] = np.arange(len(pixels))
    y, x = np.divmod(pixels, width)
    diagonal = np.zeros(len(pixels))
    right = np.zeros((len(pixels), channels))
    rows, columns, values = [], [], []
    for dy, dx, weight in _NEIGHBORS:
        inside = np.flatnonzero(
            (y + dy >= 0) & (y + dy < height) & (x + dx >= 0) & (x + dx < width)
        )
        neighbors = (y + dy)[inside] * width + (x + dx)[inside]
        diagonal[inside] += weight
        missing = unknown[neighbors] >= 0
        rows.append(inside[missing])
        columns.append(unknown[neighbors[missing]])
        values.append(np.full(missing.sum(), -weight))
        right[inside[~missing]] += weight * flat[neighbors[~missing]]
    n = len(pixels)
    matrix = scipy.sparse.csc_matrix(
        (
            np.concatenate([*values, diagonal]),
            (
                np.concatenate([*rows, np.arange(n)]),
                np.concatenate([*columns, np.arange(n)]),
            ),
        ),
        shape=(n, n),
    )
    solution = scipy.sparse.linalg.spsolve(matrix, right).reshape(n, channels)
    changed = image.reshape(-1, channels).copy()
    changed[pixels] = solution + noise * rng.normal(size=solution.shape)
    return changed.reshape(image.shape)
