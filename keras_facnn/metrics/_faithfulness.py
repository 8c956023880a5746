"""Correlate a map's sums over sets of pixels with the falls of the score."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_facnn._checks.numbers import check_float
from keras_facnn._checks.numbers import check_int
from keras_facnn._checks.numbers import check_seed
from keras_facnn.metrics._pixel_curves import baseline_name
from keras_facnn.metrics._pixel_curves import check_images_and_labels
from keras_facnn.metrics._pixel_curves import check_varying_maps
from keras_facnn.metrics._pixel_curves import order_of_pixels
from keras_facnn.metrics._pixel_curves import spread_rows
from keras_facnn.metrics._pixel_sets import sums_and_falls
from keras_facnn.metrics._result import Result
from keras_facnn.metrics._similarity import correlations
from keras_facnn.types import Baseline
from keras_facnn.types import Images
from keras_facnn.types import Labels
from keras_facnn.types import Maps


def faithfulness_correlation(
    model: keras.Model,
    images: Images,
    labels: Labels,
    maps: Maps,
    *,
    fraction: float = 0.1,
    sets: int = 100,
    baseline: Baseline = 0.0,
    probabilities: bool = False,
    seed: int = 0,
    batch_size: int = 16,
    verbose: int = 0,
) -> Result:
    """Correlate a map with how much the score needs random sets of pixels.

    Each set of pixels is replaced by `baseline`. The value of an image is the
    Pearson correlation, over its sets, of the sum of the map in the set with
    the fall of the class's score. Maps are resized to pixels. All channels of a
    pixel are replaced together. It takes `sets + 1` forward passes per image.

    Source: Bhatt et al., "Evaluating and Aggregating Feature-based Model
    Explanations", arXiv 2005.00631, section 3.2.

    Args:
        model: `keras.Model` from images `(B, H, W, channels)` to `(B, C)`.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        labels: B integers, the classes whose score is measured, or names if the
            model knows them.
        maps: Array `(B, h, w)`, of any resolution and scale.
        fraction: Float in (0, 1), the share of an image's pixels in a set.
        sets: Integer of at least 2, the number of sets per image.
        baseline: The values of replaced pixels, as in `pixel_removal`, except
            `"road"`.
        probabilities: Whether scores are the softmax of the model's outputs, or
            their sigmoid, as in `attribution.rise`. By default, scores are the
            outputs.
        seed: Non-negative integer, the seed of the sets. All backends draw the
            same sets, and so do the other metrics that draw sets of as many
            pixels.
        batch_size: Positive integer, altered images per forward pass.
        verbose: 1 shows a progress bar, 0 does not.

    Returns:
        A `Result` whose values `(B,)` are in -1..1. They are NaN where a map is
        constant, or where no set changes the score.

    Raises:
        ValueError: If all maps are constant.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> maps = model.class_maps(images, classes=[3, 5])
    >>> result = keras_facnn.metrics.faithfulness_correlation(
    ...     model, images, [3, 5], maps, sets=10
    ... )
    >>> -1 <= result.mean <= 1
    True
    """
    fraction = check_float("fraction", fraction, above=0, below=1)
    values, settings = _of_random_sets(
        model,
        images,
        labels,
        maps,
        [fraction],
        sets,
        baseline,
        seed,
        probabilities=probabilities,
        batch_size=batch_size,
        verbose=verbose,
    )
    return Result(
        values=values[:, 0],
        metric="faithfulness_correlation",
        higher_is_better=True,
        definition="the correlation of a map's sums over random sets of pixels "
        "with the falls of the score when these pixels are replaced",
        source="Bhatt et al. 2020, arXiv 2005.00631, section 3.2",
        settings={"fraction": fraction, **settings},
    )


def sensitivity_n(
    model: keras.Model,
    images: Images,
    labels: Labels,
    maps: Maps,
    *,
    fractions: Sequence[float] = (0.01, 0.05, 0.1, 0.2, 0.4, 0.8),
    sets: int = 100,
    baseline: Baseline = 0.0,
    probabilities: bool = False,
    seed: int = 0,
    batch_size: int = 16,
    verbose: int = 0,
) -> Result:
    """Compute `faithfulness_correlation` for sets of several sizes.

    A map of a linear model can have a correlation of 1 for sets of any size.
    For other models, a map is better for sets of some sizes than of others. It
    takes `len(fractions) * sets + 1` forward passes per image.

    Source: Ancona et al., "Towards better understanding of gradient-based
    attribution methods for Deep Neural Networks", arXiv 1711.06104, section 4.

    Args:
        model: `keras.Model` from images `(B, H, W, channels)` to `(B, C)`.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        labels: B integers, the classes whose score is measured, or names if the
            model knows them.
        maps: Array `(B, h, w)`, of any resolution and scale.
        fractions: Sequence of floats in (0, 1), the shares of an image's pixels
            in a set: n is a fraction of all pixels.
        sets: Integer of at least 2, the number of sets per image and fraction.
        baseline: The values of replaced pixels, as in `pixel_removal`, except
            `"road"`.
        probabilities: As in `faithfulness_correlation`.
        seed: Non-negative integer, the seed of the sets. All backends draw the
            same sets.
        batch_size: Positive integer, altered images per forward pass.
        verbose: 1 shows a progress bar, 0 does not.

    Returns:
        A `Result` with one column per fraction, whose values are in -1..1. They
        are NaN where a map is constant, or where no set changes the score.

    Raises:
        ValueError: If all maps are constant.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> maps = model.class_maps(images, classes=[3, 5])
    >>> result = keras_facnn.metrics.sensitivity_n(
    ...     model, images, [3, 5], maps, fractions=[0.1, 0.5], sets=10
    ... )
    >>> result.columns
    (0.1, 0.5)
    """
    if not isinstance(fractions, (list, tuple)) or not fractions:
        raise ValueError(
            "`fractions` must be a non-empty sequence of numbers above 0 and "
            f"below 1. Received: fractions={fractions!r}"
        )
    fractions = [check_float("fractions", f, 0, 1) for f in fractions]
    values, settings = _of_random_sets(
        model,
        images,
        labels,
        maps,
        fractions,
        sets,
        baseline,
        seed,
        probabilities=probabilities,
        batch_size=batch_size,
        verbose=verbose,
    )
    return Result(
        values=values,
        metric="sensitivity_n",
        higher_is_better=True,
        definition="the correlation of a map's sums over random sets of pixels "
        "with the falls of the score, for each size of the sets",
        source="Ancona et al. 2018, arXiv 1711.06104, section 4",
        columns=tuple(fractions),
        settings=settings,
    )


def faithfulness_estimate(
    model: keras.Model,
    images: Images,
    labels: Labels,
    maps: Maps,
    *,
    sets: int = 100,
    baseline: Baseline = 0.0,
    probabilities: bool = False,
    batch_size: int = 16,
    verbose: int = 0,
) -> Result:
    """Correlate a map with how much the score needs pixels of like values.

    The pixels of an image, in the order of the map, are cut into sets of equal
    size. One set at a time is replaced by `baseline`. An image's value is the
    Pearson correlation, over its sets, of the sum of the map in the set with
    the fall of the class's score. With as many sets as pixels, each pixel is
    replaced by itself, as in the source. It takes `sets + 1` forward passes per
    image, and draws nothing at random.

    Source: Alvarez-Melis and Jaakkola, "Towards Robust Interpretability with
    Self-Explaining Neural Networks", arXiv 1806.07538, section 5.

    Args:
        model: `keras.Model` from images `(B, H, W, channels)` to `(B, C)`.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        labels: B integers, the classes whose score is measured, or names if the
            model knows them.
        maps: Array `(B, h, w)`, of any resolution and scale.
        sets: Integer of at least 2, and at most the number of pixels. If it
            does not divide this number, the first sets have a pixel more.
        baseline: The values of replaced pixels, as in `pixel_removal`, except
            `"road"`.
        probabilities: As in `faithfulness_correlation`.
        batch_size: Positive integer, altered images per forward pass.
        verbose: 1 shows a progress bar, 0 does not.

    Returns:
        A `Result` whose values `(B,)` are in -1..1. They are NaN where a map is
        constant, or where no set changes the score.

    Raises:
        ValueError: If all maps are constant.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> maps = model.class_maps(images, classes=[3, 5])
    >>> result = keras_facnn.metrics.faithfulness_estimate(
    ...     model, images, [3, 5], maps, sets=10
    ... )
    >>> -1 <= result.mean <= 1
    True
    """
    ties: list[float] = []

    def in_order(index: int, pixels: np.ndarray) -> list[np.ndarray]:
        count = check_int("sets", sets, least=2, most=pixels.size)
        order = order_of_pixels(pixels, pixels.shape, ties)
        return np.array_split(order, count)

    values = _correlations(
        model,
        images,
        labels,
        maps,
        in_order,
        sets,
        baseline=baseline,
        probabilities=probabilities,
        batch_size=batch_size,
        verbose=verbose,
    )
    return Result(
        values=values[:, 0],
        metric="faithfulness_estimate",
        higher_is_better=True,
        definition="the correlation of a map's sums over sets of pixels of "
        "like values with the falls of the score when these are replaced",
        source="Alvarez-Melis and Jaakkola 2018, arXiv 1806.07538, section 5",
        ties=float(np.mean(ties)),
        settings={"sets": sets, "baseline": baseline_name(baseline)},
    )


def _of_random_sets(
    model: keras.Model,
    images: Images,
    labels: Labels,
    maps: Maps,
    fractions: Sequence[float],
    sets: int,
    baseline: Baseline,
    seed: int,
    **options: Any,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the correlations `(B, fractions)`, and settings for the result."""
    seed = check_seed(seed)

    def at_random(index: int, pixels: np.ndarray) -> Iterator[np.ndarray]:
        for fraction in fractions:
            # The sets of one size do not depend on which other sizes there are.
            rng = np.random.default_rng((seed, index))
            count = max(1, round(fraction * pixels.size))
            for _ in range(sets):
                yield rng.choice(pixels.size, count, replace=False)

    values = _correlations(
        model,
        images,
        labels,
        maps,
        at_random,
        sets,
        columns=len(fractions),
        baseline=baseline,
        **options,
    )
    settings = {
        "sets": sets,
        "baseline": baseline_name(baseline),
        "seed": seed,
    }
    return values, settings


def _correlations(
    model: keras.Model,
    images: Images,
    labels: Labels,
    maps: Maps,
    sets_of: Callable[[int, np.ndarray], Iterable[np.ndarray]],
    sets: int,
    *,
    columns: int = 1,
    **options: Any,
) -> np.ndarray:
    """Return the correlations of each image, `(B, columns)`.

    Args:
        model, images, labels, maps: As in `faithfulness_correlation`.
        sets_of: As in `sums_and_falls`.
        sets: The number of sets that one correlation is over.
        columns: The number of correlations of an image.
        **options: Passed to `sums_and_falls`.
    """
    images, labels = check_images_and_labels(
        model, images, labels, probabilities=False
    )
    maps, varies = check_varying_maps(maps, images)
    sets = check_int("sets", sets, least=2)
    kept = np.flatnonzero(varies)
    sums, falls = sums_and_falls(
        model,
        images[kept],
        labels[kept],
        maps[kept],
        # The sets of an image do not depend on the maps of others.
        lambda index, pixels: sets_of(kept[index], pixels),
        columns * sets,
        **options,
    )
    shape = (-1, 1, sets)
    values = correlations(sums.reshape(shape), falls.reshape(shape))
    return spread_rows(values.reshape(len(kept), columns), varies)
