from typing import Any

import keras
from keras import ops

from keras_facnn._checks.numbers import check_int


@keras.saving.register_keras_serializable(package="keras_facnn")
class ClasswiseConv2D(keras.layers.Conv2D):
    """A convolution in which each class sees its own maps alone.

    Input and output are class-major: channel `c * R + r` is map `r` of class
    `c`. It is `Conv2D` with one group a class, so the weights of a dense
    convolution divided by C, and no map of class `c` depends on another
    class' maps.

    Args:
        num_classes: Positive integer, the number of classes C.
        filters: Positive integer, all output channels; a multiple of C.
        kernel_size: Integer or tuple of 2 integers.
        **kwargs: Further arguments of `keras.layers.Conv2D`, but for `groups`.

    Input shape:
        `(batch, height, width, channels)`, channels a multiple of C.

    Output shape:
        `(batch, new_height, new_width, filters)`.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> layer = keras_facnn.layers.ClasswiseConv2D(2, filters=6, kernel_size=3)
    >>> layer(np.ones((1, 8, 8, 4), "float32")).shape == (1, 6, 6, 6)
    True
    >>> layer.kernel.shape == (3, 3, 2, 6)
    True
    """

    def __init__(
        self,
        num_classes: int,
        filters: int,
        kernel_size: int | tuple[int, int],
        **kwargs,
    ):
        self.num_classes = check_int("num_classes", num_classes)
        if check_int("filters", filters) % num_classes:
            raise ValueError(
                f"`filters` must be a multiple of num_classes={num_classes}. "
                f"Received: filters={filters}"
            )
        kwargs.pop("groups", None)
        super().__init__(filters, kernel_size, groups=num_classes, **kwargs)

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        # On CPU, TensorFlow and JAX take a group at a time, at many times the
        # cost of one dense convolution whose other entries are 0.
        if keras.backend.backend() != "torch":
            kernel = self.dense_kernel(kernel, self.num_classes)
        return super().convolution_op(inputs, kernel)

    def get_config(self) -> dict:
        return {**super().get_config(), "num_classes": self.num_classes}

    @staticmethod
    def dense_kernel(kernel: Any, num_classes: int) -> Any:
        """The kernel of the same convolution as a dense one.

        Args:
            kernel: Tensor `(height, width, maps, filters)`, class-major.
            num_classes: Positive integer, the number of classes C, of which
                `filters` is a multiple.

        Returns:
            A tensor `(height, width, maps * C, filters)`, 0 between classes.

        Example:

        >>> import keras
        >>> import numpy as np
        >>> import keras_facnn
        >>> kernel = np.ones((1, 1, 1, 2), "float32")
        >>> layers = keras_facnn.layers
        >>> dense = layers.ClasswiseConv2D.dense_kernel(kernel, num_classes=2)
        >>> keras.ops.convert_to_numpy(dense)[0, 0].tolist()
        [[1.0, 0.0], [0.0, 1.0]]
        """
        *size, maps, filters = kernel.shape
        own = ops.reshape(
            ops.eye(num_classes, dtype=kernel.dtype),
            (num_classes, 1, num_classes, 1),
        )
        kernel = own * ops.reshape(
            kernel, (*size, 1, maps, num_classes, filters // num_classes)
        )
        return ops.reshape(kernel, (*size, num_classes * maps, filters))

    @staticmethod
    def own_kernel(kernel: Any, num_classes: int) -> Any:
        """What a dense kernel gives each class of its own maps.

        Args:
            kernel: Tensor `(height, width, channels, filters)`, class-major;
                both are multiples of `num_classes`.
            num_classes: Positive integer, the number of classes C.

        Returns:
            A tensor `(height, width, channels / C, filters)`, whose
            `dense_kernel` is `kernel` with 0 between classes.

        Example:

        >>> import keras
        >>> import numpy as np
        >>> import keras_facnn
        >>> kernel = np.array([[[[1.0, 2.0], [3.0, 4.0]]]], "float32")
        >>> layers = keras_facnn.layers
        >>> own = layers.ClasswiseConv2D.own_kernel(kernel, num_classes=2)
        >>> keras.ops.convert_to_numpy(own).tolist()
        [[[[1.0, 4.0]]]]
        """
        *size, channels, filters = kernel.shape
        maps, own_filters = channels // num_classes, filters // num_classes
        own = ops.einsum(
            "hwcmcf->hwmcf",
            ops.reshape(
                kernel, (*size, num_classes, maps, num_classes, own_filters)
            ),
        )
        return ops.reshape(own, (*size, maps, filters))
