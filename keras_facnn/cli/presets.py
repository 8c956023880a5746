"""`keras-facnn presets`: list the bundled models."""

import argparse
import json
import textwrap

from keras_facnn.cli.streams import print_result

SUMMARY = "list the bundled models"
DESCRIPTION = "List the models that ship with the package."
# More names would fill a terminal several times.
_SHOWN_CLASSES = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "--json", action="store_true", help="print all metadata as JSON"
    )


def run(arguments: argparse.Namespace) -> None:
    """Print what the metadata of each bundled preset say."""
    from keras_facnn.model import FACNN

    presets = FACNN.presets
    if arguments.json:
        print_result(json.dumps(presets, indent=2))
        return
    for name, metadata in presets.items():
        size = "x".join(
            "any" if n is None else str(n) for n in metadata["input"]["shape"]
        )
        metrics = metadata["metrics"]
        text = (
            f"{metadata['description']} {len(metadata['class_names']):,} "
            f"classes, images {size}, {metadata['parameters']:,} parameters, "
            f"{metrics['top_1']:.1%} top-1 accuracy on {metrics['images']:,} "
            f"images of the {metrics['split']} split of "
            f"{metadata['dataset']['name']}. "
            f"License: {metadata['license'].rstrip('.')}."
        )
        # Names of ImageNet's classes are synonyms, joined by commas.
        names = metadata["class_names"]
        shown = names[:: max(1, len(names) // _SHOWN_CLASSES)]
        others = len(names) - len(shown)
        end = (
            f"; and {others:,} others, which --json prints." if others else "."
        )
        classes = "Classes: " + "; ".join(shown) + end
        print_result(name)
        for paragraph in (text, classes):
            print_result(textwrap.indent(textwrap.fill(paragraph, 76), "    "))
