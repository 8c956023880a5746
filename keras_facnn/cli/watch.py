"""`keras-facnn watch`: notice when evidence in pictures moves."""

import argparse
import os
from collections.abc import Iterator
from collections.abc import Sequence
from typing import TYPE_CHECKING

from keras_facnn._checks.text import printable
from keras_facnn._progress import Progress
from keras_facnn.cli.streams import ErrorReported
from keras_facnn.cli.streams import print_note
from keras_facnn.cli.streams import print_result

if TYPE_CHECKING:
    import numpy as np

    from keras_facnn.runtime import Explainer
    from keras_facnn.watching import Watch

SUMMARY = "notice when evidence in pictures moves"
DESCRIPTION = """\
Write the evidence in reference pictures to a file, or compare new pictures with
such a file, and say after how many of them the evidence differs. It runs an
exported model, and needs neither Keras nor a backend. Take reference pictures
that the model was not trained on.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="file of `keras-facnn export`: .onnx, .xml",
    )
    parser.add_argument(
        "inputs",
        metavar="INPUT",
        nargs="+",
        help="a picture, or a folder, with the folders in it; the pictures of "
        "a folder come in the order of their names",
    )
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument(
        "--write",
        metavar="FILE",
        help="write the evidence in the pictures to this file, an .npz",
    )
    task.add_argument(
        "--reference",
        metavar="FILE",
        help="compare the pictures with the file that --write wrote",
    )
    parser.add_argument(
        "--false-alarms",
        type=float,
        default=1e-4,
        metavar="P",
        help="with --write, the probability of a false alarm within 10,000 "
        "pictures; default 0.0001",
    )
    parser.add_argument(
        "--batch-size",
        type=int,
        default=32,
        help="pictures per inference; default 32",
    )
    parser.add_argument(
        "--engine",
        choices=("onnxruntime", "openvino"),
        help="library that runs the model; default follows from the file",
    )


def run(arguments: argparse.Namespace) -> None:
    """Write a reference, or compare pictures with one."""
    from keras_facnn.runtime import Explainer
    from keras_facnn.watching import Watch

    explainer = Explainer(arguments.model, engine=arguments.engine)
    pictures = _list_pictures(arguments.inputs)
    unreadable: list[str] = []
    parts = _explain(explainer, pictures, arguments.batch_size, unreadable)
    if arguments.write:
        _write(parts, arguments.write, arguments.false_alarms)
    else:
        _compare(parts, Watch.load(arguments.reference))
    if unreadable:
        raise ErrorReported


def _write(
    parts: "Iterator[dict[str, np.ndarray]]", path: str, false_alarms: float
) -> None:
    """Write the evidence in pictures to a file."""
    import numpy as np

    from keras_facnn.watching import Watch

    found = list(parts)
    if not found:
        raise ValueError("None of the pictures can be read")
    columns = {
        name: np.concatenate([part[name] for part in found])
        for name in ("class", "maps")
    }
    Watch(columns, false_alarms=false_alarms).save(path)
    count = len(columns["class"])
    print_result(f"The evidence in {count:,} pictures is in {printable(path)}")


def _compare(parts: "Iterator[dict[str, np.ndarray]]", watch: "Watch") -> None:
    """Print when the evidence in pictures differs from a reference."""
    for columns in parts:
        if alarm := watch.add(columns):
            print_result(str(alarm))
            break
    else:
        print_result(
            f"In {watch.seen:,} pictures, evidence does not differ from the "
            f"reference: {max(watch.capital, 0):.2f} of an alarm"
        )


def _list_pictures(inputs: Sequence[str]) -> list[str]:
    """Return the paths of all pictures."""
    from keras_facnn.pictures.class_folders import list_pictures
    from keras_facnn.pictures.opening import picture_endings

    found: list[str] = []
    for name in inputs:
        if os.path.isdir(name):
            inner = list_pictures(name, ".", picture_endings(), {}, [])
            found += [os.path.join(name, file[2:]) for file in inner]
        else:
            found.append(name)
    if not found:
        raise ValueError(
            f"There are no pictures in {', '.join(map(printable, inputs))}"
        )
    return found


def _explain(
    explainer: "Explainer",
    pictures: Sequence[str],
    batch_size: int,
    unreadable: list[str],
) -> "Iterator[dict[str, np.ndarray]]":
    """Give the columns of pictures in batches. Name those that are no picture.

    Args:
        explainer: An `Explainer`.
        pictures: The paths.
        batch_size: Pictures per inference.
        unreadable: List to which the paths of unreadable pictures are added.
    """
    import numpy as np

    from keras_facnn.pictures.reading import read_picture

    progress = Progress(len(pictures), "picture")
    for start in range(0, len(pictures), batch_size):
        paths = pictures[start : start + batch_size]
        images = []
        for path in paths:
            try:
                images.append(
                    read_picture(path, explainer.image_shape, explainer.fit)
                )
            except (ValueError, OSError) as e:
                print_note(f"keras_facnn: error: {e}")
                unreadable.append(path)
        progress.add(len(paths))
        if images:
            yield explainer(np.stack(images), centered=True)
