"""The command line. `python -m keras_facnn --help` is its manual page."""

import argparse
import json
import os
import sys
import textwrap

import numpy as np
from keras import ops

from keras_facnn import FACNN
from keras_facnn import __version__

_DESCRIPTION = """\
FA-CNN: an image classifier whose raw feature maps explain it.

commands:
  explain   classify images and draw which pixels speak for which class
  presets   list the bundled models
  verify    measure on images how exactly the maps are the explanation

`python -m keras_facnn COMMAND --help` tells more.
"""

_EXPLAIN = """\
Classifies images and draws why, from one forward pass and without a gradient:
the image, the map of the likeliest class, the map of the runner-up on the same
colour scale, the map of the likeliest class at several depths, and how the
probability of both grows from layer to layer. Images are turned as their EXIF
data say, laid on white where they are transparent, cropped to the centre and
resized to what the model takes.
"""

_EXAMPLES = """\
examples:
  python -m keras_facnn explain cat.jpg dog.png --preset cifar10
  python -m keras_facnn explain photo.jpg --preset my_model/ --output why.pdf
  python -m keras_facnn explain photo.jpg --preset hf://user/repo
  python -m keras_facnn presets
  python -m keras_facnn verify samples/*.jpg --preset cifar10

environment:
  KERAS_BACKEND   tensorflow (default), jax or torch
  KERAS_HOME      where downloaded presets are kept, ~/.keras by default
  HF_TOKEN        token for private presets on the Hugging Face Hub

exit status: 0 if all went well, 1 after an error, 2 for a wrong command line.
"""


def main(argv=None):
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except (ValueError, OSError, ImportError) as e:
        message = " ".join(str(e).split())
        print(f"keras_facnn: error: {message}", file=sys.stderr)
        return 1
    return 0


def _parser():
    parser = argparse.ArgumentParser(
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
    explain.set_defaults(run=_explain)

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
    return parser


def _add_preset(parser):
    parser.add_argument(
        "--preset",
        default="cifar10",
        help="name of a bundled model, a folder, hf://user/repo or the https "
        "URL of a folder; default cifar10",
    )


def _explain(arguments):
    try:
        from matplotlib.figure import Figure

        from keras_facnn import plots
    except ImportError as e:
        raise ImportError(
            f"Drawing needs Matplotlib ({e}): pip install keras-facnn[plots]"
        ) from e
    kinds = Figure().canvas.get_supported_filetypes()
    if os.path.splitext(arguments.output)[1].lstrip(".").lower() not in kinds:
        raise ValueError(
            f"--output must end in one of .{', .'.join(sorted(kinds))}. "
            f"Received: {arguments.output}"
        )
    folder = os.path.dirname(arguments.output) or "."
    if not os.path.isdir(folder):
        raise ValueError(f"--output: there is no folder {folder}")
    for name in ("top", "rows"):
        value = getattr(arguments, name)
        if value < 1:
            raise ValueError(f"--{name} must be positive. Received: {value}")

    model = FACNN.from_preset(arguments.preset)
    names = _class_names(model)
    images = _read_images(arguments.images, model)
    logits, maps = model.predict_with_maps(images)
    probabilities = _softmax(logits)
    width = max(len(os.path.basename(path)) for path in arguments.images)
    for path, p in zip(arguments.images, probabilities, strict=True):
        best = np.argsort(-p, kind="stable")[: arguments.top]
        listed = "   ".join(f"{names[c]} {p[c]:6.1%}" for c in best)
        print(f"{os.path.basename(path):{width}}   {listed}")

    if len(images) > arguments.rows:
        print(
            f"The figure shows the first {arguments.rows} of the {len(images)} "
            "images; --rows N shows more"
        )
    images, probabilities, maps = (
        values[: arguments.rows] for values in (images, probabilities, maps)
    )
    depths = np.linspace(0, model.num_layers, 7).round().astype(int)[1:]
    figure = plots.explanation(
        images,
        probabilities,
        maps,
        {
            int(layer): model.class_maps(images, None, layer=int(layer))
            for layer in sorted(set(depths))
            if layer
        },
        _softmax(model.layer_logits(images)),
        names,
    )
    figure.savefig(arguments.output, dpi=200)
    print(f"The figure is {os.path.abspath(arguments.output)}")


def _presets(arguments):
    presets = FACNN.presets
    if arguments.json:
        print(json.dumps(presets, indent=2))
        return
    for name, metadata in presets.items():
        size = "x".join(
            "any" if n is None else str(n) for n in metadata["input"]["shape"]
        )
        metrics = metadata["metrics"]
        print(name)
        text = (
            f"{metadata['description']} {len(metadata['class_names'])} "
            f"classes, images {size}, {metadata['parameters']:,} parameters, "
            f"{metrics['top_1']:.1%} top-1 accuracy on the "
            f"{metrics['split']} split of {metadata['dataset']['name']}. "
            f"License: {metadata['license']}."
        )
        print(textwrap.indent(textwrap.fill(text, 76), "    "))


def _verify(arguments):
    model = FACNN.from_preset(arguments.preset)
    measured = model.verify(_read_images(arguments.images, model))
    for name, value in measured.items():
        print(f"{name:22} {value:.3g}")
    exact = measured["theorem_1_correlation"] >= 0.99999 and all(
        value <= 1e-3
        for name, value in measured.items()
        if name.endswith("_error")
    )
    if not exact:
        raise ValueError("The maps are not exactly the explanation; see above.")


def _class_names(model):
    names = model.preset_metadata.get("class_names")
    return names or [f"class {c}" for c in range(model.num_classes)]


def _softmax(logits):
    return ops.convert_to_numpy(ops.softmax(logits, axis=-1))


def _read_images(paths, model):
    """Images of the model's size, as one uint8 array."""
    try:
        from PIL import Image
        from PIL import ImageOps
    except ImportError as e:
        raise ImportError(
            f"Reading images needs Pillow ({e}): pip install pillow"
        ) from e
    height, width, channels = model.image_shape
    if height is None or width is None:
        raise ValueError(
            "The command line needs a preset with a fixed image size. "
            f"Received: {model.image_shape}"
        )
    mode = {1: "L", 3: "RGB"}.get(channels)
    if mode is None:
        raise ValueError(
            "The command line reads images of 1 or 3 channels. The preset "
            f"takes {channels}"
        )
    images = []
    for path in paths:
        if os.path.isdir(path):
            raise ValueError(
                f"{path} is a folder. Name its images, such as {path}/*.jpg"
            )
        if not os.path.isfile(path):
            raise FileNotFoundError(f"There is no image {path}")
        try:
            with Image.open(path) as image:
                if image.mode[0] in "IF":
                    raise OSError("its pixels have more than 8 bits a channel")
                image = ImageOps.exif_transpose(image)
                if image.has_transparency_data:
                    image = image.convert("RGBA")
                    white = Image.new("RGBA", image.size, "white")
                    image = Image.alpha_composite(white, image)
                image = image.convert(mode)
        except (OSError, SyntaxError, Image.DecompressionBombError) as e:
            raise ValueError(f"{path} cannot be read as an image: {e}") from e
        image = ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)
        images.append(np.asarray(image).reshape(height, width, channels))
    return np.stack(images)


if __name__ == "__main__":
    sys.exit(main())
