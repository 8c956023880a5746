"""Read where evidence for photographs may lie, for a linear fit."""

import json
import os
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_facnn._checks.arguments import check_option
from keras_facnn.pictures.image_folder import ImageFolder
from keras_facnn.pictures.mask_folder import match_masks
from keras_facnn.pictures.mask_folder import read_mask
from keras_facnn.regions import check_masks


def check_regions(regions: Any) -> str | dict[str, np.ndarray] | None:
    """Return the path of a folder of masks, or masks by paths, or raise."""
    if regions is None:
        return None
    if isinstance(regions, (str, os.PathLike)):
        return os.fspath(regions)
    if not isinstance(regions, Mapping):
        raise TypeError(
            "`regions` must be the path of a folder of masks, or a dict from "
            "the paths of photos to masks, because only a path tells which "
            "photo a mask belongs to. Received: regions of type "
            f"{type(regions).__name__}"
        )
    masks = {}
    for path, mask in regions.items():
        array = check_masks("regions", np.asarray(mask)[None])[0]
        if not np.isnan(array).any():
            masks[os.path.realpath(path)] = array
    return masks


def name_of_regions(regions: str | dict[str, np.ndarray] | None) -> str | None:
    """Return what the record of a training says about its regions."""
    return f"{len(regions)} masks" if isinstance(regions, dict) else regions


def masks_of(
    regions: str | dict[str, np.ndarray] | None,
    train: ImageFolder,
    held_out: ImageFolder,
) -> dict[int, str | np.ndarray]:
    """Return the masks of the photos to train on, by the photo's number.

    Raises:
        ValueError: If none of these photos has a mask.
    """
    if regions is None:
        return {}
    found: Sequence[str | np.ndarray | None]
    if isinstance(regions, dict):
        found = [regions.get(os.path.realpath(path)) for path in train.paths]
    else:
        # Those of photos that are held out belong to a photo, too.
        found = match_masks(regions, [*train.paths, *held_out.paths])
        found = found[: len(train.paths)]
    masks = {i: mask for i, mask in enumerate(found) if mask is not None}
    if not masks:
        raise ValueError(
            "`regions` must hold the mask of a photo that is trained on. "
            f"Received: {name_of_regions(regions)!r}, of other photos or of "
            "photos that are held out"
        )
    return masks


def read_avoided(
    path: str | os.PathLike[str], names: Sequence[str]
) -> dict[str, np.ndarray]:
    """Return where photos have some reasons of an audit, as masks by paths.

    Args:
        path: Path of a JSON file of `Audit.save`.
        names: Names of reasons, such as `"dress 1"`.
    """
    with open(path, encoding="utf-8") as file:
        audit = json.load(file)
    if not isinstance(audit, dict) or "reasons" not in audit:
        raise ValueError(
            "An audit must be the JSON file that `keras_facnn.audit(...).save` "
            f"writes. Received: {os.fspath(path)!r}"
        )
    if audit.get("fit") not in (None, "crop"):
        raise ValueError(
            "The photos of an audit whose reasons are avoided must be read "
            f'fit="crop", as in training. Received: fit={audit["fit"]!r}'
        )
    by_name = {reason["name"]: reason for reason in audit["reasons"]}
    masks: dict[str, np.ndarray] = {}
    for name in names:
        check_option("avoid", name, by_name)
        if by_name[name].get("kind") == "texture":
            raise ValueError(
                "A texture is all over the image, so it can't be avoided by "
                f"its place. Received: avoid={name!r}"
            )
        for member in by_name[name]["members"]:
            if member["path"] is None:
                raise ValueError(
                    "An audit whose reasons are avoided in training must be "
                    "one of photos in files, whose paths it knows. "
                    f"Received: {os.fspath(path)!r}, of arrays"
                )
            mask = masks.setdefault(
                member["path"], np.zeros(audit["grid"], "float32")
            )
            mask.ravel()[member["cells"]] = 1
    return masks


def shown_mask(
    mask: str | np.ndarray, path: str, size: tuple[int, int]
) -> np.ndarray:
    """Return the mask of a photo as the model sees the photo.

    Args:
        mask: The mask, or the path of its file.
        path: The path of the photo.
        size: `(height, width)` of the images.
    """
    return read_mask(mask, path, size) if isinstance(mask, str) else mask
