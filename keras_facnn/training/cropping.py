"""Show an image without a place, by a crop."""

import numpy as np

from keras_facnn.maps import resize_maps
from keras_facnn.regions import touched

# A place is left out in cells of this grid, whatever the size of the image.
_CELLS = 32
# A smaller part shows too little of an image.
_LEAST_CELLS = 8


def clear_square(wrong: np.ndarray) -> tuple[int, int, int] | None:
    """Return the largest square of a grid of 32 x 32 that is clear of a place.

    Of equally large ones, it is the one that is nearest to the center.

    Args:
        wrong: Array `(h, w)` of 0..1, which share of each cell of any grid is
            in the place.

    Returns:
        Its top, left and side in cells. None if it has less than 8.
    """
    in_place = touched(wrong, (_CELLS, _CELLS))
    sums = np.pad(in_place.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    for side in range(_CELLS, _LEAST_CELLS - 1, -1):
        rows = sums[side:] - sums[:-side]
        clear = np.argwhere(rows[:, side:] == rows[:, :-side])
        if len(clear):
            off = np.abs(clear - (_CELLS - side) / 2).sum(axis=1)
            top, left = clear[off.argmin()].tolist()
            return top, left, side
    return None


def cropped(image: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Return the largest part of an image that is clear of a place.

    Args:
        image: Array `(H, W, channels)`.
        wrong: As in `clear_square`, which must find a square.

    Returns:
        An array of the shape and the dtype of `image`. The part has its aspect
        ratio, and is enlarged bilinearly.
    """
    square = clear_square(wrong)
    assert square is not None
    *corner, side = square
    rows, columns = (
        _pixels(start, side, pixels)
        for start, pixels in zip(corner, image.shape, strict=False)
    )
    (part,) = resize_maps(image[None, rows, columns], image.shape[:2])
    if image.dtype.kind in "iu":
        part = np.round(part)
    return part.astype(image.dtype)


def _pixels(start: int, side: int, pixels: int) -> slice:
    """Return the pixels within cells, of a tiny image at least one."""
    first = min(-(-start * pixels // _CELLS), pixels - 1)
    return slice(first, max((start + side) * pixels // _CELLS, first + 1))
