from typing import Any

import keras
from keras import ops

from keras_facnn._checks.models import check_feature_map_shape
from keras_facnn._checks.numbers import check_float
from keras_facnn._checks.numbers import check_int


@keras.saving.register_keras_serializable(package="keras_facnn")
class PixelStem(keras.layers.Layer):
    """Copy pixels into class-major channels.

    First, space-to-depth moves each block of `space_to_depth` x
    `space_to_depth` pixels into the channels of one location. These channels
    are then repeated until there are `num_classes * maps_per_class`: output
    channel `k` is channel `k % (space_to_depth ** 2 * input_channels)` of
    them. The layer has no weights, and its output is still the image, so
    layer 0 of an FA-CNN *is* the image.

    Args:
        num_classes: Positive integer, the number of classes C.
        maps_per_class: Positive integer, the number of maps R of each class.
            Class `c` owns channels `c * R` to `(c + 1) * R - 1`.
        space_to_depth: Positive integer, the side of the pixel blocks. Height
            and width must be multiples of it.
        scale: Positive float that multiplies the pixels, such as 1 / 255.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        `(batch, height / space_to_depth, width / space_to_depth,
        num_classes * maps_per_class)`.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> image = np.arange(16, dtype="float32").reshape((1, 4, 4, 1))
    >>> stem = keras_facnn.layers.PixelStem(
    ...     num_classes=2, maps_per_class=4, space_to_depth=2
    ... )
    >>> np.array(stem(image))[0, 0, 0].tolist()
    [0.0, 1.0, 4.0, 5.0, 0.0, 1.0, 4.0, 5.0]
    """

    def __init__(
        self,
        num_classes: int,
        maps_per_class: int,
        space_to_depth: int = 1,
        scale: float = 1.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.num_classes = check_int("num_classes", num_classes)
        self.maps_per_class = check_int("maps_per_class", maps_per_class)
        self.space_to_depth = check_int("space_to_depth", space_to_depth)
        self.scale = check_float("scale", scale, above=0)

    def build(self, input_shape: Any) -> None:
        self.compute_output_shape(input_shape)

    def call(self, inputs: Any) -> Any:
        s = self.space_to_depth
        x = ops.cast(inputs, self.compute_dtype) * self.scale
        if s > 1:
            self.compute_output_shape(x.shape)
            _, h, w, c = ops.shape(x)
            x = ops.reshape(x, (-1, h // s, s, w // s, s, c))
            x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
            x = ops.reshape(x, (-1, h // s, w // s, s * s * c))
        channels = self.num_classes * self.maps_per_class
        # Round up with positive numbers only: tracers round towards zero.
        copies = (channels + x.shape[-1] - 1) // x.shape[-1]
        return ops.tile(x, (1, 1, 1, copies))[..., :channels]

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        h, w, _ = check_feature_map_shape(self, input_shape)
        s = self.space_to_depth
        for name, size in (("height", h), ("width", w)):
            if size is not None and size % s:
                raise ValueError(
                    f"The image {name} must be a multiple of "
                    f"space_to_depth={s}. "
                    f"Received: input_shape={tuple(input_shape)}"
                )
        return (
            input_shape[0],
            None if h is None else h // s,
            None if w is None else w // s,
            self.num_classes * self.maps_per_class,
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "maps_per_class": self.maps_per_class,
            "space_to_depth": self.space_to_depth,
            "scale": self.scale,
        }
