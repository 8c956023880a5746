"""Read what commands take: the preset, its size and the images."""

import argparse
import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_facnn._checks.text import printable
from keras_facnn.cli.streams import ErrorReported
from keras_facnn.cli.streams import print_error
from keras_facnn.cli.streams import print_note

if TYPE_CHECKING:
    # `--help` also works where Keras cannot be imported.
    from keras_facnn.model import FACNN

PRESET_HELP = (
    "name of a bundled model, a folder, hf://user/repo or the https URL of a "
    "folder"
)
_DEFAULT_PRESET = "cifar10"


def add_images(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names the images."""
    parser.add_argument("images", metavar="IMAGE", nargs="+")


def add_preset(parser: argparse.ArgumentParser) -> None:
    """Add the options `--preset` and `--size`."""
    parser.add_argument(
        "--preset",
        default=_DEFAULT_PRESET,
        help=f"{PRESET_HELP}; default {_DEFAULT_PRESET}",
    )
    add_size(parser)


def add_size(parser: argparse.ArgumentParser) -> None:
    """Add the option `--size`."""
    parser.add_argument(
        "--size",
        type=int,
        help="side of the images in pixels, if it differs from the preset's; "
        "must be a multiple of 4 or 8, because the stages of the preset halve "
        "it",
    )


def load_model(arguments: argparse.Namespace) -> "FACNN":
    """Load the preset at the size that was asked for.

    Raises:
        ValueError: If the model takes images that cannot be read from files,
            or images of any size, and no `--size` is given.
    """
    import keras

    from keras_facnn.model import FACNN

    # Show progress only in a terminal. Scripts that read stderr see errors
    # only.
    if sys.stderr.isatty():
        print_note(
            f"Loading {printable(arguments.preset)} on "
            f"{keras.backend.backend()}; the first run takes the longest ..."
        )
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
            return FACNN.from_preset(
                arguments.preset, image_shape=(size, size, channels)
            )
        except ValueError as e:
            raise ValueError(f"argument --size {size}: {e}") from e
    if height is None or width is None:
        raise ValueError(
            "The preset takes images of any size: choose one with --size. "
            f"Received: {model.image_shape}"
        )
    return model


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
