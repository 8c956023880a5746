"""The regions of the images to audit, batch by batch."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_facnn.auditing.batches import Batch
from keras_facnn.auditing.batches import Source
from keras_facnn.grid import Grid
from keras_facnn.pictures.mask_folder import match_masks
from keras_facnn.pictures.mask_folder import read_mask
from keras_facnn.regions import check_masks
from keras_facnn.regions import check_regions
from keras_facnn.regions import regions_on_grid
from keras_facnn.types import Fit

# Function from a batch to masks `(B, H, W)`, NaN for images without a region,
# or to None if no image has one.
FindMasks = Callable[[Batch], np.ndarray | None]


def find_masks(source: Source, regions: Any, fit: Fit) -> FindMasks:
    """Return a function that gives the regions of each batch.

    Args:
        source: The images.
        regions: As in `audit`.
        fit: As in `load_images`.
    """
    if regions is None:
        return lambda batch: (
            None
            if batch.regions is None
            else check_masks("regions", batch.regions, len(batch.images))
        )
    if isinstance(regions, (str, os.PathLike)):
        return _from_folder(source, regions, fit)
    total = source.total
    if total is None:
        raise ValueError(
            "`regions` must be None for batches, which have their own: "
            '(images, {"labels": labels, "regions": masks}). '
            f"Received: regions of type {type(regions).__name__}"
        )
    if len(regions) != total:
        raise ValueError(
            f"`regions` must have {total} entries, one per image. "
            f"Received: {len(regions)}"
        )

    def find(batch: Batch) -> np.ndarray:
        some = (
            [regions[i] for i in batch.index]
            if isinstance(regions, (list, tuple))
            else regions[batch.index]
        )
        height, width = batch.images.shape[1:3]
        return check_regions(some, len(batch.index), (height, width))

    return find


def _from_folder(
    source: Source, folder: str | os.PathLike[str], fit: Fit
) -> FindMasks:
    if source.paths is None:
        raise ValueError(
            "`regions` can be a folder of masks only if `images` are files, "
            f"whose names the masks have. Received: regions={folder!r}"
        )
    files = match_masks(folder, source.paths)

    def find(batch: Batch) -> np.ndarray | None:
        assert batch.paths is not None
        size = batch.images.shape[1], batch.images.shape[2]
        masks = np.full((len(batch.images), *size), np.nan, "float32")
        for mask, i, photo in zip(masks, batch.index, batch.paths, strict=True):
            file = files[i]
            if file is not None:
                mask[:] = read_mask(file, photo, size, fit)
        return masks

    return find


def masks_on_cells(masks: np.ndarray | None, grid: Grid) -> np.ndarray | None:
    """Return the share of each cell that is inside, `(B, cells)`, or None."""
    if masks is None:
        return None
    return regions_on_grid(masks, *grid.shape).reshape(len(masks), -1)
