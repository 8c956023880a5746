"""Compute maps from gradients with respect to pixels."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_facnn._backend.cache import cached_function
from keras_facnn._backend.forward import class_per_image
from keras_facnn._backend.forward import run_in_batches
from keras_facnn._backend.forward import scores_function
from keras_facnn._checks.classes import check_one_class_per_image
from keras_facnn._checks.numbers import check_float
from keras_facnn._checks.numbers import check_int
from keras_facnn.attribution._class_gradient import PREDICTED_CLASS
from keras_facnn.attribution._class_gradient import check_scores
from keras_facnn.attribution._class_gradient import class_gradient
from keras_facnn.attribution._class_gradient import scale_gradients
from keras_facnn.attribution._perturbation import check_images_and_classes
from keras_facnn.types import Classes
from keras_facnn.types import Images

# The quadrature is exact with far fewer steps. The time to compute its points
# grows as steps ** 3.
_MOST_STEPS = 1000


def saliency(
    model: keras.Model,
    images: Images,
    classes: Classes = None,
    *,
    batch_size: int = 32,
) -> np.ndarray:
    """Return the largest absolute gradient of the logit over the channels.

    Source: Simonyan et al., "Deep Inside Convolutional Networks",
    arXiv 1312.6034, section 3.1.

    Args:
        model: `keras.Model` from images `(B, H, W, channels)` to `(B, C)`,
            logits. If they look like probabilities, a warning appears.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        classes: None for the predicted class of each image, an integer, the
            name of a class if the model knows names, or a sequence of B of
            these.
        batch_size: Positive integer, images per forward pass.

    Returns:
        A float32 NumPy array `(B, H, W)`.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.zeros((2, 32, 32, 3), "uint8")
    >>> keras_facnn.attribution.saliency(model, images).shape
    (2, 32, 32)
    """
    images, classes, gradient = _prepare(model, images, classes, batch_size)

    def maps_of(x: Any, targets: Any) -> Any:
        g, scores = gradient(x, targets)
        return np.abs(g).max(axis=-1), scores

    if classes is None:
        classes = np.full(len(images), PREDICTED_CLASS)
    maps, scores = run_in_batches(maps_of, (images, classes), batch_size)
    check_scores(scores, gradient=True)
    return maps


def integrated_gradients(
    model: keras.Model,
    images: Images,
    classes: Classes = None,
    *,
    baseline: float = 0.0,
    steps: int = 50,
    batch_size: int = 32,
) -> np.ndarray:
    """Return Integrated Gradients, summed over a pixel's channels.

    A map is the mean gradient of the logit on the straight line from `baseline`
    to the image, times their difference. The mean is computed by Gauss-Legendre
    quadrature, as in captum. The values of a map sum to the difference of the
    two logits, up to the error of the quadrature.

    Source: Sundararajan et al., "Axiomatic Attribution for Deep Networks",
    arXiv 1703.01365, equation 1.

    Args:
        model: `keras.Model` from images `(B, H, W, channels)` to `(B, C)`,
            logits. If they look like probabilities, a warning appears.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        classes: None for the predicted class of each image, an integer, the
            name of a class if the model knows names, or a sequence of B of
            these.
        baseline: Number, the value of all pixels at the start of the line.
        steps: Positive integer of at most 1000, points on the line.
        batch_size: Positive integer, images per forward pass.

    Returns:
        A float32 NumPy array `(B, H, W)`.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.zeros((2, 32, 32, 3), "uint8")
    >>> keras_facnn.attribution.integrated_gradients(model, images).shape
    (2, 32, 32)
    """
    steps = check_int("steps", steps, most=_MOST_STEPS)
    baseline = check_float("baseline", baseline)
    images, classes, gradient = _prepare(model, images, classes, batch_size)
    points, weights = np.polynomial.legendre.leggauss(steps)

    def maps_of(x: Any, targets: Any) -> Any:
        change = x - np.float32(baseline)
        mean = np.zeros_like(x)
        for u, w in zip(points, weights, strict=True):
            g, scores = gradient(x - np.float32((1 - u) / 2) * change, targets)
            mean += np.float32(w / 2) * g
        return (change * mean).sum(axis=-1), scores

    classes = class_per_image(model, images, classes, batch_size)
    maps, scores = run_in_batches(maps_of, (images, classes), batch_size)
    check_scores(scores, gradient=True)
    return maps


def _prepare(
    model: keras.Model, images: Images, classes: Classes, batch_size: int
) -> tuple[np.ndarray, np.ndarray | None, Callable[..., Any]]:
    """Return checked images and classes, and a gradient function.

    The function takes images and classes, and returns gradients and scores.
    """
    check_int("batch_size", batch_size)
    images, classes, _ = check_images_and_classes(model, images, classes)
    (pixels,) = model.inputs
    if not keras.backend.is_float_dtype(pixels.dtype):
        raise ValueError(
            "`model` must take floats, since integers have no gradient. "
            f"Received: a model whose input is {pixels.dtype}"
        )

    def make() -> Callable[..., Any]:
        gradient = class_gradient(
            scores_function(model), model.variables, "`images`"
        )
        return lambda x, targets, factor: gradient(x, targets, factor)

    gradient = scale_gradients(model, cached_function(model, "gradient", make))
    return images, check_one_class_per_image(classes), gradient
