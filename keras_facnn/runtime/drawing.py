"""Draw a map over its picture, without Matplotlib."""

from typing import Any

import numpy as np

from keras_facnn._checks.arguments import check_bool
from keras_facnn._checks.arrays import finite_array
from keras_facnn._checks.numbers import check_float
from keras_facnn._checks.numbers import check_size
from keras_facnn.colors import drawable_image
from keras_facnn.colors import lay_map
from keras_facnn.maps import resize_maps
from keras_facnn.pictures.encoding import png_bytes
from keras_facnn.pictures.reading import read_picture
from keras_facnn.runtime.facts import Facts
from keras_facnn.runtime.sources import list_sources


def drawable_pixels(
    image: Any, facts: Facts, size: tuple[int, int] | None
) -> np.ndarray:
    """Return the pixels `(H, W, 1 or 3)` of a picture to draw on.

    Args:
        image, size: As in `Explainer.overlay`.
        facts: The facts of the file.
    """
    sources = list_sources(image)
    if sources is None:
        if size is not None:
            raise ValueError(
                "`size` must be None for an array, which is drawn at its own "
                f"size. Received: size={size!r}"
            )
        return drawable_image(image)
    if len(sources) != 1:
        raise ValueError(
            f"`image` must be one picture. Received: {len(sources)} pictures"
        )
    height, width, channels = facts.image_shape
    if size is not None:
        asked = check_size("size", size)
        if asked[0] * width != asked[1] * height:
            raise ValueError(
                "`size` must have the aspect ratio of the images, "
                f"{height} x {width}. Received: size={size!r}"
            )
        height, width = asked
    return read_picture(sources[0], (height, width, channels), facts.fit)


def draw_overlay(
    pixels: np.ndarray, map_: Any, vmax: float | None, negative: bool
) -> bytes:
    """Return the PNG file of a map over the pixels of its picture.

    Args:
        pixels: uint8 array `(H, W, 1 or 3)`.
        map_, vmax, negative: As in `Explainer.overlay`.
    """
    values = finite_array("map_", map_)
    if values.ndim != 2 or not values.size:
        raise ValueError(
            "`map_` must have shape (h, w), with at least one location. "
            f"Received: shape {values.shape}"
        )
    (laid,) = resize_maps(values[None], pixels.shape[:2])
    if not check_bool("negative", negative):
        laid = np.maximum(laid, 0)
    if vmax is None:
        vmax = float(np.abs(laid).max())
    return png_bytes(lay_map(pixels, laid, check_float("vmax", vmax, least=0)))
