import math
from typing import Any

import keras
from keras import ops

from keras_facnn._checks.arguments import check_bool
from keras_facnn._checks.models import check_feature_map_shape
from keras_facnn._checks.numbers import check_float
from keras_facnn._checks.numbers import check_int
from keras_facnn.layers.class_mean import class_mean
from keras_facnn.types import Maps

_INITIAL_THRESHOLD = 0.1


@keras.saving.register_keras_serializable(package="keras_facnn")
class GlobalAvgPool3DHead(keras.layers.Layer):
    """Compute each class' logit as the scaled mean of its own maps.

    The pre-logit of class `c` is the mean of its `maps_per_class` maps over
    height, width and maps. The logit is `scale` times the pre-logit. The only
    weight is `log_scale`, so `scale = exp(log_scale)` is always positive.
    There is no bias and no Dense layer. Therefore the class maps *are* the
    logits, spread over the image (completeness). Averages and scale are
    computed in float32, also under mixed precision.

    Without a threshold, no logit is negative. With `threshold=True`, the head
    also learns a positive threshold t, and the logit is
    `scale * (pre-logit - t)`. Then the class maps give the logits up to a
    constant, `offset = scale * t`, which is the same for all classes and
    images.

    Source: FA-CNN, arXiv 2603.25798, Figure 3 (3D global average pooling) and
    Theorem 1.

    Args:
        num_classes: Positive integer, the number of classes C.
        maps_per_class: Positive integer, the number of maps R of each class.
        initial_scale: Positive float, `scale` before training.
        threshold: Whether to learn a threshold. Use it for several labels per
            image. It does not change a softmax of the logits.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Input shape:
        `(batch, height, width, num_classes * maps_per_class)`, class-major.

    Output shape:
        `(batch, num_classes)`, float32.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> import keras_facnn
    >>> maps = np.array([1.0, 3.0, 0.0, 0.0], "float32").reshape((1, 1, 1, 4))
    >>> head = keras_facnn.layers.GlobalAvgPool3DHead(
    ...     num_classes=2, maps_per_class=2, initial_scale=1.0
    ... )
    >>> keras.ops.convert_to_numpy(head(maps)).tolist()
    [[2.0, 0.0]]
    """

    def __init__(
        self,
        num_classes: int,
        maps_per_class: int,
        initial_scale: float = 10.0,
        threshold: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.num_classes = check_int("num_classes", num_classes)
        self.maps_per_class = check_int("maps_per_class", maps_per_class)
        self.initial_scale = check_float(
            "initial_scale", initial_scale, above=0
        )
        self.threshold = check_bool("threshold", threshold)

    def build(self, input_shape: Any) -> None:
        self.compute_output_shape(input_shape)
        self.log_scale = self.add_weight(
            name="log_scale",
            shape=(),
            dtype="float32",
            initializer=keras.initializers.Constant(
                math.log(self.initial_scale)
            ),
            autocast=False,
        )
        if self.threshold:
            self.log_threshold = self.add_weight(
                name="log_threshold",
                shape=(),
                dtype="float32",
                initializer=keras.initializers.Constant(
                    math.log(_INITIAL_THRESHOLD)
                ),
                autocast=False,
            )

    @property
    def scale(self) -> Any:
        """Positive factor from pre-logits to logits, a float32 scalar."""
        return ops.exp(ops.convert_to_tensor(self.log_scale))

    @property
    def offset(self) -> Any:
        """Amount that the threshold subtracts from every logit.

        It is a float32 scalar, which is 0 without a threshold.
        """
        if not self.threshold:
            return ops.zeros((), "float32")
        return self.scale * ops.exp(ops.convert_to_tensor(self.log_threshold))

    def class_maps(self, inputs: Maps) -> Any:
        """Average each class' own maps.

        Args:
            inputs: Class-major maps, `(batch, h, w, num_classes * R)`. R may
                differ from `maps_per_class`, so the maps of any FA layer fit.

        Returns:
            A float32 tensor `(batch, h, w, num_classes)`.
        """
        return class_mean(inputs, self.num_classes)

    def pre_logits(self, inputs: Maps) -> Any:
        """Average each class' own maps, over the whole image too.

        Args:
            inputs: Class-major maps, `(batch, h, w, num_classes * R)`. R may
                differ from `maps_per_class`, so the maps of any FA layer fit.

        Returns:
            A float32 tensor `(batch, num_classes)`.
        """
        # Average over the image first: then only a small tensor is reshaped.
        x = ops.mean(ops.cast(inputs, "float32"), axis=(1, 2))
        return ops.mean(
            ops.reshape(
                x, (-1, self.num_classes, x.shape[-1] // self.num_classes)
            ),
            axis=-1,
        )

    def logits(self, inputs: Maps) -> Any:
        """Return `scale * pre_logits(inputs) - offset`.

        A Keras tensor as input builds a functional graph. There this method
        calls the layer itself, so the graph follows later values of `scale`.
        """
        if isinstance(inputs, keras.KerasTensor):
            own = self.num_classes * self.maps_per_class
            if inputs.shape[-1] != own:
                # Repeating a class' mean does not change its mean, so the
                # maps of any FA layer fit.
                inputs = ops.repeat(
                    self.class_maps(inputs), self.maps_per_class, axis=-1
                )
            return self(inputs)
        logits = self.scale * self.pre_logits(inputs)
        return logits - self.offset if self.threshold else logits

    def call(self, inputs: Any) -> Any:
        return self.logits(inputs)

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        return keras.KerasTensor(
            self.compute_output_shape(inputs.shape), dtype="float32"
        )

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        check_feature_map_shape(
            self, input_shape, self.num_classes * self.maps_per_class
        )
        return (input_shape[0], self.num_classes)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "maps_per_class": self.maps_per_class,
            "initial_scale": self.initial_scale,
            "threshold": self.threshold,
        }
