"""Read pictures from files into arrays. Needs Pillow."""

import os
import typing
import warnings
from collections.abc import Sequence

import numpy as np

from keras_facnn._checks.arguments import check_option
from keras_facnn._checks.messages import callers_stacklevel
from keras_facnn._checks.numbers import check_float
from keras_facnn._checks.numbers import check_int
from keras_facnn._checks.text import join_first
from keras_facnn.pictures.exif_orientation import turn_of_exif
from keras_facnn.pictures.opening import Source
from keras_facnn.pictures.opening import opened
from keras_facnn.pictures.opening import picture_name
from keras_facnn.pictures.pixels import upright_image
from keras_facnn.pictures.pixels import warn_about_dark
from keras_facnn.pictures.sizes import ImageShape
from keras_facnn.pictures.sizes import check_fits_memory
from keras_facnn.pictures.sizes import fit_to_size
from keras_facnn.pictures.sizes import shape_to_read
from keras_facnn.types import Fit
from keras_facnn.types import OnError

# Pillow's turns that swap height and width.
_TURNS_OF_SIDES = {"ROTATE_90", "ROTATE_270", "TRANSPOSE", "TRANSVERSE"}
# `"within"` shrinks a picture to fit into the size, and keeps its aspect
# ratio.
_FitOrWithin: typing.TypeAlias = Fit | typing.Literal["within"]


def load_images(
    paths: typing.Any,
    model: typing.Any = None,
    *,
    image_size: int | tuple[int, int] | None = None,
    fit: Fit = "crop",
    on_error: OnError = "raise",
    max_value: float | None = None,
) -> np.ndarray:
    """Read photographs as a model takes them.

    Pictures are turned upright as their EXIF data say, laid on white where they
    are transparent, converted to the channels of the model, and brought to its
    size. If a file has several frames, the first is read. HEIC, the format of
    many phones, can be read if `pillow-heif` is installed.

    For a folder of classes, see `load_folder`.

    Args:
        paths: Path of a picture, a file open for reading bytes, or a sequence
            of these. Files stay open.
        model: Optional image classifier, a `FACNN` or another `keras.Model` of
            channels-last images. Its input decides about the size, and whether
            the images are gray (1 channel) or RGB (3). Without a model, they
            are RGB.
        image_size: Optional side, or pair `(height, width)`, in pixels, if
            there is no model or it takes any size. If neither gives a size, the
            pictures keep their own, which must then be equal.
        fit: What to do with a picture of another aspect ratio: `"crop"` cuts
            its sides off around the center, `"pad"` shows all of it between
            bars of middle gray, and `"stretch"` distorts it.
        on_error: `"raise"` an error at the first file that can't be read, or
            `"skip"` such files. A warning then names them, and the result has
            fewer images than there are paths.
        max_value: Optional value of white in pictures of more than 8 bits, such
            as 4095 for a camera that writes 12 bits into a file of 16. The
            default is the largest value that the file can hold; a warning names
            pictures that seem to use less.

    Returns:
        A uint8 NumPy array `(B, H, W, channels)`, 0..255.

    Raises:
        ValueError: If a file is not a picture that can be read, is larger than
            67 megapixels, or sizes don't match; the message names the file.
            Also if the images would not fit into the memory of the machine.
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
    sources: Sequence[Source],
    image_shape: ImageShape,
    fit: Fit = "crop",
    on_error: OnError = "raise",
    max_value: float | None = None,
) -> tuple[np.ndarray, dict[int, str]]:
    """Read many pictures into one array.

    Args:
        sources: A sequence of sources that `read_picture` accepts.
        image_shape, fit, max_value: As in `read_picture`.
        on_error: As in `load_images`.

    Returns:
        Images `(B, H, W, channels)`, and a dict from the index of each skipped
        source to the reason.
    """
    check_option("fit", fit, typing.get_args(Fit))
    check_option("on_error", on_error, typing.get_args(OnError))
    images: np.ndarray | None = None
    skipped: dict[int, str] = {}
    dark: dict[str, int] = {}
    count = 0
    height, width, channels = image_shape
    if height is not None and width is not None and channels is not None:
        check_fits_memory(len(sources), (height, width, channels))
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
            check_fits_memory(len(sources), image.shape)
            images = np.empty((len(sources), *image.shape), "uint8")
            first = source
        if image.shape != images.shape[1:]:
            raise ValueError(
                "Without `image_size`, all pictures must have one size. "
                f"Received: {_size(images[0])} for {picture_name(first)}, "
                f"{_size(image)} for {picture_name(source)}"
            )
        if largest:
            dark[picture_name(source)] = largest
        images[count] = image
        count += 1
    if images is None:
        raise ValueError(
            f"None of {len(sources)} pictures can be read: "
            f"{join_first(skipped.values())}"
        )
    if dark:
        warn_about_dark(dark)
    return images[:count], skipped


def read_picture(
    source: Source,
    image_shape: ImageShape = (None, None, 3),
    fit: _FitOrWithin = "crop",
    max_value: float | None = None,
) -> np.ndarray:
    """Read one picture, as `load_images` does.

    Args:
        source: Path of a picture, the bytes of one, or an open binary file.
        image_shape: `(height, width, channels)` of the result, with 1 or 3
            channels. If height or width is None, the picture keeps its size.
        fit: As in `load_images`, or `"within"`, which keeps the picture's
            aspect and reduces it to at most this height and width.
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
        warn_about_dark({picture_name(source): largest})
    return pixels


def picture_size(source: Source) -> tuple[int, int]:
    """Return the height and width of a picture when it is upright.

    Args:
        source: What `read_picture` accepts.
    """
    with opened(source) as image:
        width, height = image.size
        turn = turn_of_exif(image)
    lies = turn is not None and turn.name in _TURNS_OF_SIDES
    return (width, height) if lies else (height, width)


def _read(
    source: Source,
    image_shape: ImageShape,
    fit: _FitOrWithin,
    max_value: float | None,
) -> tuple[np.ndarray, int]:
    """Read a picture; return its largest value too if that makes it dark."""
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
    check_option("fit", fit, (*typing.get_args(Fit), "within"))
    if max_value is not None:
        check_float("max_value", max_value, above=0)
    size = None if height is None or width is None else (width, height)
    with opened(source) as image:
        if size:
            # JPEG decodes faster at a half, a quarter or an eighth.
            image.draft(None, (2 * max(size), 2 * max(size)))
        mode = "L" if channels == 1 else "RGB"
        image, largest = upright_image(image, mode, max_value)
        if size:
            image = fit_to_size(image, size, fit)
        pixels = np.array(image)
    return pixels.reshape(*pixels.shape[:2], channels), largest


def _size(image: np.ndarray) -> str:
    return f"{image.shape[0]} x {image.shape[1]}"
