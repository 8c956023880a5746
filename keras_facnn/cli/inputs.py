"""Read what commands take: the preset, its size and the images."""

import argparse
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_facnn._checks.text import printable
from keras_facnn._progress import say_stage
from keras_facnn.cli.streams import ErrorReported
from keras_facnn.cli.streams import print_error
from keras_facnn.cli.streams import warnings_as_notes

if TYPE_CHECKING:
    # `--help` also works where Keras cannot be imported.
    from keras_facnn.model import FACNN

PRESET_HELP = (
    "name of a bundled model, a folder, a .keras file of a classifier that "
    "ends in average pooling and a dense layer, hf://user/repo or the https "
    "URL of a folder"
)
_DEFAULT_PRESET = "imagenet"


def add_images(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names the images."""
    parser.add_argument("images", metavar="IMAGE", nargs="+")


def add_preset(parser: argparse.ArgumentParser) -> None:
    """Add the options `--preset`, `--size` and `--class-names`."""
    parser.add_argument(
        "--preset",
        default=_DEFAULT_PRESET,
        help=f"{PRESET_HELP}; default {_DEFAULT_PRESET}",
    )
    add_size(parser)


def add_size(parser: argparse.ArgumentParser) -> None:
    """Add the options `--size` and `--class-names`."""
    parser.add_argument(
        "--size",
        type=int,
        help="side of the images in pixels, if it differs from the preset's; "
        "must be a multiple of 4, 8 or 32, depending on the preset, whose "
        "layers halve it",
    )
    parser.add_argument(
        "--class-names",
        metavar="FILE",
        help="text file with the name of one class per line, in the order of "
        "the outputs, for a classifier that does not know them",
    )


def load_model(arguments: argparse.Namespace) -> "FACNN":
    """Load the preset at the size that was asked for.

    Raises:
        ValueError: If the model takes images that cannot be read from files,
            or images of any size, and no `--size` is given.
    """
    import keras

    from keras_facnn.model import FACNN

    say_stage(
        f"Loading {printable(arguments.preset)} on "
        f"{keras.backend.backend()}; the first run takes the longest ..."
    )
    with warnings_as_notes():
        model = FACNN.from_preset(arguments.preset)
    height, width, channels = model.image_shape
    if channels not in (1, 3):
        raise ValueError(
            "The command line reads images of 1 or 3 channels. The preset "
            f"takes {channels}"
        )
    if arguments.size is not None:
        size = arguments.size
        try:
            with warnings.catch_warnings():
                # They were shown above.
                warnings.simplefilter("ignore", UserWarning)
                model = FACNN.from_preset(
                    arguments.preset, image_shape=(size, size, channels)
                )
        except ValueError as e:
            raise ValueError(f"argument --size {size}: {e}") from e
    elif height is None or width is None:
        raise ValueError(
            "The preset takes images of any size: choose one with --size. "
            f"Received: {model.image_shape}"
        )
    if arguments.class_names is not None:
        _name_classes(model, arguments.class_names)
    return model


def _name_classes(model: "FACNN", path: str) -> None:
    """Give a model the class names in a text file."""
    with open(path, encoding="utf-8-sig") as file:
        names = file.read().splitlines()
    try:
        model.preset_metadata = {
            **(model.preset_metadata or {}),
            "class_names": names,
        }
    except ValueError as e:
        raise ValueError(f"argument --class-names {path}: {e}") from e


def read_images(
    paths: Sequence[str], model: "FACNN"
) -> tuple[list[str], np.ndarray]:
    """Read images at the model's size, and report those that cannot be read.

    Args:
        paths: Paths of the images.
        model: A `FACNN`. Its `image_shape` is the size of the images.

    Returns:
        The paths of the images that could be read, and an array
        `(B, H, W, channels)` of them.

    Raises:
        ErrorReported: If no image can be read.
    """
    from keras_facnn.pictures.reading import read_picture

    readable, images = [], []
    with warnings.catch_warnings():
        # Pillow warns of large images, which `read_picture` refuses itself.
        warnings.filterwarnings("ignore", "Image size .* exceeds limit")
        for path in paths:
            try:
                images.append(read_picture(path, model.image_shape))
                readable.append(path)
            except (ValueError, OSError) as e:
                print_error(e)
    if not readable:
        raise ErrorReported
    return readable, np.stack(images)


def check_all_read(paths: Sequence[str], readable: Sequence[str]) -> None:
    """Fail, after the work is done, if some images could not be read."""
    if len(readable) < len(paths):
        raise ErrorReported
