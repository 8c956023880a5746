"""Write pixels as a file in memory. Needs Pillow."""

import io
from typing import Any

import numpy as np


def jpeg_bytes(pixels: Any, quality: int = 85) -> bytes:
    """Return pixels as the bytes of a JPEG file.

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
