"""Regions of photographs: masks that know which photo they belong to."""

import os
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_facnn._checks.text import join_first
from keras_facnn.pictures.mask_folder import match_masks
from keras_facnn.pictures.mask_folder import read_mask
from keras_facnn.regions import check_masks
from keras_facnn.types import Fit


def check_photo_masks(regions: Any) -> str | dict[str, Any]:
    """Return the path of a folder of masks, or masks by paths, or raise.

    Masks by paths are arrays, or paths of files. Masks of NaN are left out.
    """
    if isinstance(regions, (str, os.PathLike)):
        return os.fspath(regions)
    if not isinstance(regions, Mapping):
        raise TypeError(
            "`regions` must be the path of a folder of masks, or a dict from "
            "the paths of photos to masks, because only a path tells which "
            "photo a mask belongs to. Received: regions of type "
            f"{type(regions).__name__}"
        )
    masks: dict[str, Any] = {}
    for path, mask in regions.items():
        if isinstance(mask, (str, os.PathLike)):
            masks[os.path.realpath(path)] = os.fspath(mask)
            continue
        array = check_masks("regions", np.asarray(mask)[None])[0]
        if not np.isnan(array).any():
            masks[os.path.realpath(path)] = array
    return masks


def name_of_masks(regions: str | dict[str, Any] | None) -> str | None:
    """Return what the record of a training says about its regions."""
    return f"{len(regions)} masks" if isinstance(regions, dict) else regions


def match_photos(
    regions: str | dict[str, Any], paths: Sequence[str]
) -> dict[str, str | np.ndarray]:
    """Return the masks of some photos, by the paths of the photos.

    Args:
        regions: Result of `check_photo_masks`.
        paths: The paths of the photos.

    Raises:
        ValueError: If none of the photos has a mask.
    """
    found: Sequence[str | np.ndarray | None]
    if isinstance(regions, dict):
        found = [regions.get(os.path.realpath(path)) for path in paths]
    else:
        found = match_masks(regions, paths)
    masks = {
        path: mask
        for path, mask in zip(paths, found, strict=True)
        if mask is not None
    }
    if not masks:
        raise ValueError(
            "`regions` must hold the mask of a photo. Received: "
            f"{name_of_masks(regions)!r}, of other photos than "
            f"{join_first(paths, 2)}"
        )
    return masks


def shown_mask(
    mask: str | np.ndarray,
    path: str,
    size: tuple[int, int],
    fit: Fit = "crop",
) -> np.ndarray:
    """Return the mask of a photo as the model sees the photo.

    Args:
        mask: The mask, or the path of its file.
        path: The path of the photo.
        size: `(height, width)` of the images.
        fit: As in `load_images`.
    """
    return read_mask(mask, path, size, fit) if isinstance(mask, str) else mask
