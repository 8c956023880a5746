"""Trained classifiers that become FA-CNNs."""

import dataclasses
import math
import warnings
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers
from keras import ops

from keras_facnn._checks.messages import callers_stacklevel
from keras_facnn._checks.messages import short_repr
from keras_facnn._checks.models import classifier_shapes
from keras_facnn._graph.nodes import is_graph_model
from keras_facnn.architecture.dilation import dilated
from keras_facnn.architecture.trained_heads import read_trained_head
from keras_facnn.layers import GlobalAvgPool3DHead


@dataclasses.dataclass(frozen=True)
class Classifier:
    """What an FA-CNN takes over from a trained classifier.

    Attributes:
        features: Model from images to the last maps, `(B, h, w, K)`.
        kernel: The weights of the dense layer, `(K, C)`.
        bias: Its bias, `(C,)`.
        dtype: The dtype policy of the FA-CNN; None means the global one.
    """

    features: keras.Model
    kernel: np.ndarray
    bias: np.ndarray
    dtype: Any

    @property
    def num_classes(self) -> int:
        """C, the number of classes."""
        return self.bias.size

    def convert(self, cls: Any, **options: Any) -> Any:
        """Return the FA-CNN that this classifier becomes.

        With several maps per class, all of them start as the same map.

        Args:
            cls: The class `FACNN`.
            **options: Its arguments, except those that the classifier
                determines.
        """
        model = cls(
            **{
                "num_classes": self.num_classes,
                "depths": (0,),
                "maps_per_class": (1,),
                "dtype": self.dtype,
                **options,
                "backbone": self.features,
                "projection": "excess",
            }
        )
        maps = model.maps_per_class[0]
        kernel = self.kernel.repeat(maps, axis=1)
        model.get_layer("project").set_weights(
            [kernel[None, None], self.bias.repeat(maps)]
        )
        # The scale is 1, so the maps are in the units of the logits.
        model.head.log_scale.assign(0.0)
        return model


def check_options(options: Mapping[str, Any]) -> None:
    """Raise if arguments of `FACNN` are not free in a conversion."""
    for name in ("backbone", "num_classes", "projection"):
        if name in options:
            raise ValueError(
                f"`{name}` must not be given, because the classifier "
                f"determines it. Received: {name}={short_repr(options[name])}"
            )


def read_classifier(classifier: Any, stride: int | None) -> Classifier:
    """Return what an FA-CNN takes over from a classifier, or raise.

    Args:
        classifier: The argument of `FACNN.from_classifier`.
        stride: As there.
    """
    classifier_shapes(classifier, "classifier")
    head = read_trained_head(classifier, "classifier")
    if isinstance(head.layer, GlobalAvgPool3DHead):
        raise ValueError(
            "`classifier` must be another model than a FACNN, which explains "
            f"itself already. Received: classifier={classifier}"
        )
    kernel, bias = head.weights()
    num_outputs = bias.size
    if num_outputs == 1 and head.activation == "softmax":
        raise ValueError(
            "`classifier` must not have a softmax of one output, which is "
            f"always 1. Received: classifier={classifier}"
        )
    if num_outputs == 1:
        # `[0, z]` has the softmax `[1 - sigmoid(z), sigmoid(z)]`.
        kernel = np.pad(kernel, ((0, 0), (1, 0)))
        bias = np.pad(bias, (1, 0))
    elif head.activation == "sigmoid":
        raise ValueError(
            "`classifier` must not have several sigmoid outputs: they share "
            "nothing that could be taken away, so their maps would be "
            "negative. Convert one output at a time: build a classifier that "
            'ends in `Dense(1, activation="sigmoid")`, with the kernel column '
            "and the bias of this output. "
            f"Received: classifier={classifier}, with {num_outputs} sigmoids"
        )
    features = head.features
    _warn_without_preprocessing(features)
    if stride is not None:
        features = dilated(features, stride)
    return Classifier(features, kernel, bias, head.layer.dtype_policy)


def _warn_without_preprocessing(features: keras.Model) -> None:
    """Warn if a model does not rescale the pixels that it receives."""
    if _first_use_of_pixels(features) != "weights":
        return
    warnings.warn(
        "`classifier` has no layer that rescales pixels before its first "
        "weights. The FA-CNN passes it pixels in 0..255. If it was trained on "
        "other values, such as pixels / 255, its answers are wrong. Then put "
        "its preprocessing before it: `keras.Sequential([keras.Input(shape), "
        "keras.layers.Rescaling(1 / 255), classifier])`.",
        stacklevel=callers_stacklevel(),
    )


def _is_norm_of_bytes(layer: Any) -> bool:
    """Return whether a layer has statistics of pixels in 0..255.

    Such a layer does not adapt to other pixels. One that saw pixels / 255, or
    no pixels at all, has a mean and a deviation of about 1 or less.
    """
    if isinstance(layer, layers.Normalization):
        mean, variance = layer.mean, layer.variance
    elif isinstance(layer, layers.BatchNormalization):
        mean, variance = layer.moving_mean, layer.moving_variance
    else:
        return False
    sizes = np.abs(ops.convert_to_numpy(mean)), ops.convert_to_numpy(variance)
    return max(float(size.max()) for size in sizes) > 2


def _first_use_of_pixels(model: keras.Model) -> str | None:
    """Return what a model does first with its inputs.

    Returns:
        `"rescaling"` or `"weights"`, or None if it has neither.
    """
    for operation in model.operations:
        if is_graph_model(operation):
            use = _first_use_of_pixels(operation)
            if use is not None:
                return use
        elif isinstance(
            operation, (layers.Rescaling, layers.LayerNormalization)
        ) or _is_norm_of_bytes(operation):
            return "rescaling"
        elif not isinstance(operation, keras.Layer):
            # An operation such as `images / 255`.
            return "rescaling"
        elif operation.weights and any(
            math.prod(w.shape) > 1 for w in operation.weights
        ):
            return "weights"
    return None
