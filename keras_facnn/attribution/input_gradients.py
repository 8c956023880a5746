"""Gradients with respect to pixels, as baselines."""

import keras
import numpy as np
from keras import ops

from keras_facnn.attribution.perturbation import check_inputs
from keras_facnn.checks import check_int
from keras_facnn.forward import class_an_image
from keras_facnn.gradients import gradient_function


def saliency(model, images, classes=None, *, batch_size=32):
    """The largest absolute gradient of the logit over a pixel's channels.

    Source: Simonyan et al., "Deep Inside Convolutional Networks",
    arXiv 1312.6034, section 3.1.

    Args:
        model: `keras.Model` from images `(B, H, W, channels)` to `(B, C)`.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        classes: None for the predicted class of each image, an integer, or a
            sequence of B integers.
        batch_size: Positive integer, images a forward pass.

    Returns:
        A float32 NumPy array `(B, H, W)`.

    Example:

    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.zeros((2, 32, 32, 3), "uint8")
    >>> keras_facnn.attribution.saliency(model, images).shape
    (2, 32, 32)
    """
    gradient, images, targets = _prepare(model, images, classes, batch_size)
    batches = [
        np.abs(gradient(x, t)).max(axis=-1)
        for x, t in _batches(images, targets, batch_size)
    ]
    return np.concatenate(batches)


def integrated_gradients(
    model, images, classes=None, *, baseline=0.0, steps=50, batch_size=32
):
    """Integrated Gradients, summed over a pixel's channels.

    The mean gradient of the logit on the straight line from `baseline` to the
    image, times their difference. By Gauss-Legendre quadrature, as in captum.
    A map sums to the difference of both logits, up to the quadrature's error.

    Source: Sundararajan et al., "Axiomatic Attribution for Deep Networks",
    arXiv 1703.01365, equation 1.

    Args:
        model: `keras.Model` from images `(B, H, W, channels)` to `(B, C)`.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        classes: None for the predicted class of each image, an integer, or a
            sequence of B integers.
        baseline: Number, the pixels that the line starts from.
        steps: Positive integer, points on the line.
        batch_size: Positive integer, images a forward pass.

    Returns:
        A float32 NumPy array `(B, H, W)`.

    Example:

    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.zeros((2, 32, 32, 3), "uint8")
    >>> keras_facnn.attribution.integrated_gradients(model, images).shape
    (2, 32, 32)
    """
    steps = check_int("steps", steps)
    gradient, images, targets = _prepare(model, images, classes, batch_size)
    points, weights = np.polynomial.legendre.leggauss(steps)
    batches = []
    for x, t in _batches(images, targets, batch_size):
        change = x - np.float32(baseline)
        mean = sum(
            w / 2 * gradient(baseline + np.float32((u + 1) / 2) * change, t)
            for u, w in zip(points, weights, strict=True)
        )
        batches.append((change * mean).sum(axis=-1))
    return np.concatenate(batches).astype("float32")


def _prepare(model, images, classes, batch_size):
    check_int("batch_size", batch_size)
    images, classes, num_classes = check_inputs(model, images, classes)
    (pixels,) = model.inputs
    if not keras.backend.is_float_dtype(pixels.dtype):
        raise ValueError(
            "`model` must take floats, since integers have no gradient. "
            f"Received: a model whose input is {pixels.dtype}"
        )
    classes = class_an_image(model, images, classes, batch_size)
    targets = np.eye(num_classes, dtype="float32")[classes]

    def score(x, one_hot):
        logits = ops.cast(model(x, training=False), "float32")
        return ops.sum(logits * one_hot)

    tensors = gradient_function(score)

    def gradient(x, one_hot):
        return ops.convert_to_numpy(tensors(x.astype("float32"), one_hot))

    return gradient, images, targets


def _batches(images, targets, batch_size):
    for start in range(0, len(images), batch_size):
        stop = start + batch_size
        yield images[start:stop], targets[start:stop]
