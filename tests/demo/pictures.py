"""Picture files for the tests of the page."""

import io

from PIL import Image


def as_file(pixels, format="PNG"):
    """Return the bytes of a picture file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format)
    return file.getvalue()
