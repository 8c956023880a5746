"""Delete or insert pixels, as RISE's metrics do."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_facnn._checks.arrays import check_fractions
from keras_facnn.attribution._imputation import baseline_images
from keras_facnn.metrics._pixel_curves import altered_probabilities
from keras_facnn.metrics._pixel_curves import baseline_name
from keras_facnn.metrics._pixel_curves import check_images_and_labels
from keras_facnn.metrics._pixel_curves import check_ordering_maps
from keras_facnn.metrics._pixel_curves import order_of_pixels
from keras_facnn.metrics._pixel_curves import replace_pixels
from keras_facnn.metrics._result import Result
from keras_facnn.types import Baseline
from keras_facnn.types import Images
from keras_facnn.types import Labels
from keras_facnn.types import Maps


@dataclasses.dataclass
class ProbabilityCurve(Result):
    """Class probability by the fraction of changed pixels.

    Attributes:
        fractions: Fractions of deleted or inserted pixels, from 0 to 1.
        probability: Mean probability of the class.
        auc: Mean area under each image's curve, by trapezoid, in 0..1.
        values: Array `(B,)`, the area of each image; NaN where the map is
            constant and gives no order.
        settings: The settings that gave this result.
        ties: Share of neighbors in the order that have equal values, so that
            only their locations decide the order.
        undefined: Number of images that are left out, because they have no
            value.

    Example:

    >>> import numpy as np
    >>> from keras_facnn.metrics import ProbabilityCurve
    >>> values = np.array([0.5])
    >>> result = ProbabilityCurve([0, 1], [0.9, 0.1], 0.5, values, {})
    >>> result.to_dataframe().shape
    (2, 2)
    """

    fractions: list[float]
    probability: list[float]
    auc: float
    values: np.ndarray
    settings: dict[str, Any]
    ties: float = 0.0
    undefined: int = 0

    columns = ("fractions", "probability")


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
        {"metric": "deletion", "baseline": baseline_name(baseline)},
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
        {"metric": "insertion", "baseline": baseline_name(baseline)},
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
    settings: dict[str, Any],
    **options: Any,
) -> ProbabilityCurve:
    """Change images from `starts` to `ends`, the most relevant pixels first."""
    size = starts.shape[1:3]
    steps = check_fractions(fractions)
    maps, ordered = check_ordering_maps(maps, starts)
    maps, labels = maps[ordered], labels[ordered]
    starts, ends = starts[ordered], ends[ordered]
    ties: list[float] = []
    orders = (order_of_pixels(map_, size, ties) for map_ in maps)

    def change(index: int, pixels: np.ndarray) -> np.ndarray:
        return replace_pixels(starts[index], ends[index], pixels)

    p = altered_probabilities(
        model, orders, change, starts.shape, steps, **options
    )
    p = p[:, np.arange(len(labels)), labels]
    areas = np.trapezoid(p, steps, axis=0)
    values = np.full(len(ordered), np.nan)
    values[ordered] = areas
    return ProbabilityCurve(
        fractions=steps,
        probability=p.mean(axis=1).tolist(),
        auc=float(areas.mean()),
        values=values,
        settings={**settings, "images": len(starts)},
        ties=float(np.mean(ties)),
        undefined=int((~ordered).sum()),
    )
