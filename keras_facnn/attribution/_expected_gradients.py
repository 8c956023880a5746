"""Compute gradients on the way from random images of a data set."""

from typing import Any

import keras
import numpy as np

from keras_facnn._checks.arrays import as_float32
from keras_facnn._checks.images import check_images
from keras_facnn._checks.images import warn_about_range
from keras_facnn._checks.numbers import check_int
from keras_facnn._checks.numbers import check_seed
from keras_facnn.attribution._pixel_gradients import check_gradient_arguments
from keras_facnn.attribution._pixel_gradients import gradient_maps
from keras_facnn.types import Classes
from keras_facnn.types import Images
from keras_facnn.types import Reduce


def expected_gradients(
    model: keras.Model,
    images: Images,
    classes: Classes = None,
    *,
    background: Images,
    samples: int = 200,
    reduce: Reduce = "sum",
    seed: int = 0,
    batch_size: int = 32,
) -> np.ndarray:
    """Return Expected Gradients: Integrated Gradients with many baselines.

    For each sample, a background image `x'` and a point `x' + a (x - x')` on
    the straight line from it to the image `x` are drawn, with `a` uniform in
    0..1. The map is the mean over the samples of the gradient of the logit at
    this point, times `x - x'`. So no single baseline must stand for an absent
    feature. The expectation of a map's sum is the logit of the image minus the
    mean logit of the background; with few samples, a map differs from this at
    random. It is captum's `GradientShap` without noise. All images get the same
    draws. The maps cost `samples` forward and backward passes per image, and
    one more forward pass if `classes` is None; `"all"` needs this for each
    class.

    Source: Erion et al., "Improving performance of deep learning models with
    axiomatic attribution priors and expected gradients", arXiv 1906.10670,
    the definition of expected gradients.

    Args:
        model: As for `saliency`.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        classes: As for `saliency`.
        background: Array `(N, H, W, channels)` of images in the same range,
            such as some of the training data.
        samples: Positive integer, the number of points per image. The paper
            uses 200.
        reduce: As for `integrated_gradients`.
        seed: Integer of 0..2**64 - 1, the seed of the draws. Every backend uses
            the same draws.
        batch_size: Positive integer, points per forward pass. It does not
            change the draws.

    Returns:
        A float32 NumPy array of the shape that `saliency` returns.

    Raises:
        ValueError: If an argument does not match the model; the message names
            the argument.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> photos = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3))
    >>> maps = keras_facnn.attribution.expected_gradients(
    ...     model, photos[:2], background=photos[2:], samples=4
    ... )
    >>> maps.shape
    (2, 32, 32)
    """
    samples = check_int("samples", samples)
    seed = check_seed(seed)
    images, classes, batch_size = check_gradient_arguments(
        model, images, classes, reduce, batch_size
    )
    background = as_float32(
        check_images(background, images.shape[1:], "background")
    )
    if hasattr(model, "size_rules"):
        warn_about_range(background, "background")
    rng = np.random.default_rng(seed)
    chosen = rng.integers(len(background), size=samples)
    shares = rng.random((samples, 1, 1, 1, 1), "float32")

    def points(group: slice, some: slice) -> tuple[np.ndarray, Any]:
        start = background[chosen[some], None]
        change = images[group] - start
        return start + shares[some] * change, change / samples

    return gradient_maps(
        model, images, classes, points, samples, reduce, batch_size
    )
