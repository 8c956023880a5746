from typing import Any

import keras
from keras import ops

from keras_facnn._checks.models import check_class_major_shape
from keras_facnn._checks.numbers import check_int


@keras.saving.register_keras_serializable(package="keras_facnn")
class SubtractLeastClass(keras.layers.Layer):
    """Subtract, at each location, the least of all classes from each class.

    The result is not negative. Every class loses the same amount, so softmax
    of the maps' means stays the same, and so do the centered maps. This is how
    the class activation maps (CAM) of a trained classifier become the `x_0` of
    an FA-CNN. Map `r` of a class is compared with map `r` of all other classes.

    Source: for CAM, Zhou et al., "Learning Deep Features for Discriminative
    Localization", arXiv 1512.04150.

    Args:
        num_classes: Positive integer, the number of classes C.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Input shape:
        `(batch, height, width, num_classes * R)`, class-major, for any R.

    Output shape:
        The same.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> maps = np.array([-1.0, 2.0, 5.0], "float32").reshape((1, 1, 1, 3))
    >>> out = keras_facnn.layers.SubtractLeastClass(3)(maps)
    >>> np.array(out).ravel().tolist()
    [0.0, 3.0, 6.0]
    """

    def __init__(self, num_classes: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.num_classes = check_int("num_classes", num_classes)

    def build(self, input_shape: Any) -> None:
        self.compute_output_shape(input_shape)

    def call(self, inputs: Any) -> Any:
        _, h, w, channels = ops.shape(inputs)
        maps = channels // self.num_classes
        x = ops.reshape(inputs, (-1, h, w, self.num_classes, maps))
        x = x - ops.min(x, axis=3, keepdims=True)
        return ops.reshape(x, (-1, h, w, channels))

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        return keras.KerasTensor(
            self.compute_output_shape(inputs.shape), dtype=self.compute_dtype
        )

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        check_class_major_shape(self, input_shape, self.num_classes)
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_classes": self.num_classes}
