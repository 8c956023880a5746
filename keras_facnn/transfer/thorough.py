"""Train the backbone, too, on random parts of the photographs."""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_facnn._checks.models import all_layers
from keras_facnn._progress import shows_bars
from keras_facnn.evaluation.outputs import read_outputs
from keras_facnn.evaluation.photos import find_photos
from keras_facnn.model import FACNN
from keras_facnn.pictures.image_folder import ImageFolder
from keras_facnn.transfer.checkpoint import Checkpoint
from keras_facnn.transfer.photo_batches import RandomBatches
from keras_facnn.transfer.photos import class_weights
from keras_facnn.transfer.scores import Scores
from keras_facnn.transfer.scores import scores_of

_BATCH = 32
_ROUNDS = 4
# Few photos are shown often, so that the weights can move.
_LEAST_STEPS_PER_ROUND = 25
_LEARNING_RATE = 3e-4
_WEIGHT_DECAY = 0.02
_LABEL_SMOOTHING = 0.1
_WARMUP_SHARE = 0.06
# Layers whose maps are finer than this, in pixels per cell, find edges and
# textures, which photos have in common. They stay as they are, which also saves
# a third of the time.
_FINEST_STRIDE = 8


def train_backbone(
    model: FACNN,
    train: ImageFolder,
    held_out: ImageFolder,
    checkpoint: Checkpoint,
    seed: int,
    save: Callable[[Scores], None],
    say: Callable[[str], None],
    verbose: int,
) -> None:
    """Train a model with its backbone, and save it whenever it is better.

    Args:
        model: A hybrid, which is already good.
        train: The photos to train on.
        held_out: The photos that say which round is the best.
        checkpoint: Where the training is saved after each round. If it holds
            one, this training continues it.
        seed: Integer, of the order and the parts of the photos.
        save: Function of the scores on the photos held out. It is called when
            no round before was better.
        say: Function that shows a line.
        verbose: Keras' `verbose`.
    """
    thaw(model)
    steps = max(math.ceil(len(train.paths) / _BATCH), _LEAST_STEPS_PER_ROUND)
    _compile(model, steps * _ROUNDS)
    variables = [*model.variables, *model.optimizer.variables]
    state = checkpoint.restore(variables)
    if state is None:
        first = _score(model, held_out, verbose)
        state = {"rounds": 0, "best": first.accuracy}
        checkpoint.save(variables, state)
    weights = class_weights(train.labels, model.num_classes)
    for number in range(state["rounds"], _ROUNDS):
        model.fit(
            RandomBatches(
                train, model.image_shape, _BATCH, steps, weights, seed, number
            ),
            epochs=number + 1,
            initial_epoch=number,
            shuffle=False,
            # Where no line can be replaced, Keras prints a line per round.
            verbose=verbose if shows_bars() else 2 * verbose,
        )
        scores = _score(model, held_out, verbose)
        say(
            f"Round {number + 1} of {_ROUNDS}: {scores.accuracy:.1%} of the "
            "photos held out are right"
        )
        state["rounds"] = number + 1
        if _is_better(scores, state["best"]):
            state["best"] = scores.accuracy
            save(scores)
        checkpoint.save(variables, state)


def _is_better(scores: Scores, best: float) -> bool:
    # Of equally good rounds the later, which has seen more.
    return scores.accuracy >= best


def thaw(model: FACNN) -> None:
    """Make a hybrid trainable, except for some layers of its backbone.

    The norms keep their statistics, because few photos give worse ones.
    """
    backbone: Any = model.backbone
    model.trainable = True
    height = backbone.input_shape[1]
    for layer in all_layers(backbone):
        if isinstance(layer, keras.Model):
            continue
        layer.trainable = not (
            isinstance(layer, keras.layers.BatchNormalization)
            or _is_fine(layer, height)
        )


def _is_fine(layer: keras.Layer, height: int | None) -> bool:
    """Return whether a layer's maps are finer than those to train."""
    shape: Any = getattr(getattr(layer, "output", None), "shape", ())
    if height is None or len(shape) != 4 or shape[1] is None:
        return False
    return shape[1] * _FINEST_STRIDE > height


def _compile(model: FACNN, steps: int) -> None:
    warmup = max(1, round(_WARMUP_SHARE * steps))
    optimizer = keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(
            0.0,
            steps - warmup,
            warmup_target=_LEARNING_RATE,
            warmup_steps=warmup,
        ),
        weight_decay=_WEIGHT_DECAY,
        clipnorm=1.0,
    )
    optimizer.exclude_from_weight_decay(
        var_names=["bias", "beta", "gamma", "log_scale"]
    )
    model.compile(
        optimizer,
        keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=_LABEL_SMOOTHING
        ),
    )
    optimizer.build(model.trainable_variables)


def _score(model: FACNN, photos: ImageFolder, verbose: int) -> Scores:
    found, _ = find_photos(model, photos, None, "crop")
    read = read_outputs(model, found, "raise", _BATCH, verbose)
    logits = np.concatenate([outputs for outputs, _ in read])
    return scores_of(logits, found.labels)
