"""Compute maps from gradients with respect to pixels."""

from typing import Any

import keras
import numpy as np

from keras_facnn._checks.numbers import check_int
from keras_facnn.attribution._class_gradient import PREDICTED_CLASS
from keras_facnn.attribution._imputation import baseline_images
from keras_facnn.attribution._pixel_gradients import check_gradient_arguments
from keras_facnn.attribution._pixel_gradients import gradient_maps
from keras_facnn.types import Baseline
from keras_facnn.types import Classes
from keras_facnn.types import Images
from keras_facnn.types import Reduce

# The quadrature is exact with far fewer steps. The time to compute its points
# grows as steps ** 3.
_MOST_STEPS = 1000


def saliency(
    model: keras.Model,
    images: Images,
    classes: Classes = None,
    *,
    reduce: Reduce = "max_abs",
    batch_size: int = 32,
) -> np.ndarray:
    """Return saliency maps: the gradient of the logit at each pixel.

    By default, a pixel's value is the largest absolute gradient over its
    channels. The maps cost one forward and one backward pass; `"all"` needs
    this for each class.

    Source: Simonyan et al., "Deep Inside Convolutional Networks",
    arXiv 1312.6034, section 3.1.

    Args:
        model: `keras.Model` from images `(B, H, W, channels)` to `(B, C)`,
            logits. If they look like probabilities, a warning appears.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        classes: None for the predicted class of each image, an integer, the
            name of a class if the model knows names, a sequence of B of these,
            or `"all"`.
        reduce: How the channels of a pixel become one value: `"max_abs"`, the
            largest absolute value as in the paper, or `"sum"`, the signed sum.
            None keeps the channels, signed. Metrics and figures do not take
            such maps.
        batch_size: Positive integer, images per forward pass.

    Returns:
        A float32 NumPy array `(B, H, W)`, or `(B, H, W, channels)` if `reduce`
        is None. For `"all"`, one more axis, the C classes, comes last.

    Raises:
        ValueError: If an argument does not match the model; the message names
            the argument.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.zeros((2, 32, 32, 3), "uint8")
    >>> keras_facnn.attribution.saliency(model, images).shape
    (2, 32, 32)
    """
    images, classes, batch_size = check_gradient_arguments(
        model, images, classes, reduce, batch_size
    )
    if classes is None:
        classes = np.full(len(images), PREDICTED_CLASS)

    def points(group: slice, some: slice) -> tuple[np.ndarray, Any]:
        return images[None, group], 1

    return gradient_maps(model, images, classes, points, 1, reduce, batch_size)


def integrated_gradients(
    model: keras.Model,
    images: Images,
    classes: Classes = None,
    *,
    baseline: Baseline = 0.0,
    steps: int = 50,
    reduce: Reduce = "sum",
    batch_size: int = 32,
) -> np.ndarray:
    """Return Integrated Gradients, summed over a pixel's channels.

    A map is the mean gradient of the logit on the straight line from `baseline`
    to the image, times their difference. The mean is computed by Gauss-Legendre
    quadrature, as in captum. The values of a map sum to the difference of the
    two logits, up to the error of the quadrature. The maps cost `steps` forward
    and backward passes per image, and one more forward pass if `classes` is
    None; `"all"` needs this for each class.

    Source: Sundararajan et al., "Axiomatic Attribution for Deep Networks",
    arXiv 1703.01365, equation 1.

    Args:
        model: `keras.Model` from images `(B, H, W, channels)` to `(B, C)`,
            logits. If they look like probabilities, a warning appears.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        classes: As for `saliency`.
        baseline: The image at the start of the line: a number, the value of all
            its pixels, `"mean"` (each image's own color), `"blur"` (the image,
            blurred), or an array that broadcasts to `images`.
        steps: Positive integer of at most 1000, points on the line.
        reduce: As for `saliency`. Only with `"sum"` or None do the values of a
            map sum to the difference of the logits.
        batch_size: Positive integer, points per forward pass.

    Returns:
        A float32 NumPy array of the shape that `saliency` returns.

    Raises:
        ValueError: As for `saliency`.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.zeros((2, 32, 32, 3), "uint8")
    >>> keras_facnn.attribution.integrated_gradients(model, images).shape
    (2, 32, 32)
    """
    steps = check_int("steps", steps, most=_MOST_STEPS)
    images, classes, batch_size = check_gradient_arguments(
        model, images, classes, reduce, batch_size
    )
    starts = baseline_images(images, baseline)
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    left = ((1 - nodes) / 2).astype("float32").reshape(-1, 1, 1, 1, 1)
    weights = (weights / 2).reshape(-1, 1, 1, 1, 1)

    def points(group: slice, some: slice) -> tuple[np.ndarray, Any]:
        change = images[group] - starts[group]
        return images[group] - left[some] * change, weights[some] * change

    return gradient_maps(
        model, images, classes, points, steps, reduce, batch_size
    )
