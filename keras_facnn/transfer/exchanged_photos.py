"""Compute the features of photos that exchanged what must not count."""

import json
import zlib
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_facnn.pictures.photo_masks import shown_mask
from keras_facnn.pictures.reading import read_picture
from keras_facnn.training.exchange import Exchanges
from keras_facnn.training.exchange import exchanged
from keras_facnn.transfer.feature_file import FeatureFile
from keras_facnn.transfer.feature_file import PhotoKey
from keras_facnn.transfer.feature_file import photo_key
from keras_facnn.transfer.features import add_missing
from keras_facnn.transfer.features import pooled_function


def add_exchanged(
    file: FeatureFile,
    backbone: keras.Model,
    paths: Sequence[str],
    exchanges: Exchanges,
    masks: Mapping[int, str | np.ndarray],
    inside: bool,
    verbose: int,
) -> np.ndarray:
    """Add the features of copies of photos to the file of all features.

    A copy is shown as it is, and mirrored.

    Args:
        file: The file, with rows `(versions, channels)`.
        backbone: A model from images `(B, H, W, channels)` to maps.
        paths: Paths of the photos.
        exchanges: Which photos exchange a place.
        masks: Masks of the regions by the number of the photo, or their paths.
        inside: Whether evidence must lie inside the regions.
        verbose: 1 shows a progress bar, 0 does not.

    Returns:
        Integers, the rows of the copies in the file.
    """
    shape, versions = backbone.input_shape[1:], file.shape[0]
    trios = list(
        zip(
            exchanges.images.tolist(),
            exchanges.others.tolist(),
            exchanges.regions.tolist(),
            strict=True,
        )
    )

    def read(number: int) -> tuple[np.ndarray, bytes]:
        image, other, region = trios[number]
        mask = shown_mask(masks[region], paths[region], shape[:2])
        copy = exchanged(
            lambda i: read_picture(paths[i], shape),
            image,
            other,
            1 - mask if inside else mask,
        )
        both = [copy, copy[:, ::-1]]
        return np.stack([both[i % 2] for i in range(versions)]), b""

    keys = [
        _key(
            paths[image],
            None if other < 0 else paths[other],
            masks[region],
            inside,
        )
        for image, other, region in trios
    ]
    unreadable = add_missing(
        file,
        pooled_function(backbone),
        keys,
        read,
        file.shape,
        verbose,
    )
    if unreadable:
        raise OSError(
            "Photos could not be read any more: "
            f"{next(iter(unreadable.values()))}"
        )
    return np.array([file.row_of[key] for key in keys])


def _key(
    path: str, other: str | None, mask: str | np.ndarray, inside: bool
) -> PhotoKey:
    """Return what identifies a copy; no file has the name."""
    names: list[Any] = [photo_key(path), other and photo_key(other), inside]
    if isinstance(mask, str):
        names.append(photo_key(mask))
    else:
        names += [*mask.shape, zlib.crc32(mask.tobytes())]
    return json.dumps(names), 0, 0
