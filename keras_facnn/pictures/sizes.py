"""Bring pictures to the size that a model takes."""

import math
import os
from typing import Any
from typing import Literal
from typing import TypeAlias

from keras_facnn._checks.numbers import check_memory
from keras_facnn._checks.numbers import check_size
from keras_facnn._checks.numbers import is_integer

# `(height, width, channels)` of the images to read. None keeps the height or
# width that a picture has.
ImageShape: TypeAlias = tuple[int | None, int | None, int]

_GRAY = 128


def shape_to_read(
    model: Any, image_size: int | tuple[int, int] | None
) -> ImageShape:
    """Return the shape of the images that `load_images` reads."""
    height: int | None = None
    width: int | None = None
    channels = 3
    if model is not None:
        # Pictures are also read where Keras is not installed.
        from keras_facnn._checks.models import classifier_shapes

        (height, width, channels), _ = classifier_shapes(model)
    if image_size is None:
        return height, width, channels
    if is_integer(image_size):
        image_size = (image_size, image_size)
    sides = check_size("image_size", image_size)
    check_memory("`image_size` and the channels", *sides, channels)
    for own, asked in zip((height, width), sides, strict=True):
        if own not in (None, asked):
            raise ValueError(
                f"`image_size` must be the size that `model` takes, "
                f"({height}, {width}). Received: image_size={image_size!r}"
            )
    return (*sides, channels)


def fixed_shape_to_read(
    model: Any, image_size: int | tuple[int, int] | None
) -> tuple[int, int, int]:
    """Return `shape_to_read`, or raise if it leaves a side open."""
    height, width, channels = shape_to_read(model, image_size)
    if height is None or width is None:
        raise ValueError(
            "`image_size` must be given, because the model takes images of "
            f"any size. Received: image_size={image_size}"
        )
    return height, width, channels


def fit_to_size(
    image: Any,
    size: tuple[int, int],
    fit: Literal["crop", "pad", "stretch", "within"],
    is_mask: bool = False,
) -> Any:
    """Return a picture of another size.

    Args:
        image: Pillow's `Image`.
        size: `(width, height)`.
        fit: As in `read_picture`.
        is_mask: Whether the picture is a mask, which is averaged over areas,
            without ringing. Then the bars are black.
    """
    from PIL import Image
    from PIL import ImageOps

    method = Image.Resampling.BOX if is_mask else Image.Resampling.LANCZOS
    if fit == "crop":
        return ImageOps.fit(image, size, method)
    if fit == "pad":
        # A picture that would be thinner than one pixel gets one pixel.
        if round(image.height / image.width * size[0]) < 1:
            image = image.resize((size[0], 1), method)
        elif round(image.width / image.height * size[1]) < 1:
            image = image.resize((1, size[1]), method)
        color = (0 if is_mask else _GRAY,) * len(image.getbands())
        return ImageOps.pad(image, size, method, color)
    if fit == "within":
        image.thumbnail(size, method)
        return image
    return image.resize(size, method)


def check_fits_memory(count: int, image_shape: tuple[int, ...]) -> None:
    """Raise if images would not fit into the machine's memory."""
    check_memory("`image_size` and the channels", *image_shape)
    total, memory = count * math.prod(image_shape), _memory()
    if total > memory:
        raise ValueError(
            f"{count} images of {image_shape} would take {total / 2**30:.1f} "
            f"GiB, and this machine has {memory / 2**30:.1f}. Take a smaller "
            "`image_size`, or read some at a time"
        )


def _memory() -> float:
    """Return the bytes of memory of this machine, or infinity if unknown."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return math.inf
