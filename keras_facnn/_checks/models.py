"""Validate models, and read the shapes of their inputs and outputs."""

import os
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import tree

from keras_facnn._checks.images import check_images
from keras_facnn._checks.images import warn_about_range
from keras_facnn._checks.messages import short_repr

# Outputs in 0..1 whose sum differs from 1 by at most this are probabilities.
_SUM_TOLERANCE = 0.01


def all_layers(model: keras.Model) -> Iterator[keras.Layer]:
    """Yield the model and every layer in it, however deep it is nested."""
    return model._flatten_layers()


def classifier_shapes(
    model: Any, name: str = "model"
) -> tuple[tuple[int | None, int | None, int], int]:
    """Return a classifier's image shape `(H, W, channels)` and its classes.

    Args:
        model: The model.
        name: The name of the argument, for messages.

    Raises:
        ValueError: If it is not a functional Keras model from images to
            one score per class, or if it takes images with channels first.
    """
    try:
        (inputs,), (outputs,) = model.inputs, tree.flatten(model.outputs)
        (_, *image_shape), (_, num_classes) = inputs.shape, outputs.shape
        _, _, _ = image_shape
    except (AttributeError, TypeError, ValueError):
        raise ValueError(
            f"`{name}` must be a functional Keras model from images (B, H, W, "
            "channels) to (B, classes), with one input and one output. "
            f"Received: {name}={short_repr(model)}{_what_it_is(model)}"
        ) from None
    check_channels_last(name, model)
    height, width, channels = image_shape
    return (height, width, channels), num_classes


def _what_it_is(model: Any) -> str:
    """Return the end of a sentence on what is no classifier."""
    if isinstance(model, (str, os.PathLike)):
        return ", a path: read the model with `keras.models.load_model`"
    try:
        inputs, outputs = (
            [tuple(x.shape) for x in tree.flatten(tensors)]
            for tensors in (model.inputs, model.outputs)
        )
    except (AttributeError, TypeError, ValueError):
        # It has no graph, such as a `Sequential` that is not built.
        return ""
    text = f", from {inputs} to {outputs}"
    if len(outputs) == 1 and len(outputs[0]) == 4:
        text += (
            ". Add `GlobalAveragePooling2D` and `Dense`, and train them, or "
            "pass it to `FACNN(backbone=...)`"
        )
    return text


def check_channels_last(name: str, model: keras.Model) -> None:
    """Raise if a model takes images with the channels first."""
    _, *image_shape = model.inputs[0].shape
    few = [n is not None and n <= 4 for n in image_shape]
    if not few[0] or few[2]:
        return
    for layer in all_layers(model):
        if getattr(layer, "data_format", None) == "channels_first":
            raise ValueError(
                f"`{name}` must take images with the channels last, (B, H, W, "
                f"channels). Received: a model of images {image_shape} whose "
                f"layer {layer.name!r} has channels first. Put a "
                "`keras.layers.Permute((3, 1, 2))` before it."
            )


def is_fa_model(model: Any) -> bool:
    """Return whether a model is an FA-CNN, whose maps belong to classes."""
    return not isinstance(model, type) and hasattr(model, "predict_with_maps")


def check_images_for(model: keras.Model, images: Any) -> np.ndarray:
    """Return `images` as an array that `model` can read, or raise.

    The model decides about the shape, the channels and the smallest size. An
    FA-CNN reads 0..255, so a warning is given for values in another range.

    Args:
        model: A model that `classifier_shapes` accepts.
        images: Array-like `(B, H, W, channels)`.
    """
    image_shape, _ = classifier_shapes(model)
    array = check_images(images, image_shape)
    multiple, least = getattr(model, "size_rules", (1, 1))
    height, width = array.shape[1:3]
    if height < least or width < least:
        raise ValueError(
            f"`images` must be at least {least}x{least} pixels, or nothing is "
            f"left after the pooling. Received: images of shape {array.shape}"
        )
    if height % multiple or width % multiple:
        raise ValueError(
            "Height and width of `images` must be multiples of the model's "
            f"stride={multiple}. Received: images of shape "
            f"{array.shape}"
        )
    if hasattr(model, "size_rules"):
        warn_about_range(array)
    return array


def check_fa_model(model: Any) -> Any:
    """Return `model` if it is an FA-CNN, whose maps belong to classes."""
    if not is_fa_model(model):
        raise ValueError(
            "`model` must be an FA-CNN, such as `FACNN`, since only its maps "
            "belong to classes; `attribution.grad_cam` explains any Keras "
            f"classifier. Received: model={short_repr(model)}. (A clone by "
            "`clone_model` is not an FA-CNN; "
            "`FACNN.from_config(model.get_config())` is.)"
        )
    return model


def check_finite_outputs(outputs: np.ndarray) -> None:
    """Raise if a model's outputs are not finite."""
    if not np.isfinite(outputs).all():
        raise ValueError(
            "The model's outputs must be finite; are its weights? Received: "
            f"NaN or infinity for {int((~np.isfinite(outputs)).sum())} of "
            f"{outputs.size} scores"
        )


def look_like_probabilities(outputs: np.ndarray) -> bool:
    """Return whether outputs `(B, C)` look like those of a softmax."""
    return bool(
        outputs.shape[-1] > 1
        and (outputs >= 0).all()
        and (outputs <= 1 + _SUM_TOLERANCE).all()
        and (np.abs(outputs.sum(axis=-1) - 1) <= _SUM_TOLERANCE).all()
    )


def check_feature_map_shape(
    layer: keras.Layer,
    input_shape: Sequence[int | None],
    channels: int | None = None,
) -> tuple[int | None, int | None, int]:
    """Return `(h, w, channels)` of a channels-last feature map, or raise."""
    expected = channels if channels is not None else "channels"
    if (
        len(input_shape) != 4
        or input_shape[-1] is None
        or (channels is not None and input_shape[-1] != channels)
    ):
        raise ValueError(
            f"Layer `{layer.name}` expects inputs of shape "
            f"(batch, height, width, {expected}). "
            f"Received: input_shape={tuple(input_shape)}"
        )
    _, height, width, _ = input_shape
    return height, width, input_shape[-1]


def check_class_major_shape(
    layer: keras.Layer, input_shape: Sequence[int | None], num_classes: int
) -> tuple[int | None, int | None, int]:
    """Return `(h, w, channels)` of maps that classes share equally, or raise.

    The number of maps per class may be any.
    """
    height, width, channels = check_feature_map_shape(layer, input_shape)
    if channels % num_classes:
        raise ValueError(
            f"Layer `{layer.name}` expects a multiple of "
            f"num_classes={num_classes} channels. "
            f"Received: input_shape={tuple(input_shape)}"
        )
    return height, width, channels
