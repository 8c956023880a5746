"""Targets that are partly what a trained classifier predicts: distillation."""

import hashlib
import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging
from keras import ops

import keras_facnn
from zoo.recipe import Teacher


def load(path: str, names: Sequence[str], channels: int) -> keras.Model:
    """Load a classifier to learn from.

    Args:
        path: `.keras` file of a model from images in 0..255 to logits, or a
            preset's name, folder or URL.
        names: Names of the classes of the training, which must be the
            teacher's, in the same order.
        channels: Channels of the images to train on.

    Returns:
        A `keras.Model`.
    """
    if path.endswith(".keras"):
        model = keras.saving.load_model(path, compile=False)
    else:
        model = keras_facnn.FACNN.from_preset(path)
    shapes = model.input_shape, model.output_shape
    last = model.layers[-1]
    if (
        len(shapes[0]) != 4
        or shapes[0][-1] != channels
        or shapes[1] != (None, len(names))
        or isinstance(last, keras.layers.Softmax)
        or getattr(last, "activation", None) is keras.activations.softmax
    ):
        raise ValueError(
            f"`--teacher {path}` must take images of {channels} channels and "
            f"give the logits of the data's {len(names)} classes. Received: a "
            f"model of shapes {shapes[0]} to {shapes[1]}, whose last layer is "
            f"{last}"
        )
    known = getattr(model, "class_names", None)
    if known is not None and list(known) != list(names):
        logging.warning(
            "The classes of the teacher are called %s, those of the data %s. "
            "They are assumed to be the same, in this order.",
            known,
            names,
        )
    return model


def record(teacher: Teacher, model: keras.Model) -> dict[str, Any]:
    """Return what tells a teacher from others, for the record of a run."""
    digest = hashlib.sha256()
    for values in model.get_weights():
        digest.update(np.ascontiguousarray(values).tobytes())
    return {
        "name": os.path.basename(os.path.normpath(teacher.model)),
        "weight": teacher.weight,
        "sha256_of_weights": digest.hexdigest(),
    }


def taught(
    stream: tf.data.Dataset, teacher: keras.Model, weight: float
) -> tf.data.Dataset:
    """Return batches whose targets are partly a teacher's probabilities.

    The teacher sees each image as the student does: cropped, flipped and mixed
    (Beyer et al., "A good teacher is patient and consistent", arXiv
    2106.05237). If a crop has lost the object, the target says so.

    Source: Hinton et al., "Distilling the Knowledge in a Neural Network",
    arXiv 1503.02531, at a temperature of 1.

    Args:
        stream: `tf.data.Dataset` of `(images, one-hot labels)`.
        teacher: Result of `load`. Images of another size than its own are
            resized bilinearly.
        weight: Number from 0 to 1, the teacher's share of the targets; the
            labels have the rest.

    Returns:
        A `tf.data.Dataset` of `(images, targets)`.
    """
    size = teacher.input_shape[1:3]
    spec, _ = stream.element_spec
    images = keras.Input(spec.shape[1:], dtype=spec.dtype.name)
    x = ops.cast(images, "float32")
    if None not in size and tuple(spec.shape[1:3]) != size:
        x = ops.image.resize(x, size)
    logits = ops.cast(teacher(x, training=False), "float32")
    says = keras.Model(images, ops.softmax(logits))

    def targets(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        return (1 - weight) * labels + weight * says.predict_on_batch(images)

    def batch(images: tf.Tensor, labels: tf.Tensor) -> tuple:
        y = tf.numpy_function(targets, [images, labels], labels.dtype)
        return images, tf.ensure_shape(y, labels.shape)

    # Ahead of the student, while it trains.
    return stream.map(batch).prefetch(2)
