from typing import Any

import keras
from keras import ops

from keras_facnn._checks.models import check_class_major_shape
from keras_facnn._checks.numbers import check_int


def class_mean(inputs: Any, num_classes: int) -> Any:
    """Return the mean of each class' own maps in float32.

    Args:
        inputs: Class-major maps `(batch, h, w, num_classes * R)`, for any R.
        num_classes: The number of classes C.

    Returns:
        A float32 tensor `(batch, h, w, num_classes)`.
    """
    x = ops.cast(inputs, "float32")
    _, h, w, channels = ops.shape(x)
    return ops.mean(
        ops.reshape(x, (-1, h, w, num_classes, channels // num_classes)),
        axis=-1,
    )


@keras.saving.register_keras_serializable(package="keras_facnn")
class ClassMean(keras.layers.Layer):
    """Compute class maps: for each class, the mean of its own maps.

    The input is class-major: channel `c * R + r` is map `r` of class `c`. As
    a layer, it can be part of a graph that is saved and exported. It has no
    weights and computes in float32, also under mixed
    precision.

    Source: FA-CNN, arXiv 2603.25798, Theorem 1.

    Args:
        num_classes: Positive integer, the number of classes C.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Input shape:
        `(batch, height, width, num_classes * R)`, for any R.

    Output shape:
        `(batch, height, width, num_classes)`, float32.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> maps = np.array([1.0, 3.0, 0.0, 4.0], "float32").reshape((1, 1, 1, 4))
    >>> out = keras_facnn.layers.ClassMean(2)(maps)
    >>> np.array(out).ravel().tolist()
    [2.0, 2.0]
    """

    def __init__(self, num_classes: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.num_classes = check_int("num_classes", num_classes)

    def build(self, input_shape: Any) -> None:
        self.compute_output_shape(input_shape)

    def call(self, inputs: Any) -> Any:
        return class_mean(inputs, self.num_classes)

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        return keras.KerasTensor(
            self.compute_output_shape(inputs.shape), dtype="float32"
        )

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        h, w, _ = check_class_major_shape(self, input_shape, self.num_classes)
        return (input_shape[0], h, w, self.num_classes)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_classes": self.num_classes}
