"""The options that say where evidence must lie, or must not."""

import argparse
import os
import warnings
from typing import Any

from keras_facnn.types import Fit


def add_regions(parser: argparse.ArgumentParser, regions: str) -> None:
    """Add the options `--regions`, `--outside`, `--audit` and `--avoid`.

    Args:
        parser: The parser of a command.
        regions: What the masks of `--regions` are for.
    """
    parser.add_argument(
        "--regions",
        metavar="MASKS",
        help="folder of PNG masks with the names of the photos, white where "
        f"the evidence for the class must lie; {regions}",
    )
    parser.add_argument(
        "--outside",
        action="store_true",
        help="evidence must lie outside of the masks, such as those of a cue; "
        "each photo that has the cue needs a mask",
    )
    parser.add_argument(
        "--audit",
        metavar="JSON",
        help="audit of the photos, as `keras-facnn audit --output audit.json` "
        "writes it",
    )
    parser.add_argument(
        "--avoid",
        metavar="REASON",
        action="append",
        help='reason of the audit, such as "dress 1", from whose places no '
        "evidence must come; photos of the class that the audit did not "
        "compare get its usual place; may be given several times",
    )


def read_regions(
    arguments: argparse.Namespace, fit: Fit = "crop"
) -> tuple[Any, bool, list[str]]:
    """Return the regions and `inside` of a command, and what to say of them.

    Args:
        arguments: The arguments, with the `folder` of the photos.
        fit: How the photos are read, as in `load_images`.
    """
    import keras_facnn
    from keras_facnn.auditing.avoided import read_avoided

    if (arguments.audit is None) != (arguments.avoid is None):
        raise ValueError("--audit and --avoid must be given together")
    if arguments.audit is None:
        if arguments.outside and arguments.regions is None:
            raise ValueError("--outside needs --regions")
        return arguments.regions, not arguments.outside, []
    if arguments.regions is not None:
        raise ValueError("--audit and --regions exclude each other")
    if not os.path.isfile(arguments.audit):
        raise ValueError(f"--audit: there is no file {arguments.audit}")
    with warnings.catch_warnings():
        # The command itself lists them once more, and warns then.
        warnings.simplefilter("ignore", UserWarning)
        photos = keras_facnn.load_folder(arguments.folder, read=False)
    masks, sentences = read_avoided(
        arguments.audit, arguments.avoid, photos, arguments.folder, fit
    )
    return masks, False, sentences
