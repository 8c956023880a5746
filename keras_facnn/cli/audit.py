"""`keras-facnn audit`: find out for which reasons a model gives its answers."""

import argparse
import os
from typing import TYPE_CHECKING

from keras_facnn._checks.text import printable
from keras_facnn._progress import say_stage
from keras_facnn.cli.inputs import PRESET_HELP
from keras_facnn.cli.inputs import add_size
from keras_facnn.cli.inputs import load_model
from keras_facnn.cli.reports import add_report
from keras_facnn.cli.reports import check_report
from keras_facnn.cli.reports import save_report
from keras_facnn.cli.streams import ErrorReported
from keras_facnn.cli.streams import print_note
from keras_facnn.cli.streams import print_result
from keras_facnn.cli.streams import warnings_as_notes

if TYPE_CHECKING:
    # `--help` also works where Keras cannot be imported.
    from keras_facnn.auditing import Audit
    from keras_facnn.model import FACNN

# Suspicious reasons whose places are covered in up to 24 photos each.
_MOST_COVERED = 5

SUMMARY = "find out for which reasons a model gives its answers"
DESCRIPTION = """\
Find out for which reasons a model gives its answers, over a folder of photos:
where the evidence for each class lies, which places look alike, and what is
suspicious, because it repeats in the photos of one class much more than in
others, such as a tag, a watermark or a backdrop. The most suspicious places are
covered, to see whether the model uses them. Audit the photos that the model was
trained on to find what it may have learned from. The report is one HTML file,
which opens in any browser. A .json file beside it has all numbers: with it,
`keras-facnn train --audit` trains a model that goes by other places.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("preset", metavar="NAME", nargs="?", help=PRESET_HELP)
    parser.add_argument(
        "folder",
        metavar="FOLDER",
        nargs="?",
        help="folder of photos, with a folder for each class that has the name "
        "of the class, or of photos without labels",
    )
    parser.add_argument(
        "--rows",
        metavar="DIR",
        help="in place of NAME and FOLDER, audit what `keras-facnn batch "
        "--maps 16` wrote to this folder, without the model",
    )
    add_size(parser)
    add_report(
        parser,
        "audit.html",
        beside=" (all numbers are then in a .json beside it, which "
        "`keras-facnn train --audit` takes)",
    )
    parser.add_argument(
        "--regions",
        metavar="FOLDER",
        help="folder of PNG masks that have the names of the photos, white "
        "where the evidence should lie; the report then says how much of it "
        "does",
    )


def run(arguments: argparse.Namespace) -> None:
    """Print what is suspicious, and write the report."""
    import keras_facnn

    check_report(arguments.output)
    if arguments.rows is not None:
        _run_on_rows(arguments)
        return
    if arguments.folder is None:
        raise ValueError("NAME and FOLDER are needed, or --rows DIR")
    # A wrong folder is found before the model is loaded.
    for name in (arguments.folder, arguments.regions):
        if name is not None and not os.path.isdir(name):
            raise ValueError(f"There is no folder {name}")
    model = load_model(arguments)
    with warnings_as_notes():
        audit = keras_facnn.audit(
            model,
            arguments.folder,
            regions=arguments.regions,
            fit=arguments.fit,
            on_error="skip",
            verbose=1,
        )
        _cover(audit, model)
    audit.facts["model"] = arguments.preset
    _report(audit, arguments)


def _run_on_rows(arguments: argparse.Namespace) -> None:
    """Audit the output of a batch."""
    import keras_facnn

    if arguments.preset or arguments.regions:
        raise ValueError(
            "--rows takes the place of NAME and FOLDER, and has no --regions"
        )
    audit = keras_facnn.audit_rows(arguments.rows, verbose=1)
    say_stage(f"Comparing the images of {len(audit.classes):,} classes ...")
    _report(audit, arguments)


def _report(audit: "Audit", arguments: argparse.Namespace) -> None:
    """Print an audit, and write its report."""
    page = arguments.output
    root, ending = os.path.splitext(page)
    numbers = page if ending.lower() == ".json" else f"{root}.json"
    # The page names this file in the commands that mend the model.
    audit.facts["numbers"] = numbers
    # With `--json`, the standard output holds nothing but JSON.
    say = print_note if arguments.json else print_result
    print_result(audit.to_json() if arguments.json else str(audit))
    with warnings_as_notes():
        save_report(audit, numbers)
        if page != numbers:
            say_stage("Drawing the report ...")
            save_report(audit, page)
            say(f"The report is {printable(os.path.abspath(page))}")
    say(
        f"All numbers are in {printable(os.path.abspath(numbers))}, which "
        "`keras-facnn train --audit` takes"
    )
    if audit.facts["unreadable"]:
        # A note already says which.
        raise ErrorReported


def _cover(audit: "Audit", model: "FACNN") -> None:
    """Cover what is suspicious, to see whether the model uses it."""
    say_stage(f"Comparing the images of {len(audit.classes):,} classes ...")
    places = [r for r in audit.reasons if r.kind == "place"][:_MOST_COVERED]
    for i, reason in enumerate(places):
        say_stage(
            f"Covering {printable(reason.name)}, {i + 1} of {len(places)} ..."
        )
        audit.cover(model, reason)
