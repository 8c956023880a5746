"""Turn the pixels of an opened picture upright, opaque and to 8 bits."""

import io
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_facnn._checks.messages import callers_stacklevel
from keras_facnn._checks.text import join_first
from keras_facnn.pictures.exif_orientation import turn_of_exif

# Values of white in pictures that use fewer bits than their file has.
_WHITES = (2**8 - 1, 2**10 - 1, 2**12 - 1, 2**14 - 1)


def upright_image(
    image: Any, mode: str, max_value: float | None
) -> tuple[Any, int]:
    """Return an opened picture in `mode`, upright and without transparency.

    Args:
        image: Pillow's `Image`.
        mode: Pillow's mode of the result, `"L"` or `"RGB"`.
        max_value: As in `load_images`.

    Returns:
        The picture, and its largest value if that makes it dark, or 0.
    """
    from PIL import Image

    white = _white(image)
    opaque = _opaque_mask(image)
    image.load()
    turn = turn_of_exif(image)
    largest = 0
    if image.mode[0] in "IF":
        image, largest = _eight_bits(image, white, max_value)
    elif white is not None and white > 255:
        largest = _largest_of_upper_bits(image, max_value)
    if opaque is not None:
        image.putalpha(opaque)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        on_white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(on_white, image)
    image = image.convert(mode)
    return image if turn is None else image.transpose(turn), largest


def warn_about_dark(largest: Mapping[str, int]) -> None:
    """Warn of pictures that are dark because they use fewer bits.

    Args:
        largest: Dict from the names of the pictures to their largest values.
    """
    most = max(largest.values())
    white = next(white for white in _WHITES if most <= white)
    verb = "has" if len(largest) == 1 else "have"
    warnings.warn(
        f"{join_first(largest)} {verb} 16 bits per value, but none above "
        f"{most}, so that all is dark. Where white is {white}, pass "
        f"max_value={white} for gray pictures, and write those in color with 8 "
        "bits. (In a TIFF in which 0 is white, all is bright, and that is the "
        "value of black.)",
        stacklevel=callers_stacklevel(),
    )


def _white(image: Any) -> int | None:
    """Return the value of white that a picture's file declares, or None."""
    # "I" is older Pillow's mode of a gray PNG of 16 bits.
    sixteen = ("I;16", "I") if image.format == "PNG" else ("I;16",)
    if image.mode.startswith(sixteen):
        # In a TIFF, the tag BitsPerSample says how many bits are used.
        twelve = image.format == "TIFF" and image.tag_v2.get(258) == (12,)
        return 4095 if twelve else 65535
    if image.format == "PPM" and image.mode == "I":
        arguments = _decoder_arguments(image)
        return arguments[1] if isinstance(arguments, tuple) else 65535
    if image.mode[0] in "IF":
        return None
    deep = image.format in ("PNG", "TIFF") and ";16" in str(image.tile)
    return 65535 if deep else 255


def _decoder_arguments(image: Any) -> Any:
    """Return what Pillow passes to the decoder of a picture, or None."""
    return image.tile[0][3] if image.tile else None


def _opaque_mask(image: Any) -> Any:
    """Return the mask of a PNG's opaque pixels where Pillow gets it wrong.

    A PNG may declare one color as transparent. Pillow keeps the values of this
    color as they are in the file, but scales the pixels to 8 bits.
    """
    from PIL import Image

    hidden = image.info.get("transparency")
    if image.format != "PNG" or hidden is None:
        return None
    arguments = _decoder_arguments(image)
    if arguments in ("L;2", "L;4"):
        most = 2 ** int(arguments[-1]) - 1
        image.info["transparency"] = (hidden & most) * (255 // most)
        return None
    if arguments != "RGB;16B":
        return None
    position = image.fp.tell()
    image.fp.seek(0)
    data = image.fp.read()
    image.fp.seek(position)
    is_hidden: Any = True
    # Pillow reads only the upper byte of each value. If it is asked for the
    # other byte order, it reads the lower one.
    for order, shift in (("RGB;16B", 8), ("RGB;16L", 0)):
        half: Any
        with Image.open(io.BytesIO(data)) as half:
            half.tile = [(*half.tile[0][:3], order)]
            wanted = [value >> shift & 255 for value in hidden]
            is_hidden &= (np.asarray(half) == wanted).all(-1)
    return Image.fromarray(np.where(is_hidden, 0, 255).astype("uint8"))


def _eight_bits(
    image: Any, white: int | None, max_value: float | None
) -> tuple[Any, int]:
    """Return a gray picture of more bits with 8 bits.

    Returns:
        The picture, and its largest value if that makes it dark, or 0.
    """
    from PIL import Image

    tags = image.tag_v2 if image.format == "TIFF" else {}
    values = np.array(image)
    # Pillow has no mode for unsigned 32 bits, and reads them with a sign.
    if tags.get(258) == (32,) and tags.get(339, (1,)) == (1,):
        values = values.view("uint32")
    values = values.astype("float64")
    if image.format == "PPM" and image.mode == "I" and white is not None:
        # Pillow has scaled them.
        values = (values * white / 65535).round()
    hidden = values == image.info.get("transparency")
    largest = values.max(initial=0, where=~hidden)
    looks_dark = max_value is None and white == 65535
    most = white if max_value is None else max_value
    if most is None:
        raise ValueError(
            "its pixels have more than 8 bits per channel, of unknown range; "
            "`max_value` of `load_images` says which value is white"
        )
    if not (values >= 0).all() or not largest <= most:
        raise ValueError(
            "its values must be from 0 to `max_value`. Received: "
            f"{values.min():g} to {largest:g}, max_value={most:g}"
        )
    # PhotometricInterpretation: 0 is white. Pillow applies it for 8 bits only.
    if tags.get(262) == 0:
        values = most - values
    values[hidden] = most
    image = Image.fromarray((values / most * 255).round().astype("uint8"))
    return image, int(largest) if looks_dark and largest <= _WHITES[-1] else 0


def _largest_of_upper_bits(image: Any, max_value: float | None) -> int:
    """Return the largest value of a picture that is dark for 16 bits, or 0.

    Pillow reads the upper 8 bits of each channel.
    """
    if max_value not in (None, 65535):
        raise ValueError(
            "of its 16 bits per channel only the upper 8 can be read, so that "
            "`max_value` has no effect; write it with 8 bits"
        )
    largest = 257 * max(high for _, high in image.convert("RGB").getextrema())
    return largest if largest <= _WHITES[-1] else 0
