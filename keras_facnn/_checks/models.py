"""Validate models, and read what they take and give."""

from collections.abc import Iterator

import numpy as np
from keras import tree

from keras_facnn._checks.messages import short_repr

# Outputs that lie in 0..1 and sum to 1 as nearly as this are probabilities.
_SUM_TOLERANCE = 0.01


def all_layers(model) -> Iterator:
    """The model and every layer in it, however deep it is nested."""
    return model._flatten_layers()


def classifier_shapes(model):
    """A classifier's image shape `(H, W, channels)` and number of classes.

    Raises a ValueError where `model` is no functional Keras model from images
    to one score a class, or convolves images with channels first.
    """
    try:
        (inputs,), (outputs,) = model.inputs, tree.flatten(model.outputs)
        (_, *image_shape), (_, num_classes) = inputs.shape, outputs.shape
        _, _, _ = image_shape
    except (AttributeError, TypeError, ValueError):
        raise ValueError(
            "`model` must be a functional Keras model from images (B, H, W, "
            "channels) to (B, classes), with one input and one output. "
            f"Received: model={short_repr(model)}"
        ) from None
    check_channels_last("model", model)
    return tuple(image_shape), num_classes


def check_channels_last(name, model):
    """Raises where a model takes images with the channels first."""
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


def check_fa_model(model):
    """Raises where `model` is no FA-CNN, whose maps belong to classes."""
    if isinstance(model, type) or not hasattr(model, "predict_with_maps"):
        raise ValueError(
            "`model` must be an FA-CNN, such as `FACNN`, since only its maps "
            "belong to classes; `attribution.grad_cam` explains any Keras "
            f"classifier. Received: model={short_repr(model)}. (A clone by "
            "`clone_model` is no FA-CNN; "
            "`FACNN.from_config(model.get_config())` is.)"
        )
    return model


def check_finite_outputs(outputs):
    """Raises where a model's outputs are not finite."""
    if not np.isfinite(outputs).all():
        raise ValueError(
            "The model's outputs must be finite; are its weights? Received: "
            f"NaN or infinity for {int((~np.isfinite(outputs)).sum())} of "
            f"{outputs.size} scores"
        )


def look_like_probabilities(outputs):
    """Whether a model's outputs `(B, C)` look like a softmax' probabilities."""
    return bool(
        outputs.shape[-1] > 1
        and (outputs >= 0).all()
        and (outputs <= 1 + _SUM_TOLERANCE).all()
        and (np.abs(outputs.sum(axis=-1) - 1) <= _SUM_TOLERANCE).all()
    )


def check_feature_map_shape(layer, input_shape, channels=None):
    """Returns `(h, w, channels)` of a channels-last feature map, checked."""
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
    return tuple(input_shape[1:])
