"""Compute the mean and the variance of gradients of noisy images."""

from typing import Any

import keras
import numpy as np

from keras_facnn._checks.numbers import check_float
from keras_facnn._checks.numbers import check_int
from keras_facnn._checks.numbers import check_seed
from keras_facnn.attribution._pixel_gradients import check_gradient_arguments
from keras_facnn.attribution._pixel_gradients import gradient_maps
from keras_facnn.types import Classes
from keras_facnn.types import Images
from keras_facnn.types import Reduce


def smooth_grad(
    model: keras.Model,
    images: Images,
    classes: Classes = None,
    *,
    noise: float = 0.15,
    samples: int = 50,
    reduce: Reduce = "max_abs",
    seed: int = 0,
    batch_size: int = 32,
) -> np.ndarray:
    """Return SmoothGrad maps: the mean gradient of noisy copies of an image.

    Gaussian noise is added to each image. The mean is that of the signed
    gradients of the logit, as in the paper's formula and in captum's
    `NoiseTunnel(Saliency(...))` with `abs=False`. Only then do the channels
    become one value, as in `saliency`. All images get the same noise, times
    their own range. The maps cost `samples` forward and backward passes per
    image, and one more forward pass if `classes` is None.

    Source: Smilkov et al., "SmoothGrad: removing noise by adding noise",
    arXiv 1706.03825, section 2.2.

    Args:
        model: As for `saliency`.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        classes: As for `saliency`. None means the class that is predicted
            without noise.
        noise: Positive number, the standard deviation of the noise as a
            fraction of each image's range, its largest minus its smallest
            value. The paper recommends 0.1 to 0.2.
        samples: Positive integer, the number of noisy copies.
        reduce: As for `saliency`.
        seed: Integer of 0..2**64 - 1, the seed of the noise. Every backend uses
            the same noise.
        batch_size: Positive integer, noisy images per forward pass. It does not
            change the noise.

    Returns:
        A float32 NumPy array of the shape that `saliency` returns.

    Raises:
        ValueError: If an argument does not match the model; the message names
            the argument.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3))
    >>> keras_facnn.attribution.smooth_grad(model, images, samples=4).shape
    (2, 32, 32)
    """
    return _noisy_maps(
        model, images, classes, noise, samples, reduce, seed, batch_size, False
    )


def var_grad(
    model: keras.Model,
    images: Images,
    classes: Classes = None,
    *,
    noise: float = 0.15,
    samples: int = 50,
    reduce: Reduce = "max_abs",
    seed: int = 0,
    batch_size: int = 32,
) -> np.ndarray:
    """Return VarGrad maps: the variance of gradients of noisy images.

    The noise is that of `smooth_grad`, with the variance of the signed
    gradients instead of their mean. The variance is divided by `samples`, as in
    captum's `NoiseTunnel` with `nt_type="vargrad"`. The cost is that of
    `smooth_grad`.

    Source: Adebayo et al., "Local Explanation Methods for Deep Neural Networks
    Lack Sensitivity to Parameter Values", arXiv 1810.03307.

    Args:
        model: As for `saliency`.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        classes: As for `smooth_grad`.
        noise: As for `smooth_grad`.
        samples: Integer of at least 2, the number of noisy copies.
        reduce: As for `saliency`. With `"max_abs"`, a pixel's value is the
            largest variance among its channels.
        seed: As for `smooth_grad`.
        batch_size: Positive integer, noisy images per forward pass.

    Returns:
        A float32 NumPy array of the shape that `saliency` returns, with no
        negative values.

    Raises:
        ValueError: As for `smooth_grad`.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3))
    >>> keras_facnn.attribution.var_grad(model, images, samples=4).shape
    (2, 32, 32)
    """
    return _noisy_maps(
        model, images, classes, noise, samples, reduce, seed, batch_size, True
    )


def _noisy_maps(
    model: keras.Model,
    images: Images,
    classes: Classes,
    noise: float,
    samples: int,
    reduce: Reduce,
    seed: int,
    batch_size: int,
    variance: bool,
) -> np.ndarray:
    noise = check_float("noise", noise, above=0)
    # The variance of one value is 0.
    samples = check_int("samples", samples, least=2 if variance else 1)
    seed = check_seed(seed)
    images, classes, batch_size = check_gradient_arguments(
        model, images, classes, reduce, batch_size
    )
    scale = np.float32(noise) * np.ptp(images, axis=(1, 2, 3), keepdims=True)

    def points(group: slice, some: slice) -> tuple[np.ndarray, Any]:
        values = [
            np.random.default_rng((seed, i)).standard_normal(
                (1, *images.shape[1:]), "float32"
            )
            for i in range(some.start, some.stop)
        ]
        return images[group] + scale[group] * np.stack(values), 1 / samples

    return gradient_maps(
        model, images, classes, points, samples, reduce, batch_size, variance
    )
