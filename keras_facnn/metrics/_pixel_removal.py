"""Remove pixels in the order of a map, and measure the accuracy."""

import dataclasses
import functools
import math
import typing
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_facnn._checks.arguments import check_option
from keras_facnn._checks.arrays import check_fractions
from keras_facnn._checks.numbers import check_float
from keras_facnn._checks.numbers import check_seed
from keras_facnn._graph.probabilities import has_several_labels
from keras_facnn.attribution._imputation import baseline_images
from keras_facnn.attribution._imputation import impute
from keras_facnn.metrics._pixel_curves import baseline_name
from keras_facnn.metrics._pixel_curves import check_images_and_labels
from keras_facnn.metrics._pixel_curves import check_varying_maps
from keras_facnn.metrics._pixel_curves import curves_of_probabilities
from keras_facnn.metrics._pixel_curves import order_of_pixels
from keras_facnn.metrics._pixel_curves import replace_pixels
from keras_facnn.metrics._pixel_curves import spread_rows
from keras_facnn.metrics._result import Result
from keras_facnn.metrics._result import bootstrap
from keras_facnn.metrics._result import mean_without_nan
from keras_facnn.types import Images
from keras_facnn.types import Labels
from keras_facnn.types import Maps
from keras_facnn.types import Order
from keras_facnn.types import RemovalBaseline


@dataclasses.dataclass(eq=False, kw_only=True)
class PixelRemoval(Result):
    """Accuracy and class probability by the fraction of removed pixels.

    The `values` are the areas under each image's accuracy, by trapezoid, in
    0..1. Images whose map is constant, and so gives no order, are NaN.

    Attributes:
        fractions: Fractions of removed pixels, from 0 to 1.
        hits: Array `(B, fractions)` of 1 and 0: whether an image is still
            classified as its label. If images may have several labels, whether
            the label still has a probability above a half.
        probabilities: Array `(B, fractions)`, the probability of the label.

    Example:

    >>> from keras_facnn.metrics import PixelRemoval
    >>> result = PixelRemoval(
    ...     values=[0.5],
    ...     metric="pixel_removal",
    ...     fractions=[0, 1],
    ...     hits=[[1, 0]],
    ...     probabilities=[[0.9, 0.1]],
    ... )
    >>> result.accuracy, result.accuracy_auc
    ([1.0, 0.0], 0.5)
    """

    fractions: list[float]
    hits: np.ndarray
    probabilities: np.ndarray

    _derived = (*Result._derived, "accuracy", "probability")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.hits = np.array(self.hits, "float64")
        self.probabilities = np.array(self.probabilities, "float64")

    @property
    def accuracy(self) -> list[float]:
        """Share of images that are still right, at each fraction."""
        return mean_without_nan(self.hits, axis=0).tolist()

    @functools.cached_property
    def accuracy_interval(self) -> tuple[list[float], list[float]]:
        """The 95 % interval of `accuracy` at each fraction: low and high."""
        low, high = bootstrap(self.hits)
        return low.tolist(), high.tolist()

    @property
    def probability(self) -> list[float]:
        """Mean probability of the label, at each fraction."""
        return mean_without_nan(self.probabilities, axis=0).tolist()

    @property
    def accuracy_auc(self) -> float:
        """Area under the accuracy: the mean of `values`."""
        return self.mean

    @property
    def probability_auc(self) -> float:
        """Area under the probability, by trapezoid, in 0..1."""
        return float(np.trapezoid(self.probability, self.fractions))

    def to_dataframe(self) -> Any:
        """Return one row per image: the areas under both of its curves."""
        table = super().to_dataframe()
        areas = np.trapezoid(self.probabilities, self.fractions, axis=1)
        return table.assign(probability=areas)

    def curve(self) -> Any:
        """Return a `pandas.DataFrame` of one row per fraction."""
        import pandas

        low, high = self.accuracy_interval
        return pandas.DataFrame(
            {
                "fraction": self.fractions,
                "accuracy": self.accuracy,
                "low": low,
                "high": high,
                "probability": self.probability,
            }
        )


def pixel_removal(
    model: keras.Model,
    images: Images,
    labels: Labels,
    maps: Maps,
    *,
    order: Order = "most_relevant_first",
    fractions: Sequence[float] | None = None,
    baseline: RemovalBaseline = "mean",
    noise: float = 0.01,
    from_logits: bool | None = None,
    seed: int = 0,
    batch_size: int = 16,
    verbose: int = 0,
) -> PixelRemoval:
    """Remove pixels in the order that maps give, and measure the accuracy.

    If a map is good, the accuracy falls fast when the most relevant pixels are
    removed first, and slowly when the least relevant ones are. Random order is
    the control. Maps are resized to pixels. All channels of a pixel are removed
    together. Among pixels of equal value, the earlier one is removed first
    (`argsort(-map, kind="stable")`).

    If images may have several labels, because the model is an FA-CNN with a
    threshold or ends in a sigmoid, pass one label per image.

    Source: FA-CNN, arXiv 2603.25798, Figure 4; the ROAD baseline is Rong et
    al., arXiv 2202.00449.

    Args:
        model: `keras.Model` from images `(B, H, W, channels)` to `(B, C)`.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        labels: B integers, or names if the model knows them.
        maps: Array `(B, h, w)`, of any resolution and scale.
        order: `"most_relevant_first"`, `"least_relevant_first"` or `"random"`,
            which ignores `maps`.
        fractions: Increasing numbers from 0 to 1, both included. None means 0,
            0.05, ... 1.
        baseline: What replaces removed pixels: a number, `"mean"` (each image's
            own color), `"blur"`, an array that broadcasts to `images`, such as
            the data set's mean color, or `"road"`. The last one is noisy linear
            imputation from the remaining pixels. An image without remaining
            pixels becomes its own mean color.
        noise: Non-negative number, the standard deviation of ROAD's noise as a
            fraction of the range of `images`.
        from_logits: Whether the model's outputs are logits. Then their softmax
            gives the probabilities, or their sigmoid for an FA-CNN with a
            threshold. If None, outputs count as probabilities if the last layer
            has a sigmoid, or if they are in 0..1 and sum to 1.
        seed: Non-negative integer, the seed of the random order and of ROAD's
            noise.
        batch_size: Positive integer, altered images per forward pass.
        verbose: 1 shows a progress bar, 0 does not.

    Returns:
        A `PixelRemoval`.

    Raises:
        ValueError: If all maps are constant, so that they give no order.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> maps = model.class_maps(images, classes=[3, 5])
    >>> result = keras_facnn.metrics.pixel_removal(
    ...     model, images, [3, 5], maps, fractions=[0, 0.5, 1]
    ... )
    >>> len(result.accuracy)
    3
    """
    check_option("order", order, typing.get_args(Order))
    steps = check_fractions(fractions)
    noise = check_float("noise", noise, least=0)
    rng = np.random.default_rng(check_seed(seed))
    images, labels = check_images_and_labels(model, images, labels)
    size = images.shape[1:3]
    ties: list[float] = []
    ordered = np.ones(len(images), bool)

    if order == "random":
        orders = (rng.permutation(math.prod(size)) for _ in images)
    else:
        maps, ordered = check_varying_maps(maps, images)
        maps, images, labels = maps[ordered], images[ordered], labels[ordered]
        sign = 1 if order == "most_relevant_first" else -1
        orders = (order_of_pixels(sign * map_, size, ties) for map_ in maps)

    source = "arXiv 2603.25798, Figure 4"
    if isinstance(baseline, str) and baseline == "road":
        source += "; Rong et al. 2022, arXiv 2202.00449"
        scale = noise * float(np.ptp(images))

        def remove(index: int, pixels: np.ndarray) -> np.ndarray:
            return impute(images[index], pixels, scale, rng)

    else:
        others = baseline_images(images, baseline)

        def remove(index: int, pixels: np.ndarray) -> np.ndarray:
            return replace_pixels(images[index], others[index], pixels)

    p = curves_of_probabilities(
        model,
        orders,
        remove,
        images.shape,
        steps,
        from_logits=from_logits,
        batch_size=batch_size,
        verbose=verbose,
    )
    of_label = p[:, np.arange(len(labels)), labels]
    if has_several_labels(model):
        hit = of_label > 0.5
    else:
        hit = p.argmax(axis=-1) == labels
    hits, probabilities = (spread_rows(x.T, ordered) for x in (hit, of_label))
    return PixelRemoval(
        values=np.trapezoid(hits, steps, axis=1),
        metric="pixel_removal",
        higher_is_better={
            "most_relevant_first": False,
            "least_relevant_first": True,
            "random": None,
        }[order],
        definition="the area under the accuracy by the fraction of pixels "
        "that are removed",
        source=source,
        fractions=steps,
        hits=hits,
        probabilities=probabilities,
        ties=float(np.mean(ties)) if ties else 0.0,
        settings={
            "order": order,
            "baseline": baseline_name(baseline),
            "seed": seed,
        },
    )
