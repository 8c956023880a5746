from typing import Any

import keras
from keras import ops

from keras_facnn._checks.numbers import check_int


@keras.saving.register_keras_serializable(package="keras_facnn")
class ClasswiseConv2D(keras.layers.Conv2D):
    """Convolution that applies to each class' maps separately.

    Input and output are class-major: channel `c * R + r` is map `r` of class
    `c`. The layer is a `Conv2D` with one group per class. No map of class `c`
    depends on the maps of another class, and the layer has 1 / C of the
    weights of a dense convolution.

    Args:
        num_classes: Positive integer, the number of classes C.
        filters: Positive integer, the total number of output channels. It
            must be a multiple of C.
        kernel_size: Integer or tuple of 2 integers.
        **kwargs: Other arguments of `keras.layers.Conv2D`, except `groups`.

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
        **kwargs: Any,
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
        # On CPU, TensorFlow and JAX compute one group at a time, which is many
        # times slower than one dense convolution with zeros between classes.
        if keras.backend.backend() != "torch":
            kernel = self.dense_kernel(kernel, self.num_classes)
        return super().convolution_op(inputs, kernel)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_classes": self.num_classes}

    @staticmethod
    def dense_kernel(kernel: Any, num_classes: int) -> Any:
        """Return the kernel of the equivalent dense convolution.

        Args:
            kernel: Tensor `(height, width, maps, filters)`, class-major.
            num_classes: Positive integer, the number of classes C. `filters`
                must be a multiple of it.

        Returns:
            A tensor `(height, width, maps * C, filters)`. The entries that
            connect different classes are 0.

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
        """Return the entries of a dense kernel that stay within a class.

        Args:
            kernel: Tensor `(height, width, channels, filters)`, class-major.
                `channels` and `filters` must be multiples of `num_classes`.
            num_classes: Positive integer, the number of classes C.

        Returns:
            A tensor `(height, width, channels / C, filters)`. Passed to
            `dense_kernel`, it gives `kernel` with zeros between classes.

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
