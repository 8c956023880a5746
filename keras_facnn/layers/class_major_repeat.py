import keras
from keras import ops

from keras_facnn._checks.models import check_feature_map_shape
from keras_facnn._checks.numbers import check_int


@keras.saving.register_keras_serializable(package="keras_facnn")
class ClassMajorRepeat(keras.layers.Layer):
    """Repeats every map `factor` times, next to itself.

    In class-major order (channel `c * R + r` is map `r` of class `c`) this
    widens every class block from R to `factor * R` maps and keeps each block
    in its place. It has no weights, and class means do not change.

    Args:
        factor: Positive integer, how many copies of each map to make.
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

    def __init__(self, factor: int, **kwargs):
        super().__init__(**kwargs)
        self.factor = check_int("factor", factor)

    def build(self, input_shape):
        self.compute_output_shape(input_shape)

    def call(self, inputs):
        return ops.repeat(inputs, self.factor, axis=-1)

    def compute_output_shape(self, input_shape):
        h, w, channels = check_feature_map_shape(self, input_shape)
        return (input_shape[0], h, w, channels * self.factor)

    def get_config(self) -> dict:
        return {**super().get_config(), "factor": self.factor}
