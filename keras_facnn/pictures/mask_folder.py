"""Read masks of regions from a folder, aligned with their photos."""

import os
import typing
import unicodedata
import warnings
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from keras_facnn._checks.arguments import check_option
from keras_facnn._checks.messages import callers_stacklevel
from keras_facnn._checks.messages import short_repr
from keras_facnn._checks.text import join_first
from keras_facnn._checks.text import printable
from keras_facnn._files.system_files import is_of_system
from keras_facnn.pictures.exif_orientation import turn_of_exif
from keras_facnn.pictures.opening import opened
from keras_facnn.pictures.pixels import upright_image
from keras_facnn.pictures.sizes import check_fits_memory
from keras_facnn.pictures.sizes import fit_to_size
from keras_facnn.pictures.sizes import shape_to_read
from keras_facnn.types import Fit

_Path: typing.TypeAlias = str | os.PathLike[str]


def load_regions(
    folder: _Path,
    paths: Sequence[_Path],
    model: typing.Any = None,
    *,
    image_size: int | tuple[int, int] | None = None,
    fit: Fit = "crop",
) -> np.ndarray:
    """Read masks of regions from a folder, aligned with their photos.

    A mask is a PNG file that is white inside and black outside, and has the
    name of its photo: `masks/cat/1.png` belongs to `photos/cat/1.jpg`. Of a
    photo's path, only the last parts must be the same. Photos may have no mask.

    A mask is cut, padded or stretched as `load_images` does its photo. The bars
    of `fit="pad"` are outside. Gray pixels are inside by a share, and
    transparent ones are outside. A mask may be smaller or larger than its
    photo, but must have the same proportions. It is taken to show the pixels
    of the photo's file, and is turned with them as the EXIF data of the photo
    say. If its proportions match only the upright photo, it is taken to be
    upright.

    Args:
        folder: Path of the folder of the masks.
        paths: Sequence of the paths of B photos, such as those of
            `load_folder`.
        model: As in `load_images`.
        image_size: As in `load_images`.
        fit: As in `load_images`.

    Returns:
        A float32 NumPy array `(B, H, W)`: the share of each pixel that is
        inside, 0..1, and NaN at all pixels of a photo without a mask.

    Raises:
        ValueError: If no mask has the name of a photo, if a mask fits several
            photos by its name, has other proportions than its photo, or can't
            be read as a mask.
        FileNotFoundError: If there is no such folder, or no such photo.
        ImportError: If Pillow is missing.

    Example:

    >>> import os
    >>> import tempfile
    >>> import keras_facnn
    >>> from PIL import Image
    >>> folder = tempfile.mkdtemp()
    >>> os.mkdir(f"{folder}/masks")
    >>> paths = [f"{folder}/{name}.jpg" for name in ("ant", "bee")]
    >>> for path in paths:
    ...     Image.new("RGB", (40, 30), "red").save(path)
    >>> mask = Image.new("L", (40, 30), "black")
    >>> mask.paste("white", (0, 0, 20, 30))
    >>> mask.save(f"{folder}/masks/ant.png")
    >>> regions = keras_facnn.load_regions(
    ...     f"{folder}/masks", paths, image_size=4, fit="stretch"
    ... )
    >>> regions[0, 0].tolist(), regions[1, 0].tolist()
    ([1.0, 1.0, 0.0, 0.0], [nan, nan, nan, nan])
    """
    check_option("fit", fit, typing.get_args(Fit))
    photos = _checked_paths(paths)
    height, width, _ = shape_to_read(model, image_size)
    size = None if height is None or width is None else (height, width)
    masks: np.ndarray | None = None
    files = match_masks(folder, photos)
    for i, (photo, file) in enumerate(zip(photos, files, strict=True)):
        if file is None:
            continue
        mask = read_mask(file, photo, size, fit)
        if masks is None:
            check_fits_memory(len(photos), (*mask.shape, 4))
            masks = np.full((len(photos), *mask.shape), np.nan, "float32")
        if mask.shape != masks.shape[1:]:
            raise ValueError(
                "Without `image_size`, all photos must have one size. "
                f"Received: {masks.shape[1:]}, and {mask.shape} for "
                f"{printable(photo)}"
            )
        masks[i] = mask
    # `match_masks` raises if there is none.
    return typing.cast(np.ndarray, masks)


def match_masks(folder: _Path, paths: Sequence[_Path]) -> list[str | None]:
    """Return the path of each photo's mask, or None, by their names.

    A warning names masks without a photo.

    Args:
        folder: Path of the folder of the masks.
        paths: Paths of the photos.

    Raises:
        ValueError: If no mask has the name of a photo, or one fits several.
    """
    root = os.fspath(folder) if isinstance(folder, os.PathLike) else folder
    if not isinstance(root, str):
        raise TypeError(
            "`folder` must be the path of a folder. "
            f"Received: folder={short_repr(folder)}"
        )
    if not os.path.isdir(root):
        raise FileNotFoundError(f"There is no folder {root!r}")
    photos = _checked_paths(paths)
    masks = _masks_by_name(root)
    depths = sorted({name.count("/") + 1 for name in masks}, reverse=True)
    photo_of: dict[str, str] = {}
    matched: list[str | None] = []
    for photo in photos:
        parts = _name(os.path.abspath(photo)).split("/")
        endings = ("/".join(parts[-depth:]) for depth in depths)
        name = next((n for n in endings if n in masks), None)
        matched.append(None if name is None else masks[name])
        if name is None:
            continue
        if os.path.realpath(masks[name]) == os.path.realpath(photo):
            raise ValueError(
                "`folder` must hold masks, not the photos. "
                f"Received: {printable(photo)} among both"
            )
        other = photo_of.setdefault(name, photo)
        if os.path.abspath(other) != os.path.abspath(photo):
            raise ValueError(
                f"The mask {printable(masks[name])} must have the name of one "
                f"photo, but fits {printable(other)} and {printable(photo)}. "
                "Put it into folders with the names of the photo's"
            )
    _check_matches(root, masks, photo_of, photos)
    return matched


def read_mask(
    path: str,
    photo: str,
    size: tuple[int, int] | None = None,
    fit: Fit = "crop",
) -> np.ndarray:
    """Return the mask of a photo as `load_regions` does.

    Args:
        path: Path of the mask.
        photo: Path of its photo.
        size: `(height, width)`, or None for the size of the upright photo.
        fit: As in `load_images`.

    Returns:
        A float32 array `(H, W)`.
    """
    from PIL import Image

    with opened(photo) as image:
        stored, turn = image.size, turn_of_exif(image)
    upright = stored
    turns = Image.Transpose
    if turn not in (
        None,
        turns.FLIP_LEFT_RIGHT,
        turns.FLIP_TOP_BOTTOM,
        turns.ROTATE_180,
    ):
        upright = stored[1], stored[0]
    with opened(path) as image:
        is_turned = turn_of_exif(image) is not None
        mask = _inside(image)
    if is_turned:
        turn = None
    if turn is not None and _are_alike(mask.size, stored):
        mask = mask.transpose(turn)
    elif not _are_alike(mask.size, upright):
        raise ValueError(
            f"The mask {printable(path)} must have the proportions of its "
            f"photo. Received: {mask.width} x {mask.height} pixels, for a "
            f"photo of {upright[0]} x {upright[1]}"
        )
    # At the size of its photo, it is rounded as the photo is.
    if mask.size != upright:
        mask = mask.resize(upright, Image.Resampling.BOX)
    if size is not None:
        mask = fit_to_size(mask, (size[1], size[0]), fit, is_mask=True)
    return np.asarray(mask, "float32") / 255


def _inside(image: typing.Any) -> typing.Any:
    """Return a mask as an upright gray picture that is black outside."""
    from PIL import Image

    opaque = None
    if image.has_transparency_data:
        opaque = image.convert("RGBA").getchannel("A")
        turn = turn_of_exif(image)
        opaque = opaque if turn is None else opaque.transpose(turn)
    mask, _ = upright_image(image, "L", None)
    if opaque is not None:
        # It was laid on white.
        mask = np.asarray(mask, int) + np.asarray(opaque) - 255
        mask = Image.fromarray(np.maximum(mask, 0).astype("uint8"))
    _, largest = mask.getextrema()
    if 0 < largest < 128:
        raise ValueError(
            "a mask must be white inside (255), and its brightest pixel is "
            f"{largest}"
        )
    return mask


def _are_alike(mask: tuple[int, int], photo: tuple[int, int]) -> bool:
    """Return whether two sizes have the same proportions, up to a pixel."""
    return abs(mask[0] * photo[1] - mask[1] * photo[0]) <= max(photo)


def _checked_paths(paths: typing.Any) -> list[str]:
    """Return paths as strings, or raise."""
    items = [] if isinstance(paths, (str, bytes, os.PathLike)) else list(paths)
    texts = [os.fspath(p) if isinstance(p, os.PathLike) else p for p in items]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise TypeError(
            "`paths` must be a sequence of paths of photos. "
            f"Received: paths={short_repr(paths)}"
        )
    return texts


def _masks_by_name(root: str) -> dict[str, str]:
    """Return the paths of all PNG files in a folder, by their names."""
    masks: dict[str, str] = {}
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name[0] != ".")
        for file in sorted(files):
            ending = os.path.splitext(file)[1].lower()
            if file[0] == "." or is_of_system(file) or ending != ".png":
                continue
            path = os.path.join(folder, file)
            name = _name(os.path.relpath(path, root))
            if name in masks:
                raise ValueError(
                    "Masks must have different names. Received: "
                    f"{printable(masks[name])}, {printable(path)}"
                )
            masks[name] = path
    if not masks:
        raise ValueError(f"There is no PNG file in the folder {root!r}")
    return masks


def _name(path: str) -> str:
    """Return a path without its ending, in the form by which it is found."""
    stem = os.path.splitext(path)[0].replace(os.sep, "/")
    # macOS composes accents in another way, which looks the same.
    return unicodedata.normalize("NFC", stem)


def _check_matches(
    root: str,
    masks: Mapping[str, str],
    matched: Mapping[str, str],
    photos: Sequence[str],
) -> None:
    """Raise if no mask has the name of a photo; warn of others."""
    left = [printable(masks[name]) for name in masks if name not in matched]
    if not matched:
        raise ValueError(
            f"No mask in {root!r} has the name of a photo. Received: masks "
            f"{join_first(left)}; photos {join_first(map(printable, photos))}"
        )
    if left:
        warnings.warn(
            f"{len(left)} of {len(masks)} masks in {root!r} have the name of "
            f"none of the {len(photos)} photos: {join_first(left)}",
            stacklevel=callers_stacklevel(),
        )
