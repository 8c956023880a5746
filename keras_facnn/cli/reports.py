"""The options and the file of commands that write a report."""

import argparse
import os
import typing


def add_report(
    parser: argparse.ArgumentParser, default: str, beside: str = ""
) -> None:
    """Add the options `--output`, `--json` and `--fit`.

    Args:
        parser: The parser of the command.
        default: The default of `--output`.
        beside: What the help says of a second file beside an HTML file.
    """
    from keras_facnn.types import Fit

    parser.add_argument(
        "--output",
        default=default,
        help=f"file of the report, .html{beside}, or .json for only the "
        f"numbers; default {default}",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print all numbers as JSON; the report is still written",
    )
    parser.add_argument(
        "--fit",
        choices=typing.get_args(Fit),
        default="crop",
        help="what to do with photos of another aspect ratio: crop them around "
        "the center, pad them with gray, or stretch them; default crop",
    )


def check_report(output: str) -> None:
    """Raise early if the report cannot be written."""
    ending = os.path.splitext(output)[1].lower()
    if ending not in (".html", ".json"):
        raise ValueError(
            f"--output must end in .html or .json. Received: {output}"
        )
    folder = os.path.dirname(output) or "."
    if not os.path.isdir(folder):
        raise ValueError(f"--output: there is no folder {folder}")
    if ending == ".html":
        # The report draws maps, which needs Matplotlib.
        from keras_facnn import plots  # noqa: F401


def save_report(report: typing.Any, output: str) -> None:
    """Write what has a method `save`; an error names the option."""
    try:
        report.save(output)
    except OSError as e:
        raise OSError(
            f"--output: {output} cannot be written ({e.strerror or e})"
        ) from e
