"""The command line. `python -m keras_facnn --help` is its manual page."""

import argparse
import difflib
import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
import textwrap
import warnings

import numpy as np

from keras_facnn import __version__
from keras_facnn._checks.packages import how_to_install
from keras_facnn._checks.text import printable
from keras_facnn.cli.start import INTERRUPTED
from keras_facnn.cli.start import end_start
from keras_facnn.cli.start import note
from keras_facnn.cli.start import open_streams
from keras_facnn.cli.start import silence

_DESCRIPTION = """\
FA-CNN: an image classifier whose raw feature maps explain it.

commands:
  explain   classify images and draw which pixels speak for which class
  export    write a model as a file that runs without Keras
  presets   list the bundled models
  verify    measure on images how exactly the maps are the explanation
  demo      open a page to try the model on photos, in the browser

`python -m keras_facnn COMMAND --help` tells more.
"""

_EXPLAIN = """\
Classifies images and draws why, from one forward pass and without a gradient:
the photograph, the map of the likeliest class and that of the runner-up on the
same color scale, the map of the likeliest class at some depths, and how the
probability of both grows from layer to layer. What speaks for all classes alike
is left out of the maps, unless --raw is given. Images are turned as their EXIF
data say, laid on white where they are transparent, cropped to the center and
resized to what the model takes. An image that cannot be read is named, and the
others are explained.
"""

_DEMO = """\
Serves a page on this computer: drop in a photo, see what the model sees in it,
click a class to see what speaks for it, and slide through the layers. Nothing
is sent anywhere. Needs keras-facnn[demo].
"""

_EXAMPLES = """\
examples:
  python -m keras_facnn explain cat.jpg dog.png --preset cifar10
  python -m keras_facnn explain photo.jpg --preset my_model/ --output why.pdf
  python -m keras_facnn explain photo.jpg --preset hf://user/repo
  python -m keras_facnn explain cat.jpg --class dog --layer 12 --layer 18
  python -m keras_facnn explain *.jpg --no-figure --json
  python -m keras_facnn export cifar10 cifar10.onnx
  python -m keras_facnn presets
  python -m keras_facnn verify samples/*.jpg --preset cifar10
  python -m keras_facnn demo --port 8000

environment:
  KERAS_BACKEND   tensorflow (default), jax or torch
  KERAS_HOME      where downloaded presets are kept, ~/.keras by default
  HF_TOKEN        token for private presets on the Hugging Face Hub

exit status: 0 if all went well, 1 after an error (also if one image of many
cannot be read), 2 for a wrong command line, 130 after Ctrl-C, 141 where
the output has no reader any more.
"""


# Of all commands that take a model.
_PRESET = "cifar10"
# Pixels of a photograph's longer side in the figure.
_PHOTO = 512


def main(argv=None):
    open_streams()
    for stream in (sys.stdout, sys.stderr):
        # Names of files and classes have characters that terminals may lack.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        end_start()
        status = _run(sys.argv[1:] if argv is None else argv)
        # Of the help, which `argparse` prints, too.
        _say("", end="")
        return status
    except KeyboardInterrupt:
        note(INTERRUPTED)
        return 130
    except BrokenPipeError:
        # As after `| head -1`: the reader has what it wanted.
        silence(sys.stdout)
        return 141
    except _Told:
        return 1
    except (ValueError, OSError, ImportError, RuntimeError, MemoryError) as e:
        _tell(e)
        return 1


def _run(argv):
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as e:
        return e.code
    arguments.argv = argv
    # Where Keras has no backend, this says what to install.
    from keras_facnn import FACNN  # noqa: F401

    arguments.run(arguments)
    return 0


class _Told(Exception):
    """Something failed, and the user has been told what."""


def _tell(error):
    message = " ".join(str(error).split()) or type(error).__name__
    note(f"keras_facnn: error: {printable(message)}")


def _say(text, end="\n"):
    """Prints a result at once, so that an error says what it is about."""
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:
        raise
    except OSError as e:
        silence(sys.stdout)
        raise OSError(
            f"The standard output cannot be written ({e.strerror})"
        ) from e


class _Parser(argparse.ArgumentParser):
    def parse_args(self, args, namespace=None):
        for text in args:
            # Older versions of Python make an empty list of it.
            if text.startswith("--") and text.endswith("=--"):
                self.error(f"{text}: the option needs a value")
        return super().parse_args(args, namespace)

    def error(self, message):
        # It repeats what was typed, which a shell may have completed.
        super().error(printable(message))


def _parser():
    parser = _Parser(
        prog="python -m keras_facnn",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"keras_facnn {__version__}"
    )
    commands = parser.add_subparsers(
        metavar="COMMAND", required=True, help=argparse.SUPPRESS
    )

    explain = commands.add_parser("explain", description=_EXPLAIN)
    explain.add_argument("images", metavar="IMAGE", nargs="+")
    _add_preset(explain)
    explain.add_argument(
        "--output",
        default="maps.png",
        help="file of the figure, .png, .pdf, .svg or .jpg; default maps.png",
    )
    explain.add_argument(
        "--top",
        type=int,
        default=3,
        help="how many classes to print for each image; default 3",
    )
    explain.add_argument(
        "--rows",
        type=int,
        default=16,
        help="how many images the figure shows, the first ones; default 16",
    )
    explain.add_argument(
        "--class",
        dest="class_",
        metavar="CLASS",
        help="name or number of the class to explain; default the likeliest "
        "one of each image",
    )
    explain.add_argument(
        "--layer",
        dest="layers",
        metavar="LAYER",
        type=int,
        action="append",
        help="number of an FA layer to show the map at, again for more; "
        "default a quarter, half and three quarters of the depth",
    )
    explain.add_argument(
        "--raw",
        action="store_true",
        help="show all evidence, also what speaks for all classes alike, so "
        "that the places of a map sum to the score of its class",
    )
    explain.add_argument(
        "--no-figure",
        action="store_true",
        help="only print the classes",
    )
    explain.add_argument(
        "--json",
        action="store_true",
        help="print the classes, and the map of the explained class at the "
        "last layer, as JSON; the figure is drawn all the same, unless "
        "--no-figure is given",
    )
    explain.set_defaults(run=_explain)

    export = commands.add_parser(
        "export",
        description="Writes a model as one graph that runs without Keras. "
        "Input `images` is 0..255; outputs are `logits` and `class_maps`. What "
        "was written is run once and compared with the model.",
    )
    export.add_argument(
        "preset",
        metavar="PRESET",
        help="name of a bundled model, a folder, hf://user/repo or the https "
        "URL of a folder",
    )
    export.add_argument(
        "out",
        metavar="OUT",
        help="file to write: .onnx, .xml (OpenVINO), .tflite (LiteRT), or a "
        "folder without an ending (SavedModel)",
    )
    export.add_argument(
        "--layer",
        dest="layers",
        metavar="LAYER",
        type=int,
        action="append",
        help="number of an FA layer to put out the maps of too, as "
        "class_maps_LAYER; again for more",
    )
    export.add_argument(
        "--centered",
        action="store_true",
        help="put out maps less the mean of all classes' maps",
    )
    export.add_argument(
        "--no-fuse",
        action="store_true",
        help="keep norms and convolutions apart",
    )
    _add_size(export)
    export.set_defaults(run=_export)

    presets = commands.add_parser(
        "presets", description="Lists the models that ship with the package."
    )
    presets.add_argument(
        "--json", action="store_true", help="print all metadata as JSON"
    )
    presets.set_defaults(run=_presets)

    verify = commands.add_parser(
        "verify",
        description="Measures on images that the class maps equal Grad-CAM "
        "(Theorem 1), that they sum to the logits (completeness), and that "
        "the layers' evidence does. Fails if an error is above 0.1 percent.",
    )
    verify.add_argument("images", metavar="IMAGE", nargs="+")
    _add_preset(verify)
    verify.set_defaults(run=_verify)

    demo = commands.add_parser("demo", description=_DEMO)
    _add_preset(demo)
    demo.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen at; default 127.0.0.1, this computer alone",
    )
    demo.add_argument(
        "--port",
        type=int,
        default=7860,
        help="port to listen at, 0 for any free one; default 7860",
    )
    demo.set_defaults(run=_demo)
    return parser


def _add_preset(parser):
    parser.add_argument(
        "--preset",
        default=_PRESET,
        help="name of a bundled model, a folder, hf://user/repo or the https "
        f"URL of a folder; default {_PRESET}",
    )
    _add_size(parser)


def _add_size(parser):
    parser.add_argument(
        "--size",
        type=int,
        help="side of the images in pixels, where it is not to be the "
        "preset's: a multiple of 4 or 8, as the preset's stages halve it",
    )


def _explain(arguments):
    for name in ("top", "rows"):
        value = getattr(arguments, name)
        if value < 1:
            raise ValueError(f"--{name} must be positive. Received: {value}")
    if not arguments.no_figure:
        _check_output(arguments.output, arguments.images)
    model = _model(arguments)
    layers = arguments.layers or sorted(
        {max(1, round(model.num_layers * share)) for share in (0.25, 0.5, 0.75)}
    )
    for layer in layers:
        if not 1 <= layer <= model.num_layers:
            raise ValueError(
                f"--layer must be 1 to {model.num_layers}. Received: {layer}"
            )
    names = model.class_names
    asked = _class_index(arguments.class_, names, model.num_classes)
    paths, images = _read_images(arguments, model)
    told = model.explain(images, asked, layers, centered=not arguments.raw)

    labels = _labels(paths)
    best = [
        np.argsort(-p, kind="stable")[: arguments.top].tolist()
        for p in told.probabilities
    ]
    if asked is not None:
        best = [cs if asked in cs else [*cs, asked] for cs in best]
    if arguments.json:
        _say(json.dumps(_as_json(told, paths, best), indent=1))
    else:
        width = max(map(len, labels))
        for label, cs, p in zip(labels, best, told.probabilities, strict=True):
            listed = "   ".join(
                f"{printable(told.name_of(c))} {p[c]:6.1%}" for c in cs
            )
            _say(f"{label:{width}}   {listed}")
        _say_what_answers_mean(told, labels)
    if not arguments.no_figure:
        _draw(arguments, told, paths, labels)
    _finish(arguments, paths)


def _say_what_answers_mean(told, labels):
    """What a user may not know of the probabilities that were printed."""
    count = told.probabilities.shape[-1]
    meaning = (
        f"Each of the {count} classes that the model knows has a probability "
        "of its own: a picture may show several of them, or none."
        if told.several_labels
        else f"Whatever a picture shows, it gets one of the {count} classes "
        "that the model knows."
    )
    note(meaning)
    unsure = [
        label
        for label, p in zip(labels, told.probabilities, strict=True)
        if p.max() < 0.5
    ]
    if not unsure:
        return
    more = f" and {len(unsure) - 5} more" if len(unsure) > 5 else ""
    listed = f"{', '.join(unsure[:5])}{more}."
    note(
        f"No class is likelier there than not: {listed}"
        if told.several_labels
        else f"No class has half of the probability: {listed} So it often is "
        "with pictures of something else."
    )


def _check_output(output, images):
    """Refuses early what could not be written, or would be a loss."""
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


def _class_index(text, names, count):
    if text is None:
        return None
    for i, name in enumerate(names or []):
        # ImageNet's names are synonyms, joined by commas.
        if text == name or text.casefold() in name.casefold().split(", "):
            return i
    if text.isdecimal() and int(text) < count:
        return int(text)
    hint = difflib.get_close_matches(text, names or [], 3, 0.4)
    raise ValueError(
        f"--class must be a number from 0 to {count - 1}"
        + (", or a name" if names else "")
        + (f", such as {'; '.join(hint)}" if hint else "")
        + f". Received: {text}"
    )


def _as_json(told, paths, best):
    return [
        {
            "image": path,
            "classes": [
                {
                    "class": told.name_of(c),
                    "index": c,
                    "probability": float(told.probabilities[i, c]),
                }
                for c in best[i]
            ],
            # Whether each probability is the class' own, by sigmoid.
            "several_labels": told.several_labels,
            "explained": int(told.classes[i]),
            "centered": told.centered,
            "map": told.maps[i, ..., told.classes[i]].tolist(),
        }
        for i, path in enumerate(paths)
    ]


def _draw(arguments, told, paths, labels):
    from keras_facnn import plots
    from keras_facnn.pictures.reading import read_picture

    # JSON has the standard output for itself.
    say = note if arguments.json else _say
    rows = arguments.rows
    if len(paths) > rows:
        say(
            f"The figure shows the first {rows} of the {len(paths)} images; "
            "--rows N shows more"
        )
    channels = told.images.shape[-1]
    figure = plots.explanation(
        told[:rows],
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
    path = printable(os.path.abspath(arguments.output))
    say(f"The figure is {path}")


def _export(arguments):
    import keras

    from keras_facnn.export import exporting as export

    name = export.format_of(arguments.out)
    able = export.FORMATS[name].backends
    backend = keras.backend.backend()
    if backend not in able:
        installed = [b for b in able if importlib.util.find_spec(b)]
        if not installed:
            raise ImportError(
                f"A file for {name} is written by {' or '.join(able)}: "
                + how_to_install(able[0], "export")
            )
        note(f"On {installed[0]}, since {backend} cannot write it:")
        again = subprocess.run(
            [sys.executable, "-m", "keras_facnn", *arguments.argv],
            env={**os.environ, "KERAS_BACKEND": installed[0]},
        )
        if again.returncode:
            raise _Told
        return
    export.check_can_write(name)
    model = _model(arguments)
    model.export(
        arguments.out,
        layers=arguments.layers,
        centered=arguments.centered,
        fuse=not arguments.no_fuse,
    )


def _presets(arguments):
    from keras_facnn import FACNN

    presets = FACNN.presets
    if arguments.json:
        _say(json.dumps(presets, indent=2))
        return
    for name, metadata in presets.items():
        size = "x".join(
            "any" if n is None else str(n) for n in metadata["input"]["shape"]
        )
        metrics = metadata["metrics"]
        _say(name)
        text = (
            f"{metadata['description']} {len(metadata['class_names'])} "
            f"classes, images {size}, {metadata['parameters']:,} parameters, "
            f"{metrics['top_1']:.1%} top-1 accuracy on the "
            f"{metrics['split']} split of {metadata['dataset']['name']}. "
            f"License: {metadata['license'].rstrip('.')}."
        )
        _say(textwrap.indent(textwrap.fill(text, 76), "    "))
        # Names of ImageNet's are synonyms, joined by commas.
        listed = "Classes: " + "; ".join(metadata["class_names"]) + "."
        _say(textwrap.indent(textwrap.fill(listed, 76), "    "))


def _verify(arguments):
    model = _model(arguments)
    paths, images = _read_images(arguments, model)
    measured = model.verify(images)
    for name, value in measured.items():
        if math.isnan(value):
            _say(f"{name:22} no map varies, so there is no correlation")
        else:
            _say(f"{name:22} {value:.3g}")
    # Maps that are constant have no correlation, and may be exact all the same.
    exact = not measured["theorem_1_correlation"] < 0.99999 and all(
        value <= 1e-3
        for name, value in measured.items()
        if name.endswith("_error")
    )
    if not exact:
        raise ValueError("The maps are not exactly the explanation; see above.")
    _finish(arguments, paths)


def _demo(arguments):
    from keras_facnn import demo

    if not 0 <= arguments.port <= 65535:
        raise ValueError(
            f"--port must be 0 to 65535. Received: {arguments.port}"
        )
    demo.check_installed()
    demo.serve(
        _model(arguments), arguments.preset, arguments.host, arguments.port
    )
    # Python would wait for a look at a photo that still runs, however long.
    os._exit(0)


def _model(arguments):
    import keras

    from keras_facnn import FACNN

    # For who waits; what reads this stream is told of errors alone.
    if sys.stderr.isatty():
        note(
            f"Loading {printable(arguments.preset)} on "
            f"{keras.backend.backend()}; the first run takes the longest ..."
        )
    model = FACNN.from_preset(arguments.preset)
    height, width, channels = model.image_shape
    if channels not in (1, 3):
        raise ValueError(
            "The command line reads images of 1 or 3 channels. The preset "
            f"takes {channels}"
        )
    if arguments.size is not None:
        size = arguments.size
        try:
            return FACNN.from_preset(
                arguments.preset, image_shape=(size, size, channels)
            )
        except ValueError as e:
            raise ValueError(f"argument --size {size}: {e}") from e
    if height is None or width is None:
        raise ValueError(
            "The preset takes images of any size: name one by --size. "
            f"Received: {model.image_shape}"
        )
    return model


def _read_images(arguments, model):
    """The paths that can be read, and their images of the model's size."""
    from keras_facnn.pictures.reading import read_picture

    paths, images = [], []
    with warnings.catch_warnings():
        # Pillow's, of what the reader refuses.
        warnings.filterwarnings("ignore", "Image size .* exceeds limit")
        for path in arguments.images:
            try:
                images.append(read_picture(path, model.image_shape))
                paths.append(path)
            except (ValueError, OSError) as e:
                _tell(e)
    if not paths:
        raise _Told
    return paths, np.stack(images)


def _finish(arguments, paths):
    """Fails at the end if some images could not be read."""
    if len(paths) < len(arguments.images):
        raise _Told


def _labels(paths):
    """The files' names, or the paths as given where they are the same."""
    names = [os.path.basename(path) for path in paths]
    return [
        printable(path if names.count(name) > 1 else name)
        for path, name in zip(paths, names, strict=True)
    ]
