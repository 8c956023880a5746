"""Open pictures with Pillow, and say what is wrong with those that fail."""

import contextlib
import functools
import io
import os
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any
from typing import BinaryIO
from typing import TypeAlias

from keras_facnn._checks.text import printable

# The path of a picture, its bytes, or an open binary file.
Source: TypeAlias = str | os.PathLike[str] | bytes | BinaryIO

# 67 megapixels: the largest pictures that phones take. A PNG of half a megabyte
# can hold more, and would take gigabytes to decode.
MAX_PIXELS = 2**26

# Formats that Pillow names but cannot decode, or that are programs.
_NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
# The brands in the first bytes of a file.
_AVIF = {b"avif", b"avis"}
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_HEIC_NEEDS = "HEIC, as phones write it, needs `pip install pillow-heif`"


@contextlib.contextmanager
def opened(source: Source) -> Iterator[Any]:
    """Open a picture; errors about it name the picture.

    Args:
        source: What `read_picture` accepts.

    Yields:
        Pillow's `Image`.
    """
    image_module: Any = _pillow()
    from PIL import UnidentifiedImageError

    name, file = _name_and_file(source)
    if not isinstance(file, str) and not _is_seekable(file):
        # Pillow can't read the start of a pipe twice.
        file = io.BytesIO(file.read())
    # Decoders raise nearly any error for damaged files: ValueError,
    # RuntimeError, struct.error, zlib.error, IndexError, AttributeError ...
    try:
        with image_module.open(file) as image:
            if image.format == "EPS":
                raise ValueError("it is a program, in PostScript")
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(
                    f"its {image.width} x {image.height} pixels are more than "
                    f"{MAX_PIXELS / 1e6:.0f} million"
                )
            yield image
    except UnidentifiedImageError as e:
        raise ValueError(
            f"{name} cannot be read as an image: {_why_unidentified(file)}"
        ) from e
    except Exception as e:
        reason = " ".join(str(e).split()) or type(e).__name__
        raise ValueError(f"{name} cannot be read as an image: {reason}") from e


def picture_name(source: Source) -> str:
    """Return how messages name a source."""
    return _name_and_file(source)[0]


def picture_endings() -> dict[str, str | None]:
    """Return the file endings of pictures, and what is missing to read them.

    Returns:
        A dict from endings in lower case, such as `".jpg"`, to None, or to a
        text that says what has to be installed.
    """
    image: Any = _pillow()
    # This loads the plugins, which are in `OPEN` afterwards.
    registered = image.registered_extensions()
    # An MPO file opens as the JPEG that it begins with.
    known = (image.OPEN.keys() | {"MPO"}) - _NOT_DECODED
    endings: dict[str, str | None] = dict.fromkeys(
        (".heic", ".heif", ".hif"), _HEIC_NEEDS
    )
    endings[".avif"] = _avif_needs()
    for ending, kind in registered.items():
        if kind in known:
            endings[ending.lower()] = None
    return endings


def _pillow() -> ModuleType:
    """Return Pillow's `Image` module, with the plugins that are installed."""
    try:
        from PIL import Image
    except ImportError as e:
        raise ImportError(
            f"Reading pictures needs Pillow ({e}): pip install pillow"
        ) from e
    _register_plugins()
    return Image


@functools.cache
def _register_plugins() -> None:
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()


def _is_seekable(file: Any) -> bool:
    try:
        file.seek(0)
    except (AttributeError, io.UnsupportedOperation):
        return False
    return True


def _why_unidentified(file: Any) -> str:
    """Return why Pillow does not recognize a file."""
    if isinstance(file, str):
        with open(file, "rb") as binary:
            head = binary.read(12)
    else:
        file.seek(0)
        head = file.read(12)
    if head[4:8] == b"ftyp":
        image: Any = _pillow()
        if head[8:] in _HEIC and "HEIF" not in image.OPEN:
            return _HEIC_NEEDS
        if head[8:] in _AVIF:
            needs = _avif_needs()
            if needs:
                return needs
    return "it is of no known format"


def _avif_needs() -> str | None:
    """Return what is missing to read AVIF, or None."""
    from PIL import features

    if features.check("avif"):
        return None
    return "AVIF needs `pip install --upgrade pillow`"


def _name_and_file(source: Any) -> tuple[str, Any]:
    """Return the name of a source for messages, and what Pillow opens."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return "The picture", io.BytesIO(source)
    if hasattr(source, "read"):
        name = getattr(source, "name", None)
        return name if isinstance(name, str) else "The picture", source
    path = os.fspath(source)
    name = printable(path)
    if re.match(r"[A-Za-z][\w+.-]+://", path):
        raise ValueError(
            f"{name} is a URL. Pictures are read from files; download it first"
        )
    if os.path.isdir(path):
        raise ValueError(
            f"{name} is a folder. Name its images, such as {name}/*.jpg, or "
            "read a folder of classes by `load_folder`"
        )
    if not os.path.exists(path):
        raise FileNotFoundError(f"There is no image {name}")
    if not os.path.isfile(path):
        raise ValueError(f"{name} is not a file")
    return name, path
