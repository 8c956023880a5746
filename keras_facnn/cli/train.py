"""`keras-facnn train`: train a classifier of a folder of photos."""

import argparse
import os

from keras_facnn._checks.text import printable
from keras_facnn._progress import say_stage
from keras_facnn.cli.inputs import PRESET_HELP
from keras_facnn.cli.regions import add_regions
from keras_facnn.cli.regions import read_regions
from keras_facnn.cli.streams import print_note
from keras_facnn.cli.streams import print_result
from keras_facnn.cli.streams import warnings_as_notes

SUMMARY = "train a classifier of your own photos"
DESCRIPTION = """\
Train a classifier of your own photos, FOLDER/CLASS/*, in minutes. A backbone
that knows ImageNet computes the features of each photo once, and the maps of
the classes are fitted to them. A fifth of each class is held out to measure
the accuracy. The result is a preset, a folder that every command takes, with
a report of the evaluation. After Ctrl-C or a crash, the same command continues.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "folder",
        metavar="FOLDER",
        help="folder of photos, with a folder for each class that has the name "
        "of the class",
    )
    parser.add_argument(
        "--output",
        metavar="NAME",
        required=True,
        help="folder to write: the preset, and its report.html",
    )
    parser.add_argument(
        "--thorough",
        action="store_true",
        help="train the backbone, too: more accurate, and takes many times as "
        "long; goes on from NAME if that is trained already; takes no masks, "
        "so not with --regions or --avoid",
    )
    add_regions(parser, "masks of some photos are enough; not with --thorough")
    parser.add_argument(
        "--region-weight",
        type=float,
        default=1.0,
        help="weight of the copies of photos that exchanged what must not "
        "count; default 1; less if photos with a cue are no longer right",
    )
    parser.add_argument(
        "--base",
        metavar="PRESET",
        default="imagenet",
        help=f"preset whose backbone to use: {PRESET_HELP}; default imagenet",
    )
    parser.add_argument(
        "--size",
        type=int,
        help="side of the images in pixels, if it differs from the preset's",
    )
    parser.add_argument(
        "--validation-share",
        type=float,
        default=0.2,
        help="share of each class to hold out, at least one photo; default 0.2",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="another seed holds out other photos; default 0",
    )


def run(arguments: argparse.Namespace) -> None:
    """Train, and say how good the model is and what to do with it."""
    import keras

    import keras_facnn
    from keras_facnn.evaluation.exchanges import exchange_sentences
    from keras_facnn.presets.save import REPORT

    if arguments.thorough and (arguments.regions or arguments.audit):
        raise ValueError(
            "--thorough takes no masks, so it can't be given with --regions or "
            "--audit. It trains on random parts of the photos"
        )
    regions, inside, sentences = read_regions(arguments)
    for sentence in sentences:
        print_result(printable(sentence))
    say_stage(f"Starting on {keras.backend.backend()} ...")
    try:
        with warnings_as_notes():
            model = keras_facnn.train(
                arguments.folder,
                arguments.output,
                thorough=arguments.thorough,
                regions=regions,
                inside=inside,
                region_weight=arguments.region_weight,
                base=arguments.base,
                image_size=arguments.size,
                validation_share=arguments.validation_share,
                seed=arguments.seed,
                verbose=1,
            )
    except KeyboardInterrupt:
        print_note("The same command continues from here.")
        raise
    metadata = model.preset_metadata or {}
    scores = metadata["training"]["validation"]
    name = printable(arguments.output)
    print_result(
        f"{scores['accuracy']:.1%} of {scores['images']:,} photos that were "
        f"held out are right (mean of the classes: "
        f"{scores['balanced_accuracy']:.1%})"
    )
    if regions is not None:
        if "exchanges" in metadata["training"]:
            print_result(
                "Photos that were held out have what must not count, too. With "
                "it exchanged between them:"
            )
        else:
            print_result(
                "No photo that was held out has a mask that can be exchanged, "
                "so this does not say whether the model goes by what must not "
                "count."
            )
        rows = metadata["training"].get("exchanges", [])
        for sentence in exchange_sentences(rows):
            print_result(printable(sentence))
    report = os.path.join(os.path.expanduser(arguments.output), REPORT)
    print_result(
        f"The preset is {name}"
        + (f", its report {name}/{REPORT}" if os.path.isfile(report) else "")
    )
    print_result(f"Try it: keras-facnn explain PHOTO --preset {name}")
