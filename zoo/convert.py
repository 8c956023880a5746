"""Convert a trained classifier into a preset, without training.

    python -m zoo.convert --recipe imagenet --workdir runs/imagenet

writes the folder `preset` into the workdir. The maps of an FA-CNN that was
converted are the class activation maps of the classifier, made non-negative;
see `FACNN.from_classifier`. KERAS_BACKEND chooses the backend.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
from typing import TYPE_CHECKING
from typing import Any

import numpy as np
from absl import flags
from absl import logging

from zoo import inputs
from zoo.recipe import Conversion
from zoo.training import record

if TYPE_CHECKING:
    from keras_facnn import FACNN

FLAGS = flags.FLAGS
RECIPES = os.path.join(os.path.dirname(__file__), "recipes")


def define_flags() -> None:
    inputs.define_recipe_flag()
    flags.DEFINE_string(
        "workdir", None, "Folder to write the preset into.", required=True
    )


def main() -> None:
    recipe = inputs.load_any_recipe(FLAGS.recipe)
    if not isinstance(recipe, Conversion):
        raise ValueError(
            f"`--recipe {FLAGS.recipe}` trains: python -m zoo.train --recipe "
            f"{FLAGS.recipe}"
        )
    record.make_folder("workdir", FLAGS.workdir)
    # Now, since a preset should say which weights it has.
    name, version = recipe.weights.split("==")
    installed = importlib.metadata.version(name)
    if installed != version:
        raise ValueError(
            f"`--recipe {FLAGS.recipe}` needs `pip install {recipe.weights}`. "
            f"Received: version {installed}"
        )
    target = os.path.join(FLAGS.workdir, "preset")
    convert(recipe).save_to_preset(
        target, metadata(recipe), weights_dtype="float16"
    )
    logging.info("Saved %s.", target)


def convert(recipe: Conversion, pretrained: bool = True) -> FACNN:
    """Return the FA-CNN that a classifier becomes.

    Args:
        recipe: The `Conversion`.
        pretrained: Whether the classifier has its trained weights.
    """
    import keras_facnn
    from zoo import networks

    classifier = networks.CLASSIFIERS[recipe.classifier](
        recipe.image_shape,
        dilate_last_stage=recipe.dilate_last_stage,
        pretrained=pretrained,
    )
    return keras_facnn.FACNN.from_classifier(
        classifier, class_names=class_names(recipe)
    )


def class_names(recipe: Conversion) -> list[str]:
    """Return what to call the classes, in the order of the logits."""
    path = os.path.join(RECIPES, recipe.class_table)
    rows = np.loadtxt(
        path, str, delimiter="\t", skiprows=1, comments=None, encoding="utf-8"
    )
    return rows[:, 1].tolist()


def metadata(recipe: Conversion) -> dict[str, Any]:
    """Return what the readers of a preset should know of it."""
    about = recipe.about
    made = dataclasses.asdict(recipe)
    del made["about"]
    return {
        "description": about.description,
        "dataset": {"name": about.dataset, "license": about.dataset_license},
        "license": about.license,
        "training": {
            "recipe": made,
            "command": record.command(),
            "commit": record.commit(),
        },
    }


if __name__ == "__main__":
    define_flags()
    inputs.run(main)
