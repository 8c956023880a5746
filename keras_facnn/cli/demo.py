"""`keras-facnn demo`: serve a page to try a model on photos."""

import argparse
import os

from keras_facnn.cli.inputs import add_preset
from keras_facnn.cli.inputs import load_model

SUMMARY = "open a page to try the model on photos, in the browser"
DESCRIPTION = """\
Serve a page on this computer: drop in a photo, see what the model sees in it,
click a class to see what speaks for it, and slide through the layers. No photo
leaves this computer. Needs keras-facnn[demo].
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_preset(parser)
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen at; default 127.0.0.1, which only this "
        "computer can reach",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=7860,
        help="port to listen at, or 0 for any free port; default 7860",
    )


def run(arguments: argparse.Namespace) -> None:
    """Serve the page until Ctrl-C, and exit."""
    from keras_facnn import demo

    if not 0 <= arguments.port <= 65535:
        raise ValueError(
            f"--port must be 0 to 65535. Received: {arguments.port}"
        )
    demo.check_installed()
    demo.serve(
        load_model(arguments),
        arguments.preset,
        arguments.host,
        arguments.port,
    )
    # A normal exit would wait for photos that are still being explained.
    os._exit(0)
