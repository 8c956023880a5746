"""`keras-facnn serve`: answer requests with an exported model."""

import argparse
import os
import pathlib

from keras_facnn.serving.settings import Settings

SUMMARY = "serve an exported model over HTTP"
TOKEN = "KERAS_FACNN_TOKEN"
DESCRIPTION = """\
Serve a model that `keras-facnn export` wrote, without Keras. It answers
pictures with classes and maps. `POST /explain` takes a picture; /v1 and /v2 are
KServe's protocols, /metrics is for Prometheus. SIGTERM and Ctrl-C end the
server after the requests that have begun. Needs keras-facnn[serve].
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("model", metavar="MODEL", help="the .onnx or .xml file")
    parser.add_argument(
        "--name",
        help="name of the model in addresses; default the file's name without "
        "its ending",
    )
    parser.add_argument(
        "--host",
        default=Settings.host,
        help="address to listen at; default 127.0.0.1, which only this "
        "computer can reach",
    )
    _add_number(parser, "port", int, "port to listen at, or 0 for any free one")
    parser.add_argument(
        "--token",
        help="token that requests must show, as `Authorization: Bearer TOKEN`. "
        "Other users of this computer can see arguments; the environment "
        f"variable {TOKEN} they cannot",
    )
    parser.add_argument(
        "--engine",
        choices=("onnxruntime", "openvino"),
        help="default onnxruntime for .onnx, openvino for .xml",
    )
    parser.add_argument(
        "--threads",
        type=int,
        help="threads of one inference; default all cores",
    )
    _add_number(parser, "workers", int, "processes; each opens the model")
    _add_number(parser, "max-bytes", int, "most bytes of a request")
    _add_number(
        parser, "max-waiting-bytes", int, "most bytes of requests being read"
    )
    _add_number(parser, "max-pixels", int, "most pixels of a picture")
    _add_number(parser, "batch-size", int, "most pictures of one inference")
    _add_number(
        parser,
        "window",
        float,
        "seconds to wait for pictures of requests that are being read",
    )
    _add_number(
        parser,
        "queue",
        int,
        "most pictures and most requests that wait; the next are answered 503",
    )
    parser.add_argument(
        "--watch",
        metavar="FILE",
        help="reference of `keras-facnn watch`; /metrics and the log say when "
        "the evidence in served pictures differs from it",
    )
    _add_number(
        parser, "timeout", float, "seconds to send a request, and to answer it"
    )
    _add_number(
        parser, "grace", float, "seconds that requests get after SIGTERM"
    )


def run(arguments: argparse.Namespace) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    from keras_facnn.serving.server import serve

    values = {
        name: getattr(arguments, name)
        for name in Settings.__dataclass_fields__
        if getattr(arguments, name) is not None
    }
    values.setdefault("token", os.environ.get(TOKEN))
    values.setdefault("name", pathlib.Path(arguments.model).stem)
    serve(Settings(**values))


def _add_number(
    parser: argparse.ArgumentParser,
    name: str,
    kind: type[int] | type[float],
    help: str,
) -> None:
    """Add an option whose default is that of the settings."""
    default = getattr(Settings, name.replace("-", "_"))
    parser.add_argument(
        f"--{name}",
        type=kind,
        default=default,
        help=f"{help}; default {default}",
    )
