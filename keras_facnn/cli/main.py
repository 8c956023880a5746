"""The command line. `keras-facnn --help` is its manual page."""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from keras_facnn._checks.text import printable
from keras_facnn.cli import audit
from keras_facnn.cli import batch
from keras_facnn.cli import demo
from keras_facnn.cli import evaluate
from keras_facnn.cli import explain
from keras_facnn.cli import export
from keras_facnn.cli import presets
from keras_facnn.cli import serve
from keras_facnn.cli import train
from keras_facnn.cli import verify
from keras_facnn.cli import watch
from keras_facnn.cli.start import INTERRUPTED
from keras_facnn.cli.start import WITHOUT_KERAS
from keras_facnn.cli.start import end_start
from keras_facnn.cli.start import import_keras
from keras_facnn.cli.streams import ErrorReported
from keras_facnn.cli.streams import open_streams
from keras_facnn.cli.streams import print_error
from keras_facnn.cli.streams import print_note
from keras_facnn.cli.streams import print_result
from keras_facnn.cli.streams import silence
from keras_facnn.version import __version__

# Each module has a `SUMMARY`, a `DESCRIPTION`, `add_arguments` and `run`.
COMMANDS = {
    "explain": explain,
    "train": train,
    "evaluate": evaluate,
    "audit": audit,
    "export": export,
    "batch": batch,
    "presets": presets,
    "verify": verify,
    "demo": demo,
    "serve": serve,
    "watch": watch,
}

_DESCRIPTION = """\
FA-CNN: an image classifier whose raw feature maps explain it.

commands:
{commands}

`keras-facnn COMMAND --help` describes a command.
"""

_EXAMPLES = """\
examples:
  keras-facnn explain cat.jpg dog.png
  keras-facnn explain photo.jpg --preset my_model/ --output why.pdf
  keras-facnn explain photo.jpg --preset hf://user/repo
  keras-facnn explain cat.jpg --class "tabby cat"
  keras-facnn explain *.jpg --no-figure --json
  keras-facnn train photos/ --output mine
  keras-facnn evaluate my_model/ photos/ --output report.html
  keras-facnn audit my_model/ photos/ --output audit.html
  keras-facnn export cifar10 cifar10.onnx
  keras-facnn batch cifar10.onnx photos/ --output maps/
  keras-facnn presets
  keras-facnn verify samples/*.jpg --preset cifar10
  keras-facnn demo --port 8000
  keras-facnn serve cifar10.onnx
  keras-facnn watch cifar10.onnx photos/ --write reference.npz

environment:
  KERAS_BACKEND   tensorflow (default), jax or torch
  KERAS_HOME      where downloaded presets are kept; default ~/.keras
  HF_TOKEN        token for private presets on the Hugging Face Hub
  TF_CPP_MIN_LOG_LEVEL   0 shows what TensorFlow says as it starts
  KERAS_FACNN_TOKEN   token that requests to `keras-facnn serve` must show

exit status: 0 on success, 1 after an error (also if one of several images
cannot be read), 2 for a wrong command line, 130 after Ctrl-C, 141 if the
program that reads the output has ended.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: The arguments. None means those of this process.

    Returns:
        The exit status.
    """
    open_streams()
    for stream in (sys.stdout, sys.stderr):
        # Terminals may lack characters of file and class names.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = _run(sys.argv[1:] if argv is None else argv)
        # Flush the help too, which `argparse` prints.
        print_result("", end="")
        return status
    except KeyboardInterrupt:
        print_note(INTERRUPTED)
        return 130
    except BrokenPipeError:
        # The reader has ended, as `head -1` does after one line.
        silence(sys.stdout)
        return 141
    except ErrorReported:
        return 1
    except (ValueError, OSError, ImportError, RuntimeError, MemoryError) as e:
        print_error(e)
        return 1


def _run(argv: Sequence[str]) -> int:
    """Run a command, and return the exit status."""
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as e:
        return int(e.code or 0)
    arguments.argv = argv
    if arguments.command not in WITHOUT_KERAS:
        import_keras()
        # Where Keras has no backend, this error says what to install.
        from keras_facnn import FACNN  # noqa: F401

    end_start()
    arguments.run(arguments)
    return 0


def _parser() -> argparse.ArgumentParser:
    """Make the parser of all commands."""
    listed = "\n".join(
        f"  {name:9} {command.SUMMARY}" for name, command in COMMANDS.items()
    )
    parser = _Parser(
        prog="keras-facnn",
        usage="keras-facnn [-h] [--version] COMMAND ...",
        description=_DESCRIPTION.format(commands=listed),
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"keras_facnn {__version__}"
    )
    parsers = parser.add_subparsers(
        prog="keras-facnn",
        metavar="COMMAND",
        required=True,
        help=argparse.SUPPRESS,
    )
    for name, command in COMMANDS.items():
        added = parsers.add_parser(name, description=command.DESCRIPTION)
        command.add_arguments(added)
        added.set_defaults(command=name, run=command.run)
    return parser


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are safe to print."""

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str], namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        for text in args:
            # Older versions of Python turn this value into an empty list.
            if text.startswith("--") and text.endswith("=--"):
                self.error(f"{text}: the option needs a value")
        return super().parse_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        # The message repeats arguments, which a shell may have completed from
        # names of files.
        super().error(printable(message))
