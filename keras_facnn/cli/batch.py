"""`keras-facnn batch`: explain any number of pictures into Parquet files."""

import argparse
import os

from keras_facnn._checks.text import printable
from keras_facnn._progress import Progress
from keras_facnn.cli.streams import ErrorReported
from keras_facnn.cli.streams import print_note
from keras_facnn.cli.streams import print_result

SUMMARY = "explain any number of pictures into Parquet files"
DESCRIPTION = """\
Explain any number of pictures with an exported model, on all cores of this
machine or on a Ray cluster, into Parquet files: per picture its class,
probabilities and maps. It needs neither Keras nor a backend. A picture that
cannot be read is a row with an error. If the command is killed, the same
command continues the run: no row is lost or written twice.
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
        help="a folder, with the folders in it; a picture; a pattern in "
        "quotes, such as 'photos/**/*.jpg'; a .txt file with one path per "
        "line; a .parquet file of pictures or their paths; or an address such "
        "as s3://bucket/photos",
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        required=True,
        help="folder for the files part-NUMBER.parquet, or an address: a new "
        "one, or that of a run to continue",
    )
    _add_columns(parser)
    _add_work(parser)


def _add_columns(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--top",
        type=int,
        default=16,
        help="number of the likeliest classes to list per picture; default 16",
    )
    parser.add_argument(
        "--maps",
        type=int,
        default=1,
        help="number of the likeliest classes whose maps are written; 0 for "
        "none; default 1",
    )
    parser.add_argument(
        "--dtype",
        choices=("float32", "float16", "int8"),
        default="float16",
        help="type of the maps; default float16",
    )
    parser.add_argument(
        "--column",
        help="column of .parquet files with the bytes of pictures, or their "
        "paths; default is the first of bytes, image and path",
    )
    parser.add_argument(
        "--pictures-per-file",
        type=int,
        default=1000,
        metavar="N",
        help="largest number of rows of a file; default 1000",
    )


def _add_work(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--batch-size",
        type=int,
        default=32,
        help="pictures per forward pass; default 32",
    )
    parser.add_argument(
        "--engine",
        choices=("onnxruntime", "openvino"),
        help="library that runs the model; default follows from the file",
    )
    parser.add_argument(
        "--workers",
        type=int,
        help="number of processes; default is one per core",
    )
    parser.add_argument(
        "--address",
        help="address of a Ray cluster, or auto; by default, Ray is started on "
        "this machine for this command only",
    )


def run(arguments: argparse.Namespace) -> None:
    """Write the files, and print how many pictures they hold."""
    from keras_facnn.batch import explain_files

    progress = _Progress()
    try:
        counts = explain_files(
            arguments.model,
            arguments.inputs,
            arguments.output,
            top=arguments.top,
            maps=arguments.maps,
            dtype=arguments.dtype,
            column=arguments.column,
            pictures_per_file=arguments.pictures_per_file,
            batch_size=arguments.batch_size,
            engine=arguments.engine,
            workers=arguments.workers,
            address=arguments.address,
            progress=progress,
        )
    finally:
        progress.end()
    _report(counts, os.path.join(arguments.output, "part-*.parquet"))


def _report(counts: dict[str, int], files: str) -> None:
    """Print how many pictures are in files."""
    left_out, before = counts["left_out"], counts["before"]
    if left_out:
        kind = (
            "file of another kind" if left_out == 1 else "files of other kinds"
        )
        print_note(f"Left out {left_out:,} {kind}")
    which = f", {before:,} of them before," if before else ""
    print_result(
        f"{_pictures(counts['pictures'])}{which} are in {printable(files)}"
    )
    if counts["unreadable"]:
        unreadable = _pictures(counts["unreadable"])
        print_note(
            f"keras_facnn: error: {unreadable} cannot be read; the column "
            "`error` says why"
        )
        raise ErrorReported


def _pictures(count: int) -> str:
    return f"{count:,} picture{'s' * (count != 1)}"


class _Progress:
    """Show how far a run is."""

    def __init__(self) -> None:
        self._shown: Progress | None = None

    def __call__(self, done: int, pictures: int, unreadable: int) -> None:
        if self._shown is None:
            self._shown = Progress(pictures, "picture")
            self._shown.update(done)
        note = f", {unreadable:,} unreadable" if unreadable else ""
        self._shown.add(done - self._shown.done, note)

    def end(self) -> None:
        """Begin a new line."""
        if self._shown is not None:
            self._shown.close()
