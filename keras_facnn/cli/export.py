"""`keras-facnn export`: write a model as a file that runs without Keras."""

import argparse
import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence

from keras_facnn._checks.packages import how_to_install
from keras_facnn.cli.inputs import PRESET_HELP
from keras_facnn.cli.inputs import add_size
from keras_facnn.cli.inputs import load_model
from keras_facnn.cli.streams import ErrorReported
from keras_facnn.cli.streams import print_note

SUMMARY = "write a model as a file that runs without Keras"
DESCRIPTION = """\
Write a model as one graph that runs without Keras. Its input `images` is
0..255; its outputs are `logits` and `class_maps`. The written file is run, and
its outputs are compared with those of the model.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("preset", metavar="PRESET", help=PRESET_HELP)
    parser.add_argument(
        "out",
        metavar="OUT",
        help="file to write: .onnx, .xml (OpenVINO), .tflite (LiteRT), or a "
        "folder without an ending (SavedModel)",
    )
    parser.add_argument(
        "--layer",
        dest="layers",
        metavar="LAYER",
        type=int,
        action="append",
        help="number of an FA layer whose maps are another output, "
        "class_maps_LAYER; repeat for more layers",
    )
    parser.add_argument(
        "--centered",
        action="store_true",
        help="subtract the mean of all classes' maps from each map",
    )
    parser.add_argument(
        "--no-fuse",
        action="store_true",
        help="keep norms and convolutions apart",
    )
    add_size(parser)


def run(arguments: argparse.Namespace) -> None:
    """Write the file, on another backend where this one cannot."""
    import keras

    from keras_facnn.export import formats

    name = formats.find_format(arguments.out)
    backends = formats.FORMATS[name].backends
    backend = keras.backend.backend()
    if backend not in backends:
        installed = [b for b in backends if importlib.util.find_spec(b)]
        if not installed:
            raise ImportError(
                f"A file for {name} is written by {' or '.join(backends)}: "
                + how_to_install(backends[0], "export")
            )
        print_note(f"On {installed[0]}, since {backend} cannot write it:")
        _run_again(arguments.argv, installed[0])
        return
    formats.check_can_write(name)
    load_model(arguments).export(
        arguments.out,
        layers=arguments.layers,
        centered=arguments.centered,
        fuse=not arguments.no_fuse,
    )


def _run_again(argv: Sequence[str], backend: str) -> None:
    """Run the same command on another backend, in a separate process."""
    ended = subprocess.run(
        [sys.executable, "-m", "keras_facnn", *argv],
        env={**os.environ, "KERAS_BACKEND": backend},
    )
    if ended.returncode:
        raise ErrorReported
