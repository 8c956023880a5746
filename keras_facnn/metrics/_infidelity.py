"""Measure how well a map predicts what the score loses with a square."""

from collections.abc import Iterator

import keras
import numpy as np

from keras_facnn._checks.arguments import check_bool
from keras_facnn._checks.arrays import check_maps
from keras_facnn._checks.numbers import check_int
from keras_facnn._checks.numbers import check_seed
from keras_facnn.metrics._pixel_curves import baseline_name
from keras_facnn.metrics._pixel_curves import check_images_and_labels
from keras_facnn.metrics._pixel_sets import sums_and_falls
from keras_facnn.metrics._result import Result
from keras_facnn.types import Baseline
from keras_facnn.types import Images
from keras_facnn.types import Labels
from keras_facnn.types import Maps


def infidelity(
    model: keras.Model,
    images: Images,
    labels: Labels,
    maps: Maps,
    *,
    size: int = 8,
    squares: int = 100,
    baseline: Baseline = 0.0,
    normalize: bool = True,
    probabilities: bool = False,
    seed: int = 0,
    batch_size: int = 16,
    verbose: int = 0,
) -> Result:
    """Return how far maps are from what random squares do to the score.

    A square of the image is replaced by `baseline`. The sum of the map in this
    square predicts by how much the class's score falls. The value of an image
    is the mean, over its squares, of the squared error of this prediction. Maps
    are resized to pixels. It takes `squares + 1` forward passes per image.

    Source: Yeh et al., "On the (In)fidelity and Sensitivity of Explanations",
    arXiv 1901.09392, definition 2.1, for perturbations that remove a square,
    and maps that say how much each pixel adds to the score.

    Args:
        model: `keras.Model` from images `(B, H, W, channels)` to `(B, C)`.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        labels: B integers, the classes whose score is measured, or names if the
            model knows them.
        maps: Array `(B, h, w)`, of any resolution.
        size: Positive integer, the side of a square in pixels.
        squares: Positive integer, the number of squares per image.
        baseline: The values of replaced pixels, as in `pixel_removal`, except
            `"road"`.
        normalize: Whether each map is multiplied by the number that makes its
            value the least, so that its scale does not matter. Without it,
            maps must be in units of the score per pixel.
        probabilities: As in `faithfulness_correlation`.
        seed: Non-negative integer, the seed of the squares. All backends draw
            the same squares.
        batch_size: Positive integer, altered images per forward pass.
        verbose: 1 shows a progress bar, 0 does not.

    Returns:
        A `Result` whose values `(B,)` are at least 0, in units of the squared
        score. They are defined for all maps: a map of zeros predicts that
        nothing changes.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> maps = model.class_maps(images, classes=[3, 5])
    >>> result = keras_facnn.metrics.infidelity(
    ...     model, images, [3, 5], maps, squares=10
    ... )
    >>> result.mean >= 0
    True
    """
    images, labels = check_images_and_labels(
        model, images, labels, probabilities=False
    )
    maps = check_maps(maps, batch=len(images))
    height, width = images.shape[1:3]
    size = check_int("size", size, most=min(height, width))
    squares = check_int("squares", squares)
    normalize = check_bool("normalize", normalize)
    seed = check_seed(seed)

    def squares_of(index: int, pixels: np.ndarray) -> Iterator[np.ndarray]:
        rng = np.random.default_rng((seed, index))
        for _ in range(squares):
            rows = rng.integers(0, height - size + 1) + np.arange(size)
            columns = rng.integers(0, width - size + 1) + np.arange(size)
            yield (rows[:, None] * width + columns).ravel()

    sums, falls = sums_and_falls(
        model,
        images,
        labels,
        maps,
        squares_of,
        squares,
        baseline,
        probabilities=probabilities,
        batch_size=batch_size,
        verbose=verbose,
    )
    if normalize:
        products = (sums * falls).sum(axis=1, keepdims=True)
        norms = (sums**2).sum(axis=1, keepdims=True)
        sums *= np.divide(
            products, norms, out=np.zeros_like(norms), where=norms > 0
        )
    return Result(
        values=((sums - falls) ** 2).mean(axis=1),
        metric="infidelity",
        higher_is_better=False,
        definition="the mean squared error of a map's sum in a random square "
        "as a prediction of the fall of the score when it is replaced",
        source="Yeh et al. 2019, arXiv 1901.09392, definition 2.1",
        settings={
            "size": size,
            "squares": squares,
            "baseline": baseline_name(baseline),
            "normalize": normalize,
            "seed": seed,
        },
    )
