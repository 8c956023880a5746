"""The one place where files become pixels. Needs Pillow."""

import io
import os
import re
import typing

import numpy as np

from keras_facnn.checks import check_int
from keras_facnn.checks import check_memory
from keras_facnn.checks import check_option
from keras_facnn.checks import check_size
from keras_facnn.checks import classifier_shapes
from keras_facnn.checks import is_integer
from keras_facnn.text import printable

# 67 megapixels: what phones' largest sensors write. A PNG of half a megabyte
# can hold more, and would take gigabytes to decode.
MAX_PIXELS = 2**26

_FITS = ("crop", "pad", "stretch")
_GREY = 128


def load_images(
    paths: str | os.PathLike | typing.Sequence[str | os.PathLike],
    model: typing.Any = None,
    *,
    image_size: int | tuple[int, int] | None = None,
    fit: str = "crop",
) -> np.ndarray:
    """Reads photographs as a model takes them.

    Pictures are turned upright as their EXIF data say, laid on white where
    they are transparent, converted to the channels of the model, and brought to
    its size. Of a file of several frames the first is read.

    Args:
        paths: Path of a picture, or a sequence of them.
        model: Optional image classifier, a `FACNN` or another `keras.Model` of
            channels-last images, whose input says the size and whether the
            images are grey (1 channel) or RGB (3). Without one they are RGB.
        image_size: Optional side, or pair `(height, width)`, in pixels, where
            there is no model or it takes any size. None without a size from
            the model keeps the pictures' own, which must then be equal.
        fit: What to do where a picture has another aspect: `"crop"` cuts the
            sides off around the centre, `"pad"` shows all of it between bars of
            middle grey, and `"stretch"` distorts it.

    Returns:
        A uint8 NumPy array `(B, H, W, channels)`, 0..255.

    Raises:
        ValueError: If a file is not a picture that can be read, is larger than
            67 megapixels, or sizes don't fit. The message names the file.
        FileNotFoundError: If a file does not exist.
        ImportError: If Pillow is missing.

    Example:

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
    if isinstance(paths, (str, os.PathLike)):
        paths = [paths]
    paths = list(paths) if isinstance(paths, typing.Iterable) else [paths]
    for path in paths:
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(
                "`paths` must be a path or a sequence of paths. "
                f"Received: {path!r}"
            )
    if not paths:
        raise ValueError(
            "`paths` must name at least one picture. Received: paths=[]"
        )
    check_option("fit", fit, _FITS)
    image_shape = _image_shape(model, image_size)
    images: list[np.ndarray] = []
    for path in paths:
        image = read_picture(path, image_shape, fit)
        if images and image.shape != images[0].shape:
            raise ValueError(
                "Without `image_size`, all pictures must have one size. "
                f"Received: {_size(images[0])} for {paths[0]}, {_size(image)} "
                f"for {path}"
            )
        images.append(image)
    return np.stack(images)


def read_picture(
    source: str | os.PathLike | bytes | typing.BinaryIO,
    image_shape: tuple[int | None, int | None, int] = (None, None, 3),
    fit: str = "crop",
) -> np.ndarray:
    """Reads one picture, as `load_images` does.

    Args:
        source: Path of a picture, the bytes of one, or an open binary file.
        image_shape: `(height, width, channels)` of the result, with 1 or 3
            channels. Where height or width is None the picture keeps its size.
        fit: As in `load_images`, or `"within"` for a picture of its own aspect
            that is at most of this height and width.

    Returns:
        A uint8 NumPy array `(H, W, channels)`, 0..255.

    Example:

    >>> from PIL import Image
    >>> path = tempfile.mkdtemp() + "/photo.png"
    >>> Image.new("L", (40, 30), 200).save(path)
    >>> keras_facnn.pictures.read_picture(path, (8, 8, 3)).max()
    np.uint8(200)
    """
    try:
        from PIL import Image
        from PIL import UnidentifiedImageError
    except ImportError as e:
        raise ImportError(
            f"Reading pictures needs Pillow ({e}): pip install pillow"
        ) from e
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
            "Pictures have 1 channel (grey) or 3 (RGB), in the last axis. "
            f"Received: image_shape={image_shape}"
        )
    check_option("fit", fit, (*_FITS, "within"))
    name, file = _open(source)
    size = None if height is None or width is None else (width, height)
    # Decoders raise nearly anything on damaged files: ValueError, RuntimeError,
    # struct.error, zlib.error, IndexError, AttributeError ...
    try:
        with Image.open(file) as image:
            if image.format == "EPS":
                raise ValueError("it is a program, in PostScript")
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(
                    f"its {image.width} x {image.height} pixels are more than "
                    f"{MAX_PIXELS / 1e6:.0f} million"
                )
            if size:
                # JPEG decodes at a half, a quarter or an eighth, faster.
                image.draft(None, (2 * max(size), 2 * max(size)))
            image = _upright(image, "L" if channels == 1 else "RGB")
            if size:
                image = _fitted(image, size, fit)
            pixels = np.array(image)
    except UnidentifiedImageError as e:
        raise ValueError(
            f"{name} cannot be read as an image: it is of no known format"
        ) from e
    except Exception as e:
        reason = " ".join(str(e).split()) or type(e).__name__
        raise ValueError(f"{name} cannot be read as an image: {reason}") from e
    return pixels.reshape(*pixels.shape[:2], channels)


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
            f"{name} is a folder. Name its images, such as {name}/*.jpg"
        )
    if not os.path.exists(path):
        raise FileNotFoundError(f"There is no image {name}")
    if not os.path.isfile(path):
        raise ValueError(f"{name} is not a file")
    return name, path


def _upright(image, mode):
    """A decoded picture in `mode`, upright and without transparency."""
    from PIL import Image
    from PIL import ImageOps

    # "I" is older Pillow's mode of a grey PNG of 16 bits.
    sixteen = ("I;16", "I") if image.format == "PNG" else ("I;16",)
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(sixteen):
        values = np.array(image).astype("int64")
        values[values == image.info.get("transparency")] = 65535
        image = Image.fromarray((values / 257).round().astype("uint8"))
    if image.mode[0] in "IF":
        raise ValueError(
            "its pixels have more than 8 bits a channel, of unknown range"
        )
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert(mode)


def _fitted(image, size, fit):
    from PIL import Image
    from PIL import ImageOps

    method = Image.Resampling.LANCZOS
    if fit == "crop":
        return ImageOps.fit(image, size, method)
    if fit == "pad":
        grey = (_GREY,) * len(image.getbands())
        return ImageOps.pad(image, size, method, grey)
    if fit == "within":
        image.thumbnail(size, method)
        return image
    return image.resize(size, method)


def _image_shape(model, image_size):
    """`(height, width, channels)` of the images to read."""
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
