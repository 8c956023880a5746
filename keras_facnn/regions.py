"""Regions of images: where evidence should lie, or should not lie.

A mask `(H, W)` of a region holds, for each pixel, the share of it that is
inside, 0..1. It may have any resolution. The mask of an image that has no
region is NaN everywhere.
"""

from typing import Any

import numpy as np

from keras_facnn._checks.arrays import as_float32
from keras_facnn._checks.arrays import check_boxes
from keras_facnn._checks.arrays import real_array
from keras_facnn._checks.messages import short_repr
from keras_facnn._checks.numbers import check_int
from keras_facnn._checks.numbers import check_memory
from keras_facnn._checks.numbers import check_size
from keras_facnn.types import Regions


def area_weights(pixels: int, cells: int) -> np.ndarray:
    """Return which share of each cell each pixel covers, along one side.

    `area_weights(H, h) @ mask @ area_weights(W, w).T` is the mean of a mask
    over the area of each cell of a grid, exactly, also where the sizes do not
    divide. It holds for finer grids, too.

    Args:
        pixels: Positive integer, into how many pixels the side is divided.
        cells: Positive integer, into how many cells it is divided.

    Returns:
        A float64 array `(cells, pixels)`, whose rows sum to 1.
    """
    # In these units, a pixel has the length `cells`, and a cell `pixels`.
    starts = np.arange(pixels) * cells
    cell_starts = np.arange(cells)[:, None] * pixels
    ends = np.minimum(starts + cells, cell_starts + pixels)
    return np.maximum(ends - np.maximum(starts, cell_starts), 0) / pixels


def touched(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return which cells of a grid any part of a region lies in.

    Args:
        mask: Array `(H, W)` of 0..1, or of booleans.
        size: `(height, width)` of the grid.

    Returns:
        Booleans `(height, width)`.
    """
    rows, columns = (
        area_weights(*sides) for sides in zip(mask.shape, size, strict=True)
    )
    return rows @ mask @ columns.T > 0


def widened(masks: np.ndarray) -> np.ndarray:
    """Return masks with half a cell more on all sides, in half cells.

    Args:
        masks: Array `(B, H, W)`, NaN for images without a region.

    Returns:
        An array `(B, 2 * H, 2 * W)`.
    """
    fine = masks.repeat(2, axis=1).repeat(2, axis=2)
    height, width = fine.shape[1:]
    # Outside of the image is no region.
    padded = np.pad(fine, ((0, 0), (1, 1), (1, 1)))
    shifted = [
        padded[:, row : row + height, column : column + width]
        for row in range(3)
        for column in range(3)
    ]
    return np.max(shifted, axis=0)


def regions_on_grid(masks: Any, height: int, width: int) -> np.ndarray:
    """Return which share of each location of a grid is inside the regions.

    Args:
        masks: Array `(B, H, W)` of 0..1, NaN for images without a region.
        height: Positive integer, the rows of the grid.
        width: Positive integer, its columns.

    Returns:
        A float32 array `(B, height, width)` of 0..1, NaN for images without a
        region.
    """
    masks = check_masks("masks", masks)
    rows = area_weights(masks.shape[1], check_int("height", height))
    columns = area_weights(masks.shape[2], check_int("width", width))
    return as_float32(rows @ masks @ columns.T)


def boxes_to_masks(boxes: Any, size: tuple[int, int]) -> np.ndarray:
    """Return masks that are inside at the pixels of boxes.

    `RegionPenalty` takes masks.

    Args:
        boxes: Array `(B, 4)` of `(left, top, right, bottom)` in pixels of the
            image. Right and bottom are not included. For images with several
            boxes, pass a sequence of B arrays `(N, 4)`. An entry may be None,
            for an image without a region.
        size: `(height, width)` of the images, in pixels.

    Returns:
        A float32 NumPy array `(B, height, width)`: the share of each pixel that
        lies in a box, 0..1, and NaN for images without a region.

    Raises:
        ValueError: If a box is empty or lies outside of the image.

    Example:

    >>> import keras_facnn
    >>> masks = keras_facnn.boxes_to_masks([[1, 0, 3, 1], None], (2, 4))
    >>> masks[0].tolist()
    [[0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    """
    size = check_size("size", size)
    items = boxes if isinstance(boxes, (list, tuple)) else list(_array(boxes))
    if not items:
        raise ValueError(
            f"`boxes` must hold one entry per image. Received: boxes={boxes!r}"
        )
    check_memory("`boxes` and `size`", len(items), *size)
    known = [i for i, item in enumerate(items) if item is not None]
    masks = np.full((len(items), *size), np.nan, "float32")
    if known:
        checked = check_boxes([items[i] for i in known], len(known), size)
        for i, several in zip(known, checked, strict=True):
            masks[i] = _covered(several, size)
    return masks


def check_regions(
    regions: Regions, batch: int, size: tuple[int, int]
) -> np.ndarray:
    """Return the masks of regions in any of their forms in memory, or raise.

    Args:
        regions: Masks `(B, H, W)`, boxes as in `boxes_to_masks`, or a sequence
            of one entry per image: a mask `(H, W)`, boxes, or None. Numbers
            with 4 columns are boxes; a mask that has 4 columns must be of
            booleans.
        batch: The number of images, B.
        size: `(height, width)` of the images, in pixels.

    Returns:
        A float32 array `(B, H, W)`, NaN for images without a region. Masks that
        are one array keep their resolution.
    """
    if not isinstance(regions, (list, tuple)):
        regions = _array(regions)
        if regions.ndim == 3 and not _are_boxes(regions):
            return check_masks("regions", regions, batch)
    if len(regions) != batch:
        raise ValueError(
            f"`regions` must have {batch} entries, one per image. "
            f"Received: {len(regions)}"
        )
    masks = np.full((batch, *size), np.nan, "float32")
    for mask, region in zip(masks, regions, strict=True):
        if region is None:
            continue
        array = real_array("regions", region)
        if _are_boxes(array):
            mask[:] = boxes_to_masks([array], size)[0]
        elif array.ndim == 2:
            mask[:] = regions_on_grid(
                check_masks("regions", array[None]), *size
            )[0]
        else:
            raise ValueError(
                "Each entry of `regions` must be a mask (H, W), boxes (N, 4), "
                f"or None. Received: {short_repr(region)}"
            )
    return masks


def check_masks(name: str, masks: Any, batch: int | None = None) -> np.ndarray:
    """Return masks as float32, or raise.

    Args:
        name: The caller's name for the masks.
        masks: Array `(B, H, W)` of 0..1, NaN for images without a region.
        batch: The expected number of masks; None accepts any.
    """
    array = real_array(name, masks)
    if (
        array.ndim != 3
        or 0 in array.shape
        or (batch is not None and len(array) != batch)
    ):
        first = "B" if batch is None else batch
        raise ValueError(
            f"`{name}` must have shape ({first}, H, W). "
            f"Received: shape {array.shape}"
        )
    array = as_float32(array)
    unknown = np.isnan(array)
    if (unknown.any(axis=(1, 2)) != unknown.all(axis=(1, 2))).any():
        raise ValueError(
            f"`{name}` must be NaN at all pixels of an image without a region, "
            "and at no pixel of another. Received: a mask with NaN at some"
        )
    outside = array[(array < 0) | (array > 1)]
    if outside.size:
        raise ValueError(
            f"`{name}` must be 1 inside and 0 outside of a region, or between. "
            f"Received: values from {outside.min():g} to {outside.max():g}"
        )
    return array


def _array(regions: Any) -> np.ndarray:
    """Return regions that are one array, or raise."""
    array = real_array("regions", regions)
    if array.ndim not in (2, 3):
        raise ValueError(
            "`regions` must be masks (B, H, W), boxes (B, 4), or a sequence of "
            f"one entry per image. Received: shape {array.shape}"
        )
    return array


def _are_boxes(array: np.ndarray) -> bool:
    """Return whether an array looks like boxes, and not like a mask."""
    return array.ndim > 0 and array.shape[-1] == 4 and array.dtype != bool


def _covered(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return which share of each pixel is in one of several boxes `(N, 4)`."""
    mask = np.zeros(size)
    y, x = (np.arange(n) for n in size)
    for left, top, right, bottom in boxes:
        rows, columns = (
            np.clip(np.minimum(end, i + 1) - np.maximum(start, i), 0, 1)
            for start, end, i in ((top, bottom, y), (left, right, x))
        )
        np.maximum(mask, np.outer(rows, columns), out=mask)
    return mask
