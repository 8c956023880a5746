"""Networks of the same cost as an FA-CNN, to compare it with."""

import functools
import math
from collections.abc import Callable

import keras
from keras import layers

import keras_facnn
from zoo.counts import multiply_adds

ImageShape = tuple[int, int, int]


def resnet(
    num_classes: int,
    image_shape: ImageShape,
    width: int,
    synchronized: bool = False,
) -> keras.Model:
    """Build a ResNet of 25 convolutions, like those of He et al. for CIFAR-10.

    Three stages of four blocks of `width`, `2 * width` and `4 * width`
    channels, in pre-activation order; images larger than 32x32 are halved by
    the stem.

    Source: arXiv 1512.03385, section 4.2; arXiv 1603.05027.

    Args:
        num_classes: Number of classes.
        image_shape: `(height, width, channels)`.
        width: Channels of the first stage.
        synchronized: Whether batch statistics are taken over all replicas of
            a TensorFlow distribution strategy.

    Returns:
        A `keras.Model` from images in 0..255 to logits.
    """

    norm_relu = functools.partial(_norm_relu, synchronized=synchronized)

    def block(
        x: keras.KerasTensor, channels: int, strides: int
    ) -> keras.KerasTensor:
        skip = x
        x = norm_relu(x)
        if strides > 1 or skip.shape[-1] != channels:
            # Strides in a 1x1 convolution of few channels would corrupt memory
            # on PyTorch's CPU.
            skip = layers.MaxPooling2D(1, strides)(x) if strides > 1 else x
            skip = layers.Conv2D(channels, 1, use_bias=False)(skip)
        x = _conv(x, channels, strides)
        x = _conv(norm_relu(x), channels)
        return layers.Add()([skip, x])

    inputs, x = _stem(image_shape, width)
    for stage in range(3):
        for i in range(4):
            strides = 2 if stage and not i else 1
            x = block(x, width * 2**stage, strides)
    return keras.Model(inputs, head(norm_relu(x), num_classes))


def plain(
    num_classes: int,
    image_shape: ImageShape,
    width: int,
    synchronized: bool = False,
) -> keras.Model:
    """Build a plain CNN of 13 convolutions with batch norm, in the way of VGG.

    Three stages of four convolutions of `width`, `2 * width` and `4 * width`
    channels, the last two begun by a stride of two; images larger than 32x32
    are halved by the stem.

    Args:
        num_classes: Number of classes.
        image_shape: `(height, width, channels)`.
        width: Channels of the first stage.
        synchronized: Whether batch statistics are taken over all replicas of
            a TensorFlow distribution strategy.

    Returns:
        A `keras.Model` from images in 0..255 to logits.
    """
    norm_relu = functools.partial(_norm_relu, synchronized=synchronized)
    inputs, x = _stem(image_shape, width)
    x = norm_relu(x)
    for stage in range(3):
        for i in range(4):
            strides = 2 if stage and not i else 1
            x = norm_relu(_conv(x, width * 2**stage, strides))
    return keras.Model(inputs, head(x, num_classes))


def of_equal_cost(
    build: Callable[..., keras.Model],
    model: keras_facnn.FACNN,
    tolerance: float = 0.05,
) -> keras.Model:
    """Return the baseline whose multiply-adds are nearest to a model's.

    Args:
        build: `resnet` or `plain`.
        model: The `FACNN` to compare with.
        tolerance: Largest relative difference.

    Returns:
        A `keras.Model` for the same images and classes, whose batch norm is
        synchronized if the model's is.
    """
    target = multiply_adds(model)

    def of_width(width: int, synchronized: bool = False) -> keras.Model:
        return build(model.num_classes, model.image_shape, width, synchronized)

    # Each kernel grows with the width or with its square.
    one, two = (multiply_adds(of_width(width)) for width in (1, 2))
    square, linear = two / 2 - one, 2 * one - two / 2

    def cost(width: int) -> float:
        return square * width**2 + linear * width

    guess = round(math.sqrt(target / square))
    width = min(
        range(max(1, guess - 2), guess + 2),
        key=lambda width: abs(cost(width) - target),
    )
    error = cost(width) / target - 1
    if abs(error) > tolerance:
        raise ValueError(
            f"No width of {build.__name__} costs {target} multiply-adds: the "
            f"nearest, {width}, is off by {error:.1%}."
        )
    synchronized = (
        model.synchronized_batch_norm
        and keras.backend.backend() == "tensorflow"
    )
    return of_width(width, synchronized)


def _conv(
    x: keras.KerasTensor, channels: int, strides: int = 1
) -> keras.KerasTensor:
    return layers.Conv2D(channels, 3, strides, padding="same", use_bias=False)(
        x
    )


def _norm_relu(x: keras.KerasTensor, synchronized: bool) -> keras.KerasTensor:
    # The momentum of FA-CNN, and its tuple, for torch.compile.
    norm = layers.BatchNormalization(momentum=0.9, synchronized=synchronized)
    x = norm(x)
    norm._reduction_axes = tuple(norm._reduction_axes)
    return layers.ReLU()(x)


def _stem(
    image_shape: ImageShape, width: int
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    inputs = keras.Input(image_shape, name="images")
    # `layers.Rescaling` stops torch.compile.
    x = inputs / 127.5 - 1.0
    return inputs, _conv(x, width, strides=1 if image_shape[0] <= 32 else 2)


def head(x: keras.KerasTensor, num_classes: int) -> keras.KerasTensor:
    """Return the logits of the usual head: an average and one `Dense`."""
    x = layers.GlobalAveragePooling2D()(x)
    # Float32, so that losses of mixed precision are exact.
    return layers.Dense(num_classes, dtype="float32")(x)
