from typing import Any

import keras
from keras import ops

from keras_facnn._checks.models import check_feature_map_shape


@keras.saving.register_keras_serializable(package="keras_facnn")
class EdgePadding(keras.layers.Layer):
    """Pad every map by one location with copies of its outermost values.

    A 3x3 convolution of the padded map returns a map of the original size, as
    it does with zero padding. Unlike zero padding, the border looks like the
    inside of a map. The layer keeps class-major order, and non-negative maps
    stay non-negative.

    Args:
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        `(batch, height + 2, width + 2, channels)`.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> maps = np.array([[1.0, 2.0]], "float32").reshape((1, 1, 2, 1))
    >>> out = keras_facnn.layers.EdgePadding()(maps)
    >>> np.array(out)[0, ..., 0].tolist()
    [[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]
    """

    def build(self, input_shape: Any) -> None:
        self.compute_output_shape(input_shape)

    def call(self, inputs: Any) -> Any:
        # Avoid `ops.pad`: TensorFlow and PyTorch support different modes.
        x = ops.concatenate([inputs[:, :1], inputs, inputs[:, -1:]], axis=1)
        return ops.concatenate([x[:, :, :1], x, x[:, :, -1:]], axis=2)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        h, w, channels = check_feature_map_shape(self, input_shape)
        h, w = (None if n is None else n + 2 for n in (h, w))
        return (input_shape[0], h, w, channels)

    def get_config(self) -> dict[str, Any]:
        # Keras can't make a config of a dtype policy by itself.
        return super().get_config()
