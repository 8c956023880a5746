"""What a stage makes at its end: a preset, or a baseline's `model.keras`."""

import os
import random
import tempfile
from typing import Any

import keras
import numpy as np
from absl import logging

from zoo.recipe import Stage


def try_to_save(
    model: keras.Model, stage: Stage, target: str, metadata: dict[str, Any]
) -> None:
    """Raise if `save` could not write to `target` after the training."""
    # If it is a link, what the link points to is replaced.
    parent, name = os.path.split(os.path.realpath(target))
    # Of several processes only one tries, and all must draw the same seeds
    # afterwards.
    state = random.getstate()
    try:
        with tempfile.TemporaryDirectory(
            dir=parent, prefix=f".{name}-trial-"
        ) as folder:
            trial = os.path.join(folder, name)
            save(model, stage, trial, metadata)
            like = _contents(trial)
    except (NotImplementedError, OSError, TypeError, ValueError) as e:
        raise ValueError(
            f"After the training, the model could not be saved as {target}: {e}"
        ) from e
    finally:
        random.setstate(state)
    holds = _contents(target) if os.path.lexists(target) else like
    if holds != like and not (like and holds == set()):
        raise ValueError(
            f"`--workdir {os.path.dirname(target)}` holds other things in the "
            f"place of what the training is to save. Move them away: {target}"
        )


def _contents(path: str) -> set[str] | None:
    """Return the names of what a folder holds; None if it is no folder."""
    return set(os.listdir(path)) if os.path.isdir(path) else None


def save(
    model: keras.Model, stage: Stage, target: str, metadata: dict[str, Any]
) -> None:
    """Save a preset, or a baseline's `model.keras`, which has no metadata."""
    if stage.kind == "facnn":
        largest = max(np.abs(value).max() for value in model.get_weights())
        dtype = "float16"
        if largest > np.finfo(dtype).max:
            dtype = "float32"
            logging.warning(
                "Weights are saved as float32: %g is among them.", largest
            )
        # The `training` of `metadata` says what it began with.
        before, model.preset_metadata = model.preset_metadata, None
        try:
            model.save_to_preset(target, metadata, weights_dtype=dtype)
        finally:
            model.preset_metadata = before
    else:
        # Uncompiled, so that it loads without the optimizer of the zoo.
        uncompiled = keras.Model.from_config(model.get_config())
        uncompiled.set_weights(model.get_weights())
        uncompiled.save(target)
