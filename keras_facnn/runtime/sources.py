"""Read what users pass as images."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_facnn._checks.images import check_images
from keras_facnn._checks.images import warn_about_range
from keras_facnn._checks.messages import short_repr
from keras_facnn.pictures.opening import Source
from keras_facnn.pictures.reading import read_picture
from keras_facnn.runtime.facts import Facts


def list_sources(images: Any) -> list[Source] | None:
    """Return pictures that must be read as a list, or None for pixels.

    Args:
        images: A source that `read_picture` accepts, a sequence or a NumPy
            array of sources, or an array of pixels.
    """
    if _is_source(images):
        return [images]
    if isinstance(images, Iterator):
        images = list(images)
    if isinstance(images, np.ndarray) and images.dtype.kind in "OUS":
        images = images.tolist()
    if not isinstance(images, (list, tuple)):
        return None
    if not len(images):
        raise ValueError(
            "`images` must hold at least one picture. Received: images=[]"
        )
    sources = [_is_source(image) for image in images]
    if any(sources) and not all(sources):
        raise ValueError(
            "`images` must be all files or all arrays. "
            f"Received: {short_repr(images[sources.index(False)])}"
        )
    return list(images) if all(sources) else None


def check_pixels(images: Any, facts: Facts) -> np.ndarray:
    """Return pixels as an array of the shape that the file takes, or raise."""
    array = check_images(images, facts.image_shape)
    warn_about_range(array)
    return array


def read_sources(sources: list[Source], facts: Facts) -> np.ndarray:
    """Return pictures as float32 `(B, H, W, channels)`, 0..255."""
    return np.stack(
        [read_picture(s, facts.image_shape, facts.fit) for s in sources]
    ).astype("float32")


def _is_source(image: Any) -> bool:
    return isinstance(
        image, (str, os.PathLike, bytes, bytearray, memoryview)
    ) or hasattr(image, "read")
