"""Write pixels as a file in memory. Needs Pillow."""

import base64
import io
from typing import Any

import numpy as np


def jpeg_bytes(pixels: Any, quality: int = 85) -> bytes:
    """Return the bytes of a JPEG file.

    Args:
        pixels: uint8 array `(H, W, 1 or 3)`.
        quality: Integer up to 95.
    """
    from PIL import Image

    array = np.asarray(pixels)
    file = io.BytesIO()
    Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array).convert(
        "RGB"
    ).save(file, "JPEG", quality=quality, subsampling=0)
    return file.getvalue()


def png_bytes(pixels: np.ndarray) -> bytes:
    """Return the bytes of a PNG file.

    Args:
        pixels: uint8 array `(H, W, 3)`.
    """
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def png_uri(pixels: np.ndarray) -> str:
    """Return a few pixels as an address that holds them, without loss.

    Args:
        pixels: uint8 array `(H, W, 3)`.
    """
    data = base64.b64encode(png_bytes(pixels)).decode("ascii")
    return f"data:image/png;base64,{data}"


def jpeg_uri(pixels: Any, quality: int = 85) -> str:
    """Return pixels as an address that holds them, for an `img` element.

    Args:
        pixels: uint8 array `(H, W, 1 or 3)`.
        quality: Integer up to 95, of the JPEG file.
    """
    data = base64.b64encode(jpeg_bytes(pixels, quality)).decode("ascii")
    return f"data:image/jpeg;base64,{data}"
