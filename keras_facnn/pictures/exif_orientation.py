"""Read from EXIF data how a picture must be turned."""

from typing import Any

# The tag in EXIF data.
_ORIENTATION = 0x112


def turn_of_exif(image: Any) -> Any:
    """Return how Pillow must transpose a picture to turn it upright, or None.

    `ImageOps.exif_transpose` would also write the other EXIF data again, and
    fail if they are damaged.
    """
    from PIL import Image

    turns = Image.Transpose
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except Exception:  # Damaged data raise nearly any error, and say nothing.
        return None
    return {
        2: turns.FLIP_LEFT_RIGHT,
        3: turns.ROTATE_180,
        4: turns.FLIP_TOP_BOTTOM,
        5: turns.TRANSPOSE,
        6: turns.ROTATE_270,
        7: turns.TRANSVERSE,
        8: turns.ROTATE_90,
    }.get(orientation)
