"""Delete or insert pixels, as RISE's metrics do."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_facnn._checks.arrays import check_fractions
from keras_facnn.attribution._imputation import baseline_images
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
from keras_facnn.types import Baseline
from keras_facnn.types import Images
from keras_facnn.types import Labels
from keras_facnn.types import Maps


@dataclasses.dataclass(eq=False, kw_only=True)
class ProbabilityCurve(Result):
    """Class probability by the fraction of changed pixels.

    The `values` are the areas under each image's curve, by trapezoid, in 0..1.
    Images whose map is constant, and so gives no order, are NaN.

    Attributes:
        fractions: Fractions of deleted or inserted pixels, from 0 to 1.
        probabilities: Array `(B, fractions)`, the probability of the class.

    Example:

    >>> from keras_facnn.metrics import ProbabilityCurve
    >>> result = ProbabilityCurve(
    ...     values=[0.5],
    ...     metric="deletion",
    ...     fractions=[0, 1],
    ...     probabilities=[[0.9, 0.1]],
    ... )
    >>> result.probability, result.auc
    ([0.9, 0.1], 0.5)
    """

    fractions: list[float]
    probabilities: np.ndarray

    _derived = (*Result._derived, "probability")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.probabilities = np.array(self.probabilities, "float64")

    @property
    def probability(self) -> list[float]:
        """Mean probability of the class, at each fraction."""
        return mean_without_nan(self.probabilities, axis=0).tolist()

    @property
    def auc(self) -> float:
        """Mean area under the curves: the mean of `values`."""
        return self.mean

    def curve(self) -> Any:
        """Return a `pandas.DataFrame` of one row per fraction."""
        import pandas

        low, high = bootstrap(self.probabilities)
        return pandas.DataFrame(
            {
                "fraction": self.fractions,
                "probability": self.probability,
                "low": low,
                "high": high,
            }
        )


def deletion(
    model: keras.Model,
    images: Images,
    labels: Labels,
    maps: Maps,
    *,
    fractions: Sequence[float] | None = None,
    baseline: Baseline = 0.0,
    from_logits: bool | None = None,
    batch_size: int = 16,
    verbose: int = 0,
) -> ProbabilityCurve:
    """Compute RISE's deletion metric: a lower area means better maps.

    Pixels are set to `baseline`, the most relevant first.

    Source: Petsiuk et al., "RISE", arXiv 1806.07421, section 4.2.

    Args:
        model: `keras.Model` from images `(B, H, W, channels)` to `(B, C)`.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        labels: B integers, the classes whose probability is measured, or names
            if the model knows them.
        maps: Array `(B, h, w)`, of any resolution and scale.
        fractions: As in `pixel_removal`.
        baseline: As in `pixel_removal`, except `"road"`.
        from_logits: Whether the model's outputs are logits. Then their softmax
            gives the probabilities, or their sigmoid for an FA-CNN with a
            threshold. If None, outputs count as probabilities if the last layer
            has a sigmoid, or if they are in 0..1 and sum to 1.
        batch_size: Positive integer, altered images per forward pass.
        verbose: 1 shows a progress bar, 0 does not.

    Returns:
        A `ProbabilityCurve`.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> maps = model.class_maps(images, classes=[3, 5])
    >>> result = keras_facnn.metrics.deletion(model, images, [3, 5], maps)
    >>> 0 <= result.auc <= 1
    True
    """
    images, labels = check_images_and_labels(model, images, labels)
    return _probability_curve(
        model,
        images,
        baseline_images(images, baseline),
        labels,
        maps,
        fractions,
        baseline,
        metric="deletion",
        from_logits=from_logits,
        batch_size=batch_size,
        verbose=verbose,
    )


def insertion(
    model: keras.Model,
    images: Images,
    labels: Labels,
    maps: Maps,
    *,
    fractions: Sequence[float] | None = None,
    baseline: Baseline = "blur",
    from_logits: bool | None = None,
    batch_size: int = 16,
    verbose: int = 0,
) -> ProbabilityCurve:
    """Compute RISE's insertion metric: a higher area means better maps.

    Pixels of the image are put onto `baseline`, the most relevant first.

    Source: Petsiuk et al., "RISE", arXiv 1806.07421, section 4.2.

    Args:
        model: `keras.Model` from images `(B, H, W, channels)` to `(B, C)`.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        labels: B integers, the classes whose probability is measured, or names
            if the model knows them.
        maps: Array `(B, h, w)`, of any resolution and scale.
        fractions: As in `pixel_removal`.
        baseline: As in `pixel_removal`, except `"road"`.
        from_logits: Whether the model's outputs are logits. Then their softmax
            gives the probabilities, or their sigmoid for an FA-CNN with a
            threshold. If None, outputs count as probabilities if the last layer
            has a sigmoid, or if they are in 0..1 and sum to 1.
        batch_size: Positive integer, altered images per forward pass.
        verbose: 1 shows a progress bar, 0 does not.

    Returns:
        A `ProbabilityCurve`.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> maps = model.class_maps(images, classes=[3, 5])
    >>> result = keras_facnn.metrics.insertion(model, images, [3, 5], maps)
    >>> 0 <= result.auc <= 1
    True
    """
    images, labels = check_images_and_labels(model, images, labels)
    return _probability_curve(
        model,
        baseline_images(images, baseline),
        images,
        labels,
        maps,
        fractions,
        baseline,
        metric="insertion",
        from_logits=from_logits,
        batch_size=batch_size,
        verbose=verbose,
    )


def _probability_curve(
    model: keras.Model,
    starts: np.ndarray,
    ends: np.ndarray,
    labels: np.ndarray,
    maps: Maps,
    fractions: Sequence[float] | None,
    baseline: Baseline,
    metric: str,
    **options: Any,
) -> ProbabilityCurve:
    """Change images from `starts` to `ends`, the most relevant pixels first."""
    size = starts.shape[1:3]
    steps = check_fractions(fractions)
    maps, ordered = check_varying_maps(maps, starts)
    maps, labels = maps[ordered], labels[ordered]
    starts, ends = starts[ordered], ends[ordered]
    ties: list[float] = []
    orders = (order_of_pixels(map_, size, ties) for map_ in maps)

    def change(index: int, pixels: np.ndarray) -> np.ndarray:
        return replace_pixels(starts[index], ends[index], pixels)

    p = curves_of_probabilities(
        model, orders, change, starts.shape, steps, **options
    )
    p = p[:, np.arange(len(labels)), labels]
    probabilities = spread_rows(p.T, ordered)
    return ProbabilityCurve(
        values=np.trapezoid(probabilities, steps, axis=1),
        metric=metric,
        higher_is_better=metric == "insertion",
        definition="the area under the probability by the fraction of pixels "
        f"after their {metric}",
        source="Petsiuk et al. 2018, arXiv 1806.07421, section 4.2",
        fractions=steps,
        probabilities=probabilities,
        ties=float(np.mean(ties)),
        settings={"baseline": baseline_name(baseline)},
    )
