"""`keras-facnn evaluate`: measure how good a model is on a folder of photos."""

import argparse
import os
import typing
from typing import TYPE_CHECKING

from keras_facnn._checks.text import printable
from keras_facnn.cli.inputs import PRESET_HELP
from keras_facnn.cli.inputs import add_size
from keras_facnn.cli.inputs import load_model
from keras_facnn.cli.regions import add_regions
from keras_facnn.cli.regions import read_regions
from keras_facnn.cli.reports import add_report
from keras_facnn.cli.reports import check_report
from keras_facnn.cli.reports import save_report
from keras_facnn.cli.streams import ErrorReported
from keras_facnn.cli.streams import print_note
from keras_facnn.cli.streams import print_result
from keras_facnn.cli.streams import warnings_as_notes

if TYPE_CHECKING:
    # `--help` also works where Keras cannot be imported.
    from keras_facnn.evaluation import Evaluation
    from keras_facnn.model import FACNN

SUMMARY = "measure how good a model is on a folder of photos"
DESCRIPTION = """\
Measure how good a model is on photos that it was not trained on: the accuracy
of each class with its 95% interval, what is mixed up with what, and whether its
probabilities can be believed. With --audit and --avoid, or with masks, it also
says whether the model goes by what must not count: this is exchanged between
photos of different classes. The report also shows the surest mistakes, with
what in the photo caused each. It is one HTML file, which opens in any browser.
Photos that the model was trained on, by its record, are left out.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("preset", metavar="NAME", help=PRESET_HELP)
    parser.add_argument(
        "folder",
        metavar="FOLDER",
        help="folder of photos, with a folder for each class that has the name "
        "of the class",
    )
    add_size(parser)
    add_report(parser, "report.html")
    add_regions(parser, "masks of some photos are enough")
    parser.add_argument(
        "--mistakes",
        type=int,
        default=30,
        help="how many mistakes the report shows; default 30",
    )
    parser.add_argument(
        "--include-training-photos",
        action="store_true",
        help="score photos that the model was trained on, too; the numbers are "
        "then too good for new photos",
    )
    parser.add_argument(
        "--calibrate",
        metavar="NEW_NAME",
        help="make the model as sure as it is right, by a temperature that is "
        "fitted on half of the photos, write it as the preset NEW_NAME, and "
        "measure it on the other half",
    )


def run(arguments: argparse.Namespace) -> None:
    """Print the numbers, and write the report."""
    check_report(arguments.output)
    if arguments.calibrate is not None:
        _check_new(arguments.calibrate)
    # With `--json`, the standard output holds nothing but JSON.
    say = print_note if arguments.json else print_result
    regions, inside, sentences = read_regions(arguments, arguments.fit)
    for sentence in sentences:
        say(printable(sentence))
    model = load_model(arguments)
    options = {"regions": regions, "inside": inside}
    with warnings_as_notes():
        if arguments.calibrate is None:
            evaluation = _evaluate(
                arguments, model, arguments.folder, **options
            )
        else:
            evaluation = _calibrate(arguments, model, **options)
    evaluation.facts["model"] = arguments.preset
    evaluation.facts["folder"] = arguments.folder
    print_result(evaluation.to_json() if arguments.json else str(evaluation))
    save_report(evaluation, arguments.output)
    say(f"The report is {printable(os.path.abspath(arguments.output))}")
    if evaluation.facts["unreadable"]:
        # A note already says which.
        raise ErrorReported


def _evaluate(
    arguments: argparse.Namespace,
    model: "FACNN",
    photos: typing.Any,
    **options: typing.Any,
) -> "Evaluation":
    """Call `keras_facnn.evaluate` with what the arguments say."""
    import keras_facnn

    return keras_facnn.evaluate(
        model,
        photos,
        fit=arguments.fit,
        include_training_photos=arguments.include_training_photos,
        on_error="skip",
        verbose=1,
        **{"mistakes": arguments.mistakes, **options},
    )


def _check_new(name: str) -> None:
    """Raise early if a calibrated preset would replace something."""
    from keras_facnn.presets.save import folder_to_write

    target = folder_to_write(name)
    if target.is_dir() and any(target.iterdir()):
        raise ValueError(
            "--calibrate must be a new name, because the preset of that name "
            f"would be lost. Received: {printable(name)}"
        )


def _calibrate(
    arguments: argparse.Namespace, model: "FACNN", **options: typing.Any
) -> "Evaluation":
    """Fit the temperature on half of the photos, and judge it on the rest."""
    import keras_facnn
    from keras_facnn.pictures.image_folder import with_digests

    folder = keras_facnn.load_folder(arguments.folder, model, read=False)
    folder = with_digests(folder)
    count, seen = len(folder.paths), folder.seen_by(model)
    include = arguments.include_training_photos
    left_out = 0
    if seen is not None and not seen.all() and not include:
        # Before the split, because one of the halves may hold no others.
        left_out = int(seen.sum())
        folder = folder.select(~seen)
    judged, fitted = folder.split(0.5)
    before = _evaluate(arguments, model, judged, mistakes=0, unsure=0)
    temperature = keras_facnn.fit_temperature(
        model, fitted, fit=arguments.fit, on_error="skip"
    )
    stored = (model.preset_metadata or {}).get("weights", {})
    model.save_to_preset(
        arguments.calibrate, weights_dtype=stored.get("dtype", "float32")
    )
    evaluation = _evaluate(arguments, model, judged, **options)
    if left_out:
        evaluation.notes.append(
            f"Before the photos were halved, {left_out:,} of {count:,} were "
            "left out, because the model was trained on them."
        )
    ece = "expected_calibration_error"
    evaluation.notes.append(
        f"The temperature {temperature:.3f} was fitted on one half of the "
        "photos, and these numbers are of the other half. There, it changes "
        f"the calibration error from {before.calibration[ece]:.1%} to "
        f"{evaluation.calibration[ece]:.1%}, and the cross-entropy from "
        f"{before.cross_entropy:.4f} to {evaluation.cross_entropy:.4f}. The "
        f"preset {printable(arguments.calibrate)} has it."
    )
    return evaluation
