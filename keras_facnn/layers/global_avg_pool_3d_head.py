import math

import keras
from keras import ops

from keras_facnn.checks import check_float
from keras_facnn.checks import check_int
from keras_facnn.checks import feature_map_shape
from keras_facnn.layers.class_mean import class_mean


@keras.saving.register_keras_serializable(package="keras_facnn")
class GlobalAvgPool3DHead(keras.layers.Layer):
    """Class logits as the scaled mean of the maps that each class owns.

    The pre-logit of class `c` is the mean of its `maps_per_class` maps over
    height, width and maps. The logit is `scale` times that. The one weight is
    `log_scale`, so `scale = exp(log_scale)` is always positive; there is no
    bias and no Dense layer, and the class maps *are* the logits, spread over
    the image (completeness). Averages and scale are computed in float32, also
    under mixed precision.

    Source: FA-CNN, arXiv 2603.25798, Figure 3 (3D global average pooling) and
    Theorem 1.

    Args:
        num_classes: Positive integer, the number of classes C.
        maps_per_class: Positive integer, the number of maps R of each class.
        initial_scale: Positive float, `scale` before training.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Input shape:
        `(batch, height, width, num_classes * maps_per_class)`, class-major.

    Output shape:
        `(batch, num_classes)`, float32.

    Example:

    >>> maps = np.array([1.0, 3.0, 0.0, 0.0], "float32").reshape((1, 1, 1, 4))
    >>> head = keras_facnn.layers.GlobalAvgPool3DHead(
    ...     num_classes=2, maps_per_class=2, initial_scale=1.0
    ... )
    >>> keras.ops.convert_to_numpy(head(maps)).tolist()
    [[2.0, 0.0]]
    """

    def __init__(
        self, num_classes, maps_per_class, initial_scale=10.0, **kwargs
    ):
        super().__init__(**kwargs)
        self.num_classes = check_int("num_classes", num_classes)
        self.maps_per_class = check_int("maps_per_class", maps_per_class)
        self.initial_scale = check_float(
            "initial_scale", initial_scale, above=0
        )

    def build(self, input_shape):
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

    @property
    def scale(self):
        """The positive factor from pre-logits to logits, a float32 scalar."""
        return ops.exp(ops.convert_to_tensor(self.log_scale))

    def class_maps(self, inputs):
        """Averages each class' own maps.

        Args:
            inputs: Class-major maps, `(batch, h, w, num_classes * R)`. R may
                differ from `maps_per_class`, so that maps of any depth can be
                read.

        Returns:
            A float32 tensor `(batch, h, w, num_classes)`.
        """
        return class_mean(inputs, self.num_classes)

    def pre_logits(self, inputs):
        """Averages each class' own maps over the image as well.

        Args:
            inputs: Class-major maps, `(batch, h, w, num_classes * R)`. R may
                differ from `maps_per_class`, so that maps of any depth can be
                read.

        Returns:
            A float32 tensor `(batch, num_classes)`.
        """
        # Averaging over the image first leaves little to reshape.
        x = ops.mean(ops.cast(inputs, "float32"), axis=(1, 2))
        return ops.mean(
            ops.reshape(
                x, (-1, self.num_classes, x.shape[-1] // self.num_classes)
            ),
            axis=-1,
        )

    def logits(self, inputs):
        """As `pre_logits`, times `scale`."""
        return self.scale * self.pre_logits(inputs)

    def call(self, inputs):
        return self.logits(inputs)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(
            self.compute_output_shape(inputs.shape), dtype="float32"
        )

    def compute_output_shape(self, input_shape):
        feature_map_shape(
            self, input_shape, self.num_classes * self.maps_per_class
        )
        return (input_shape[0], self.num_classes)

    def get_config(self):
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "maps_per_class": self.maps_per_class,
            "initial_scale": self.initial_scale,
        }
