"""`keras-facnn verify`: measure how exactly the maps explain the model."""

import argparse
import math

from keras_facnn.cli.inputs import add_images
from keras_facnn.cli.inputs import add_preset
from keras_facnn.cli.inputs import check_all_read
from keras_facnn.cli.inputs import load_model
from keras_facnn.cli.inputs import read_images
from keras_facnn.cli.streams import print_result

SUMMARY = "measure on images how exactly the maps are the explanation"
DESCRIPTION = """\
Measure on images that the class maps equal Grad-CAM (Theorem 1), that they sum
to the logits (completeness), and that the evidence of the layers does. The
command fails if an error is above 0.1 percent.
"""
_LEAST_CORRELATION = 0.99999
_LARGEST_ERROR = 1e-3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_images(parser)
    add_preset(parser)


def run(arguments: argparse.Namespace) -> None:
    """Print what was measured, and fail if it is not exact."""
    model = load_model(arguments)
    paths, images = read_images(arguments.images, model)
    measured = model.verify(images)
    for name, value in measured.items():
        if math.isnan(value):
            print_result(f"{name:22} no map varies, so there is no correlation")
        else:
            print_result(f"{name:22} {value:.3g}")
    # Constant maps have no correlation, which is NaN, and may still be exact.
    exact = not measured["theorem_1_correlation"] < _LEAST_CORRELATION and all(
        value <= _LARGEST_ERROR
        for name, value in measured.items()
        if name.endswith("_error")
    )
    if not exact:
        raise ValueError("The maps are not exactly the explanation; see above.")
    check_all_read(arguments.images, paths)
