from typing import Any

import keras
from keras import ops

from keras_facnn._checks.models import check_feature_map_shape
from keras_facnn._checks.numbers import check_int


@keras.saving.register_keras_serializable(package="keras_facnn")
class ClassMajorRepeat(keras.layers.Layer):
    """Repeat every map `factor` times, with the copies next to each other.

    In class-major order, channel `c * R + r` is map `r` of class `c`. This
    layer widens the block of every class from R to `factor * R` maps and keeps
    the order of the classes. It has no weights and does not change the mean of
    a class.

    Args:
        factor: Positive integer, the number of copies of each map.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        `(batch, height, width, factor * channels)`.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> maps = np.array([10.0, 20.0], "float32").reshape((1, 1, 1, 2))
    >>> out = keras_facnn.layers.ClassMajorRepeat(2)(maps)
    >>> np.array(out).ravel().tolist()
    [10.0, 10.0, 20.0, 20.0]
    """

    def __init__(self, factor: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.factor = check_int("factor", factor)

    def build(self, input_shape: Any) -> None:
        self.compute_output_shape(input_shape)

    def call(self, inputs: Any) -> Any:
        return ops.repeat(inputs, self.factor, axis=-1)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        h, w, channels = check_feature_map_shape(self, input_shape)
        return (input_shape[0], h, w, channels * self.factor)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor}
