"""`keras-facnn explain`: classify images and draw why."""

import argparse
import difflib
import json
import os
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from keras_facnn._checks.packages import how_to_install
from keras_facnn._checks.text import printable
from keras_facnn.cli.inputs import add_images
from keras_facnn.cli.inputs import add_preset
from keras_facnn.cli.inputs import check_all_read
from keras_facnn.cli.inputs import load_model
from keras_facnn.cli.inputs import read_images
from keras_facnn.cli.streams import print_note
from keras_facnn.cli.streams import print_result

if TYPE_CHECKING:
    # `--help` also works where Keras cannot be imported.
    from keras_facnn.explaining.explanation import Explanation
    from keras_facnn.model import FACNN

SUMMARY = "classify images and draw which pixels speak for which class"
DESCRIPTION = """\
Classify images and draw why, from one forward pass and without a gradient. The
figure shows each photograph beside a dark copy in which the evidence for the
likeliest class is bright, with a sentence that says the answer. --layers adds
the map of the runner-up, the map of the likeliest class at some layers, and how
the probability of both classes grows from layer to layer. Evidence that all
classes share is left out of the maps, unless --raw is given.
Images are rotated as their EXIF data say, laid on white where they are
transparent, cropped to the center and resized to the size that the model takes.
If an image cannot be read, the command reports it and explains the others.
"""

# Pixels of the longer side of a photograph in the figure.
_PHOTO = 512
# Where the figure shows maps by default, as a share of the layers.
_SHARES_OF_LAYERS = (0.25, 0.5, 0.75)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_images(parser)
    add_preset(parser)
    parser.add_argument(
        "--output",
        default="maps.png",
        help="file of the figure, .png, .pdf, .svg or .jpg; default maps.png",
    )
    parser.add_argument(
        "--top",
        type=int,
        default=3,
        help="how many classes to print per image; default 3",
    )
    parser.add_argument(
        "--rows",
        type=int,
        default=16,
        help="how many images the figure shows, from the first; default 16",
    )
    parser.add_argument(
        "--class",
        dest="class_",
        metavar="CLASS",
        help="name or number of the class to explain; default the likeliest "
        "class of each image",
    )
    parser.add_argument(
        "--layers",
        action="store_true",
        help="also show the map of the runner-up, the maps of the layers at a "
        "quarter, half and three quarters of the model, and the probability at "
        "each layer",
    )
    parser.add_argument(
        "--layer",
        dest="chosen_layers",
        metavar="LAYER",
        type=int,
        action="append",
        help="like --layers, with the map of the FA layer of this number; "
        "repeat for more layers",
    )
    parser.add_argument(
        "--raw",
        action="store_true",
        help="show all evidence, also what all classes share, so that the "
        "cells of a map sum to the score of its class",
    )
    parser.add_argument(
        "--no-figure",
        action="store_true",
        help="print the classes, and draw no figure",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print the classes, and the map of the explained class at the "
        "last layer, as JSON; the figure is still drawn, unless --no-figure "
        "is given",
    )


def run(arguments: argparse.Namespace) -> None:
    """Print the classes of each image, and draw the figure."""
    for name in ("top", "rows"):
        value = getattr(arguments, name)
        if value < 1:
            raise ValueError(f"--{name} must be positive. Received: {value}")
    if not arguments.no_figure:
        _check_output(arguments.output, arguments.images)
    model = load_model(arguments)
    layers = _find_layers(arguments, model.num_layers)
    class_ = _find_class(arguments.class_, model)
    paths, images = read_images(arguments.images, model)
    explanation = model.explain(
        images, class_, layers, centered=not arguments.raw
    )

    labels = _labels(paths)
    best = _likeliest_classes(explanation, arguments.top, class_)
    if arguments.json:
        print_result(json.dumps(_as_json(explanation, paths, best), indent=1))
    else:
        _print_classes(explanation, labels, best)
        _print_meaning(explanation, labels)
    if not arguments.no_figure:
        _draw(arguments, explanation, paths, labels)
    check_all_read(arguments.images, paths)


# --- Checks of the arguments ---


def _check_output(output: str, images: Sequence[str]) -> None:
    """Raise early if the figure cannot be written, or would replace an image.

    Args:
        output: Path of the figure.
        images: Paths of the images to explain.
    """
    _check_kind(output)
    folder = os.path.dirname(output) or "."
    if not os.path.isdir(folder):
        raise ValueError(f"--output: there is no folder {folder}")
    if os.path.isdir(output):
        raise ValueError(f"--output: {output} is a folder")
    try:
        os.lstat(output)
    except FileNotFoundError:
        pass
    except OSError as e:
        raise ValueError(
            f"--output: {output[:200]} cannot be written ({e.strerror})"
        ) from e
    for image in images:
        if (
            os.path.exists(output)
            and os.path.exists(image)
            and os.path.samefile(output, image)
        ):
            raise ValueError(
                f"--output: {output} is one of the images, and would be "
                "replaced. Name another file"
            )


def _check_kind(output: str) -> None:
    """Raise if Matplotlib is missing, or cannot write this kind of file."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as e:
        raise ImportError(
            f"Drawing needs Matplotlib ({e}): {how_to_install('plots')}"
        ) from e
    kinds = Figure().canvas.get_supported_filetypes()
    kind = os.path.splitext(output)[1].lstrip(".").lower()
    if kind not in kinds:
        raise ValueError(
            f"--output must end in one of .{', .'.join(sorted(kinds))}. "
            f"Received: {output}"
        )
    tex = matplotlib.rcParams["pgf.texsystem"]
    if kind == "pgf" and shutil.which(tex) is None:
        raise ValueError(
            f"--output: a .pgf file needs TeX, and there is no {tex}"
        )


def _find_layers(arguments: argparse.Namespace, num_layers: int) -> list[int]:
    """Return the layers to show, which `--layer` names, or the default."""
    chosen = arguments.chosen_layers
    if chosen is None:
        if not arguments.layers:
            return []
        if not num_layers:
            print_note(
                "This model has no FA layers: of what --layers adds, the "
                "figure has only the map of the runner-up."
            )
        shares = {round(num_layers * share) for share in _SHARES_OF_LAYERS}
        return sorted({max(1, n) for n in shares if num_layers})
    if not num_layers:
        raise ValueError("--layer: this model has no FA layers")
    for layer in chosen:
        if not 1 <= layer <= num_layers:
            raise ValueError(
                f"--layer must be 1 to {num_layers}. Received: {layer}"
            )
    return list(chosen)


def _find_class(text: str | None, model: "FACNN") -> int | None:
    """Return the number of the class that `--class` names, or None."""
    if text is None:
        return None
    names, count = model.class_names or [], model.num_classes
    for i, name in enumerate(names):
        # Names of ImageNet's classes are synonyms, joined by commas.
        if text == name or text.casefold() in name.casefold().split(", "):
            return i
    if text.isdecimal() and int(text) < count:
        return int(text)
    hint = difflib.get_close_matches(text, names, 3, 0.4)
    raise ValueError(
        f"--class must be a number from 0 to {count - 1}"
        + (", or a name" if names else "")
        + (f", such as {'; '.join(hint)}" if hint else "")
        + f". Received: {text}"
    )


# --- What is printed ---


def _labels(paths: Sequence[str]) -> list[str]:
    """Return the names of the files, or their paths where names are equal."""
    names = [os.path.basename(path) for path in paths]
    return [
        printable(path if names.count(name) > 1 else name)
        for path, name in zip(paths, names, strict=True)
    ]


def _likeliest_classes(
    explanation: "Explanation", count: int, class_: int | None
) -> list[list[int]]:
    """Return the classes to print per image, the likeliest first.

    The class that was asked for comes last if it is not among them.
    """
    best = [
        np.argsort(-p, kind="stable")[:count].tolist()
        for p in explanation.probabilities
    ]
    if class_ is None:
        return best
    return [cs if class_ in cs else [*cs, class_] for cs in best]


def _print_classes(
    explanation: "Explanation",
    labels: Sequence[str],
    best: Sequence[Sequence[int]],
) -> None:
    """Print a line per image, with the probabilities of its classes."""
    width = max(map(len, labels))
    for label, classes, p in zip(
        labels, best, explanation.probabilities, strict=True
    ):
        listed = "   ".join(
            f"{printable(explanation.name_of(c))} {p[c]:6.1%}" for c in classes
        )
        print_result(f"{label:{width}}   {listed}")


def _print_meaning(explanation: "Explanation", labels: Sequence[str]) -> None:
    """Print what users may not know of the probabilities that they see."""
    count = explanation.probabilities.shape[-1]
    print_note(
        f"Each of the {count} classes that the model knows has a probability "
        "of its own: a picture may show several of them, or none."
        if explanation.several_labels
        else f"Whatever a picture shows, it gets one of the {count} classes "
        "that the model knows."
    )
    unsure = [
        label
        for label, p in zip(labels, explanation.probabilities, strict=True)
        if p.max() < 0.5
    ]
    if not unsure:
        return
    more = f" and {len(unsure) - 5} more" if len(unsure) > 5 else ""
    listed = f"{', '.join(unsure[:5])}{more}."
    print_note(
        f"No class is likelier there than not: {listed}"
        if explanation.several_labels
        else f"No class has half of the probability: {listed} This is common "
        "for pictures of something else, and where classes are much alike."
    )


def _as_json(
    explanation: "Explanation",
    paths: Sequence[str],
    best: Sequence[Sequence[int]],
) -> list[dict[str, Any]]:
    """Return what `--json` prints, a dict per image."""
    return [
        {
            "image": path,
            "classes": [
                {
                    "class": explanation.name_of(c),
                    "index": c,
                    "probability": float(explanation.probabilities[i, c]),
                }
                for c in best[i]
            ],
            # Whether each class has a probability of its own, by a sigmoid.
            "several_labels": explanation.several_labels,
            "explained": int(explanation.classes[i]),
            "centered": explanation.centered,
            "map": explanation.maps[i, ..., explanation.classes[i]].tolist(),
        }
        for i, path in enumerate(paths)
    ]


# --- The figure ---


def _draw(
    arguments: argparse.Namespace,
    explanation: "Explanation",
    paths: Sequence[str],
    labels: Sequence[str],
) -> None:
    """Draw the figure of the first images, and print where it is."""
    from keras_facnn import plots
    from keras_facnn.pictures.reading import read_picture

    # With `--json`, the standard output holds nothing but JSON.
    say = print_note if arguments.json else print_result
    rows = arguments.rows
    if len(paths) > rows:
        say(
            f"The figure shows the first {rows} of the {len(paths)} images; "
            "--rows N shows more"
        )
    channels = explanation.images.shape[-1]
    figure = plots.explanation(
        explanation[:rows],
        layers=arguments.layers or bool(arguments.chosen_layers),
        names=labels[:rows],
        photos=[
            read_picture(path, (_PHOTO, _PHOTO, channels), "within")
            for path in paths[:rows]
        ],
    )
    try:
        figure.savefig(arguments.output, dpi=200)
    except OSError as e:
        raise OSError(
            f"--output: {arguments.output} cannot be written "
            f"({e.strerror or e})"
        ) from e
    say(f"The figure is {printable(os.path.abspath(arguments.output))}")
