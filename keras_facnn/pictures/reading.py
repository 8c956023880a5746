"""The one place where files become pixels. Needs Pillow."""

import contextlib
import functools
import io
import math
import os
import re
import typing
import warnings

import numpy as np

from keras_facnn._checks.arguments import check_option
from keras_facnn._checks.messages import callers_stacklevel
from keras_facnn._checks.models import classifier_shapes
from keras_facnn._checks.numbers import check_float
from keras_facnn._checks.numbers import check_int
from keras_facnn._checks.numbers import check_memory
from keras_facnn._checks.numbers import check_size
from keras_facnn._checks.numbers import is_integer
from keras_facnn._checks.text import join_first
from keras_facnn._checks.text import printable
from keras_facnn.types import Fit
from keras_facnn.types import OnError

# 67 megapixels: what phones' largest sensors write. A PNG of half a megabyte
# can hold more, and would take gigabytes to decode.
MAX_PIXELS = 2**26

_FITS = typing.get_args(Fit)
_ON_ERROR = typing.get_args(OnError)
_GRAY = 128
# Formats that Pillow names but has no decoder for, or that are programs.
_NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
# The brands in the first bytes of a file.
_AVIF = {b"avif", b"avis"}
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_HEIC_NEEDS = "HEIC, as phones write it, needs `pip install pillow-heif`"
# The tag in EXIF data.
_ORIENTATION = 0x112
# What white may be in fewer bits than the file has.
_WHITES = (2**8 - 1, 2**10 - 1, 2**12 - 1, 2**14 - 1)


def load_images(
    paths: typing.Any,
    model: typing.Any = None,
    *,
    image_size: int | tuple[int, int] | None = None,
    fit: Fit = "crop",
    on_error: OnError = "raise",
    max_value: float | None = None,
) -> np.ndarray:
    """Reads photographs as a model takes them.

    Pictures are turned upright as their EXIF data say, laid on white where
    they are transparent, converted to the channels of the model, and brought to
    its size. Of a file of several frames the first is read. HEIC, which phones
    write, is read where `pillow-heif` is installed.

    For a folder of classes, see `load_folder`.

    Args:
        paths: Path of a picture, a file open for reading bytes, or a sequence
            of these. Files stay open.
        model: Optional image classifier, a `FACNN` or another `keras.Model` of
            channels-last images, whose input says the size and whether the
            images are gray (1 channel) or RGB (3). Without one they are RGB.
        image_size: Optional side, or pair `(height, width)`, in pixels, where
            there is no model or it takes any size. None without a size from
            the model keeps the pictures' own, which must then be equal.
        fit: What to do where a picture has another aspect: `"crop"` cuts the
            sides off around the center, `"pad"` shows all of it between bars of
            middle gray, and `"stretch"` distorts it.
        on_error: `"raise"` an error at the first file that can't be read, or
            `"skip"` such files. A warning then names them, and the result has
            fewer images than there are paths.
        max_value: Optional value of white in pictures of more than 8 bits, such
            as 4095 where a camera writes 12 bits into a file of 16. The default
            is the most that the file can hold; a warning says where a picture
            seems to use less.

    Returns:
        A uint8 NumPy array `(B, H, W, channels)`, 0..255.

    Raises:
        ValueError: If a file is not a picture that can be read, is larger than
            67 megapixels, or sizes don't fit. The message names the file. Also
            if the images would not fit into the memory of the machine.
        FileNotFoundError: If a file does not exist.
        ImportError: If Pillow is missing.

    Example:

    >>> import tempfile
    >>> import keras_facnn
    >>> from PIL import Image
    >>> path = tempfile.mkdtemp() + "/photo.png"
    >>> Image.new("RGB", (400, 300), "red").save(path)
    >>> keras_facnn.load_images(path, image_size=32).shape
    (1, 32, 32, 3)
    >>> model = keras_facnn.FACNN(10, depths=(1,), maps_per_class=(1,))
    >>> images = keras_facnn.load_images([path, path], model, fit="pad")
    >>> model.class_maps(images).shape
    (2, 32, 32, 10)
    """
    if isinstance(paths, (str, bytes, os.PathLike)) or hasattr(paths, "read"):
        paths = [paths]
    paths = list(paths) if isinstance(paths, typing.Iterable) else [paths]
    for path in paths:
        name = os.fspath(path) if isinstance(path, os.PathLike) else path
        if not isinstance(name, str) and not hasattr(name, "read"):
            text = isinstance(name, bytes)
            raise TypeError(
                "`paths` must be a path or a sequence of paths"
                + (", as text that `os.fsdecode` makes of bytes" * text)
                + f". Received: {repr(name)[:200]}"
            )
    if not paths:
        raise ValueError(
            "`paths` must name at least one picture. Received: paths=[]"
        )
    image_shape = shape_to_read(model, image_size)
    images, skipped = read_pictures(
        paths, image_shape, fit, on_error, max_value
    )
    if skipped:
        warnings.warn(
            f"Skipped {len(skipped)} of {len(paths)} pictures: "
            f"{join_first(skipped.values(), 20)}",
            stacklevel=callers_stacklevel(),
        )
    return images


def read_pictures(
    sources: typing.Sequence,
    image_shape: tuple[int | None, int | None, int],
    fit: Fit = "crop",
    on_error: OnError = "raise",
    max_value: float | None = None,
) -> tuple[np.ndarray, dict[int, str]]:
    """Reads many pictures into one array.

    Args:
        sources: A list of what `read_picture` takes.
        image_shape, fit, max_value: As in `read_picture`.
        on_error: As in `load_images`.

    Returns:
        Images `(B, H, W, channels)` and a dict, from the index of each source
        that was skipped to what was wrong with it.
    """
    check_option("fit", fit, _FITS)
    check_option("on_error", on_error, _ON_ERROR)
    images, skipped, dark, count = None, {}, {}, 0
    if None not in image_shape:
        _check_total(len(sources), image_shape)
    for index, source in enumerate(sources):
        try:
            image, largest = _read(source, image_shape, fit, max_value)
        except (OSError, ValueError) as e:
            if on_error == "raise":
                if isinstance(e, OSError) or len(sources) == 1:
                    raise
                raise ValueError(
                    f'{e}. `on_error="skip"` leaves such pictures out'
                ) from e
            skipped[index] = str(e)
            continue
        if images is None:
            _check_total(len(sources), image.shape)
            images = np.empty((len(sources), *image.shape), "uint8")
            first = source
        if image.shape != images.shape[1:]:
            raise ValueError(
                "Without `image_size`, all pictures must have one size. "
                f"Received: {_size(images[0])} for {_name(first)}, "
                f"{_size(image)} for {_name(source)}"
            )
        if largest:
            dark[_name(source)] = largest
        images[count] = image
        count += 1
    if images is None:
        raise ValueError(
            f"None of {len(sources)} pictures can be read: "
            f"{join_first(skipped.values())}"
        )
    if dark:
        _warn_about_dark(dark)
    return images[:count], skipped


def read_picture(
    source: str | os.PathLike | bytes | typing.BinaryIO,
    image_shape: tuple[int | None, int | None, int] = (None, None, 3),
    fit: Fit | typing.Literal["within"] = "crop",
    max_value: float | None = None,
) -> np.ndarray:
    """Reads one picture, as `load_images` does.

    Args:
        source: Path of a picture, the bytes of one, or an open binary file.
        image_shape: `(height, width, channels)` of the result, with 1 or 3
            channels. Where height or width is None the picture keeps its size.
        fit: As in `load_images`, or `"within"` for a picture of its own aspect
            that is at most of this height and width.
        max_value: As in `load_images`.

    Returns:
        A uint8 NumPy array `(H, W, channels)`, 0..255.

    Example:

    >>> import tempfile
    >>> import keras_facnn
    >>> from PIL import Image
    >>> path = tempfile.mkdtemp() + "/photo.png"
    >>> Image.new("L", (40, 30), 200).save(path)
    >>> keras_facnn.pictures.read_picture(path, (8, 8, 3)).max()
    np.uint8(200)
    """
    pixels, largest = _read(source, image_shape, fit, max_value)
    if largest:
        _warn_about_dark({_name(source): largest})
    return pixels


def check_picture(source: str | os.PathLike | bytes | typing.BinaryIO):
    """Raises as `read_picture` would, as far as the head of a file shows."""
    with _opened(source):
        pass


def picture_endings() -> dict[str, str | None]:
    """The endings of pictures' files, and what is missing to read them.

    Returns:
        A dict from endings in lower case, such as `".jpg"`, to None, or to the
        words for what has to be installed.
    """
    image = _pillow()
    # Loads the plugins, which then are in `OPEN`.
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


def _pillow():
    """Pillow's `Image`, with the plugins that are installed."""
    try:
        from PIL import Image
    except ImportError as e:
        raise ImportError(
            f"Reading pictures needs Pillow ({e}): pip install pillow"
        ) from e
    _register_plugins()
    return Image


@functools.cache
def _register_plugins():
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()


def _read(source, image_shape, fit, max_value):
    """As `read_picture`, and the largest value if that makes it dark, or 0."""
    if not isinstance(image_shape, (list, tuple)) or len(image_shape) != 3:
        raise ValueError(
            "`image_shape` must be (height, width, channels). "
            f"Received: image_shape={image_shape!r}"
        )
    height, width, channels = image_shape
    for side in (height, width):
        if side is not None:
            check_int("image_shape", side)
    if channels not in (1, 3):
        raise ValueError(
            "Pictures have 1 channel (gray) or 3 (RGB), in the last axis. "
            f"Received: image_shape={image_shape}"
        )
    check_option("fit", fit, (*_FITS, "within"))
    if max_value is not None:
        check_float("max_value", max_value, above=0)
    size = None if height is None or width is None else (width, height)
    with _opened(source) as image:
        if size:
            # JPEG decodes at a half, a quarter or an eighth, faster.
            image.draft(None, (2 * max(size), 2 * max(size)))
        mode = "L" if channels == 1 else "RGB"
        image, largest = _upright(image, mode, max_value)
        if size:
            image = _fitted(image, size, fit)
        pixels = np.array(image)
    return pixels.reshape(*pixels.shape[:2], channels), largest


@contextlib.contextmanager
def _opened(source):
    """An opened picture; what goes wrong with it is an error with its name."""
    image_module = _pillow()
    from PIL import UnidentifiedImageError

    name, file = _open(source)
    if not isinstance(file, str) and not _is_seekable(file):
        # What Pillow has read of a pipe can't be read again.
        file = io.BytesIO(file.read())
    # Decoders raise nearly anything on damaged files: ValueError, RuntimeError,
    # struct.error, zlib.error, IndexError, AttributeError ...
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
            f"{name} cannot be read as an image: {_unidentified(file)}"
        ) from e
    except Exception as e:
        reason = " ".join(str(e).split()) or type(e).__name__
        raise ValueError(f"{name} cannot be read as an image: {reason}") from e


def _is_seekable(file):
    try:
        file.seek(0)
    except (AttributeError, io.UnsupportedOperation):
        return False
    return True


def _unidentified(file):
    """Why Pillow does not know what a file is, whatever its name ends in."""
    if isinstance(file, str):
        with open(file, "rb") as opened:
            head = opened.read(12)
    else:
        file.seek(0)
        head = file.read(12)
    if head[4:8] == b"ftyp":
        if head[8:] in _HEIC and "HEIF" not in _pillow().OPEN:
            return _HEIC_NEEDS
        if head[8:] in _AVIF and _avif_needs():
            return _avif_needs()
    return "it is of no known format"


def _avif_needs():
    """What is missing to read AVIF, or None."""
    from PIL import features

    if features.check("avif"):
        return None
    return "AVIF needs `pip install --upgrade pillow`"


def _name(source):
    """What messages call a source."""
    return _open(source)[0]


def _open(source):
    """The name of a source for messages, and what Pillow opens."""
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


def _upright(image, mode, max_value):
    """An opened picture in `mode`, upright and without transparency.

    Returns:
        The picture, and its largest value if that makes it dark, or 0.
    """
    from PIL import Image

    white = _white(image)
    opaque = _opaque(image)
    image.load()
    turn = _turn(image)
    largest = 0
    if image.mode[0] in "IF":
        image, largest = _eight_bits(image, white, max_value)
    elif white > 255:
        largest = _largest_of_upper_bits(image, max_value)
    if opaque is not None:
        image.putalpha(opaque)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        on_white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(on_white, image)
    image = image.convert(mode)
    return image if turn is None else image.transpose(turn), largest


def _turn(image):
    """How a picture is turned upright, or None.

    `ImageOps.exif_transpose` would also write the other EXIF data again, and
    fail where they are damaged.
    """
    from PIL import Image

    turns = Image.Transpose
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except Exception:  # Damaged data raise nearly anything, and say nothing.
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


def _white(image):
    """The value of white in an opened picture, as its file says it, or None."""
    # "I" is older Pillow's mode of a gray PNG of 16 bits.
    sixteen = ("I;16", "I") if image.format == "PNG" else ("I;16",)
    if image.mode.startswith(sixteen):
        # Of a TIFF the tag BitsPerSample says how many are used.
        twelve = image.format == "TIFF" and image.tag_v2.get(258) == (12,)
        return 4095 if twelve else 65535
    if image.format == "PPM" and image.mode == "I":
        how = _how_decoded(image)
        return how[1] if isinstance(how, tuple) else 65535
    if image.mode[0] in "IF":
        return None
    kinds = ("PNG", "TIFF")
    deep = image.format in kinds and ";16" in str(image.tile)
    return 65535 if deep else 255


def _how_decoded(image):
    """What Pillow says to the decoder of an opened picture, or None."""
    return image.tile[0][3] if image.tile else None


def _opaque(image):
    """The mask of an opened picture, where only it tells what is hidden.

    A PNG may hide one color. Pillow leaves its values as the file has them,
    and scales the pixels to 8 bits.
    """
    from PIL import Image

    hidden = image.info.get("transparency")
    if image.format != "PNG" or hidden is None:
        return None
    how = _how_decoded(image)
    if how in ("L;2", "L;4"):
        most = 2 ** int(how[-1]) - 1
        image.info["transparency"] = (hidden & most) * (255 // most)
        return None
    if how != "RGB;16B":
        return None
    place = image.fp.tell()
    image.fp.seek(0)
    data = image.fp.read()
    image.fp.seek(place)
    is_hidden = True
    # Pillow reads only the upper byte of each value. As if the lower one came
    # first, it reads that.
    for order, shift in (("RGB;16B", 8), ("RGB;16L", 0)):
        with Image.open(io.BytesIO(data)) as half:
            half.tile = [(*half.tile[0][:3], order)]
            wanted = [value >> shift & 255 for value in hidden]
            is_hidden &= (np.asarray(half) == wanted).all(-1)
    return Image.fromarray(np.where(is_hidden, 0, 255).astype("uint8"))


def _eight_bits(image, white, max_value):
    """A gray picture of more bits with 8, and what makes it dark, or 0."""
    from PIL import Image

    tags = image.tag_v2 if image.format == "TIFF" else {}
    values = np.array(image)
    # Pillow has no mode for these, and reads them with a sign.
    if tags.get(258) == (32,) and tags.get(339, (1,)) == (1,):
        values = values.view("uint32")
    values = values.astype("float64")
    if image.format == "PPM" and image.mode == "I":
        # Pillow has scaled them.
        values = (values * white / 65535).round()
    hidden = values == image.info.get("transparency")
    largest = values.max(initial=0, where=~hidden)
    looks_dark = max_value is None and white == 65535
    white = white if max_value is None else max_value
    if white is None:
        raise ValueError(
            "its pixels have more than 8 bits a channel, of unknown range; "
            "`max_value` of `load_images` says which value is white"
        )
    if not (values >= 0).all() or not largest <= white:
        raise ValueError(
            "its values must be from 0 to `max_value`. Received: "
            f"{values.min():g} to {largest:g}, max_value={white:g}"
        )
    # PhotometricInterpretation: 0 is white. Pillow knows it with 8 bits only.
    if tags.get(262) == 0:
        values = white - values
    values[hidden] = white
    image = Image.fromarray((values / white * 255).round().astype("uint8"))
    return image, int(largest) if looks_dark and largest <= _WHITES[-1] else 0


def _largest_of_upper_bits(image, max_value):
    """What makes a picture of 16 bits a channel dark, or 0.

    Pillow reads the upper 8 bits.
    """
    if max_value not in (None, 65535):
        raise ValueError(
            "of its 16 bits a channel only the upper 8 can be read, so that "
            "`max_value` is of no use; write it with 8 bits"
        )
    largest = 257 * max(high for _, high in image.convert("RGB").getextrema())
    return largest if largest <= _WHITES[-1] else 0


def _warn_about_dark(largest):
    """Warns of pictures that are dark, or seem to have fewer bits.

    Args:
        largest: Dict from their names to their largest values.
    """
    most = max(largest.values())
    white = next(white for white in _WHITES if most <= white)
    are = "has" if len(largest) == 1 else "have"
    warnings.warn(
        f"{join_first(largest)} {are} 16 bits a value, but none above {most}, "
        f"so that all is dark. Where white is {white}, pass max_value={white} "
        "for gray pictures, and write those in color with 8 bits. (In a TIFF "
        "of which 0 is white, all is bright, and that is the value of black.)",
        stacklevel=callers_stacklevel(),
    )


def _check_total(count, image_shape):
    """Raises where images would not fit into the machine's memory."""
    check_memory("`image_size` and the channels", *image_shape)
    total, memory = count * math.prod(image_shape), _memory()
    if total > memory:
        raise ValueError(
            f"{count} images of {image_shape} would take {total / 2**30:.1f} "
            f"GiB, and this machine has {memory / 2**30:.1f}. Take a smaller "
            "`image_size`, or read some at a time"
        )


def _memory():
    """The bytes of memory of this machine, or infinity where it can't tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return math.inf


def _fitted(image, size, fit):
    from PIL import Image
    from PIL import ImageOps

    method = Image.Resampling.LANCZOS
    if fit == "crop":
        return ImageOps.fit(image, size, method)
    if fit == "pad":
        # Of what would be thinner than a pixel, one pixel is seen.
        if round(image.height / image.width * size[0]) < 1:
            image = image.resize((size[0], 1), method)
        elif round(image.width / image.height * size[1]) < 1:
            image = image.resize((1, size[1]), method)
        gray = (_GRAY,) * len(image.getbands())
        return ImageOps.pad(image, size, method, gray)
    if fit == "within":
        image.thumbnail(size, method)
        return image
    return image.resize(size, method)


def shape_to_read(model, image_size):
    """`(height, width, channels)` of the images that `load_images` reads."""
    if model is None:
        height, width, channels = None, None, 3
    else:
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


def _size(image):
    return f"{image.shape[0]} x {image.shape[1]}"
