import dataclasses
import itertools
import math
import typing
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_facnn._backend.forward import compiled_scores_function
from keras_facnn._backend.forward import progress_bar
from keras_facnn._backend.forward import run_in_batches
from keras_facnn._checks.arguments import check_bool
from keras_facnn._checks.arguments import check_option
from keras_facnn._checks.arrays import as_float32
from keras_facnn._checks.arrays import check_fractions
from keras_facnn._checks.arrays import check_maps
from keras_facnn._checks.classes import check_labels
from keras_facnn._checks.images import check_images_for
from keras_facnn._checks.models import check_finite_outputs
from keras_facnn._checks.models import classifier_shapes
from keras_facnn._checks.numbers import check_float
from keras_facnn._checks.numbers import check_int
from keras_facnn._checks.numbers import check_memory
from keras_facnn._checks.numbers import check_seed
from keras_facnn._checks.numbers import is_number
from keras_facnn._graph.probabilities import has_several_labels
from keras_facnn._graph.probabilities import probabilities_function
from keras_facnn.attribution._imputation import baseline_images
from keras_facnn.attribution._imputation import impute
from keras_facnn.maps import are_constant
from keras_facnn.maps import locations_by_value
from keras_facnn.maps import resize_maps
from keras_facnn.metrics._result import Result
from keras_facnn.metrics._result import interval_half_width
from keras_facnn.types import Baseline
from keras_facnn.types import Images
from keras_facnn.types import Labels
from keras_facnn.types import Maps
from keras_facnn.types import Order


@dataclasses.dataclass
class PixelRemoval(Result):
    """Accuracy and class probability against the fraction of pixels removed.

    Attributes:
        fractions: Fractions of pixels removed, from 0 to 1.
        accuracy: Share of images still classified as their label. Where images
            may have several labels, share of those whose label still has a
            probability above a half, whatever the other classes have.
        probability: Mean probability of the label.
        accuracy_auc: Area under the accuracy, by trapezoid, in 0..1.
        probability_auc: Area under the probability.
        ties: Share of neighbors in the order of removal whose values are
            equal, so that their place alone decides.
        settings: What it was made with.
        accuracy_interval: Half the width of the 95 % confidence interval of
            `accuracy_auc`, over images; NaN for a single one.
        undefined: Number of images whose map is constant, so that it gives no
            order; they are left out.
    """

    fractions: list
    accuracy: list
    probability: list
    accuracy_auc: float
    probability_auc: float
    ties: float
    settings: dict
    accuracy_interval: float = math.nan
    undefined: int = 0

    columns = ("fractions", "accuracy", "probability")


def pixel_removal(
    model: keras.Model,
    images: Images,
    labels: Labels,
    maps: Maps,
    *,
    order: Order = "most_relevant_first",
    fractions: Sequence[float] | None = None,
    baseline: Baseline = "mean",
    noise: float = 0.01,
    from_logits: bool | None = None,
    seed: int = 0,
    batch_size: int = 16,
    verbose: int = 0,
) -> PixelRemoval:
    """Removes pixels in the order that maps give, and watches the accuracy.

    A good map's most relevant pixels take the accuracy down fast, its least
    relevant ones slowly; random order is the control. Maps are resized to
    pixels; all channels of a pixel go together; of equal values the earlier
    goes first (`argsort(-map, kind="stable")`).

    Where images may have several labels, since the model is an FA-CNN with a
    threshold or ends in a sigmoid, `labels` are one of each image's own.

    Source: FA-CNN, arXiv 2603.25798, Figure 4; the ROAD baseline is Rong et
    al., arXiv 2202.00449.

    Args:
        model: `keras.Model` from images `(B, H, W, channels)` to `(B, C)`.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        labels: B integers, or names where the model knows them.
        maps: Array `(B, h, w)`, of any resolution and scale.
        order: `"most_relevant_first"`, `"least_relevant_first"` or `"random"`,
            which ignores `maps`.
        fractions: Increasing numbers from 0 to 1, both included. None is 0,
            0.05, ... 1.
        baseline: What stands in for removed pixels: a number, `"mean"` (each
            image's own color), `"blur"`, an array that broadcasts to
            `images`, such as the data set's mean color, or `"road"`: noisy
            linear imputation from the pixels left (an image with none left is
            its own mean color).
        noise: Non-negative number, the standard deviation of ROAD's noise as a
            fraction of the range of `images`.
        from_logits: Whether the model's outputs are logits, whose softmax is
            the probability, or their sigmoid, of an FA-CNN with a threshold.
            None looks: the outputs of a last layer with a sigmoid, and those
            in 0..1 that sum to 1, are probabilities already.
        seed: Non-negative integer, of random order and of ROAD's noise.
        batch_size: Positive integer, altered images held at once.
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
    images, labels = _check_inputs(model, images, labels)
    size = images.shape[1:3]
    ties: list[float] = []
    undefined = 0

    if order == "random":
        orders = (rng.permutation(math.prod(size)) for _ in images)
    else:
        maps, ordered = _check_maps(maps, images)
        undefined = int((~ordered).sum())
        maps, images, labels = maps[ordered], images[ordered], labels[ordered]
        sign = 1 if order == "most_relevant_first" else -1
        orders = (_order(sign * map_, size, ties) for map_ in maps)

    if isinstance(baseline, str) and baseline == "road":
        scale = noise * float(np.ptp(images))

        def remove(index: int, pixels: np.ndarray) -> np.ndarray:
            return impute(images[index], pixels, scale, rng)

    else:
        others = baseline_images(images, baseline)

        def remove(index: int, pixels: np.ndarray) -> np.ndarray:
            return _replace(images[index], others[index], pixels)

    p = _curves(
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
    accuracy, probability = hit.mean(axis=1), of_label.mean(axis=1)
    areas = np.trapezoid(hit.astype("float64"), steps, axis=0)
    return PixelRemoval(
        fractions=steps,
        accuracy=accuracy.tolist(),
        probability=probability.tolist(),
        accuracy_auc=float(areas.mean()),
        accuracy_interval=interval_half_width(areas),
        probability_auc=float(np.trapezoid(probability, steps)),
        ties=float(np.mean(ties)) if ties else 0.0,
        undefined=undefined,
        settings={
            "order": order,
            "baseline": _name(baseline),
            "images": len(images),
            "seed": seed,
        },
    )


@dataclasses.dataclass
class ProbabilityCurve(Result):
    """Class probability against the fraction of pixels changed.

    Attributes:
        fractions: Fractions of pixels deleted or inserted, from 0 to 1.
        probability: Mean probability of the class.
        auc: Mean area under each image's curve, by trapezoid, in 0..1.
        values: Array `(B,)`, the area of each image; NaN where the map is
            constant, so that it gives no order.
        settings: What it was made with.
        ties: Share of neighbors in the order whose values are equal, so that
            only their place decides.
        undefined: Number of images without a value; they are left out.
    """

    fractions: list
    probability: list
    auc: float
    values: np.ndarray
    settings: dict
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
    """RISE's deletion metric: the lower its area, the better the maps.

    Pixels are set to `baseline`, most relevant first.

    Source: Petsiuk et al., "RISE", arXiv 1806.07421, section 4.2.

    Args:
        model: `keras.Model` from images `(B, H, W, channels)` to `(B, C)`.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        labels: B integers, the classes whose probability is watched.
        maps: Array `(B, h, w)`, of any resolution and scale.
        fractions: As in `pixel_removal`.
        baseline: As in `pixel_removal`, but for `"road"`.
        from_logits: Whether the model's outputs are logits, whose softmax is
            the probability, or their sigmoid, of an FA-CNN with a threshold.
            None looks: the outputs of a last layer with a sigmoid, and those
            in 0..1 that sum to 1, are probabilities already.
        batch_size: Positive integer, altered images held at once.
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
    images, labels = _check_inputs(model, images, labels)
    return _probability_curve(
        model,
        images,
        baseline_images(images, baseline),
        labels,
        maps,
        fractions,
        {"metric": "deletion", "baseline": _name(baseline)},
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
    """RISE's insertion metric: the higher its area, the better the maps.

    Pixels of the image are put onto `baseline`, most relevant first.

    Source: Petsiuk et al., "RISE", arXiv 1806.07421, section 4.2.

    Args:
        model: `keras.Model` from images `(B, H, W, channels)` to `(B, C)`.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        labels: B integers, the classes whose probability is watched.
        maps: Array `(B, h, w)`, of any resolution and scale.
        fractions: As in `pixel_removal`.
        baseline: As in `pixel_removal`, but for `"road"`.
        from_logits: Whether the model's outputs are logits, whose softmax is
            the probability, or their sigmoid, of an FA-CNN with a threshold.
            None looks: the outputs of a last layer with a sigmoid, and those
            in 0..1 that sum to 1, are probabilities already.
        batch_size: Positive integer, altered images held at once.
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
    images, labels = _check_inputs(model, images, labels)
    return _probability_curve(
        model,
        baseline_images(images, baseline),
        images,
        labels,
        maps,
        fractions,
        {"metric": "insertion", "baseline": _name(baseline)},
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
    size = starts.shape[1:3]
    fractions = check_fractions(fractions)
    maps, ordered = _check_maps(maps, starts)
    maps, labels = maps[ordered], labels[ordered]
    starts, ends = starts[ordered], ends[ordered]
    ties: list[float] = []
    orders = (_order(map_, size, ties) for map_ in maps)

    def change(index: int, pixels: np.ndarray) -> np.ndarray:
        return _replace(starts[index], ends[index], pixels)

    p = _curves(model, orders, change, starts.shape, fractions, **options)
    p = p[:, np.arange(len(labels)), labels]
    areas = np.trapezoid(p, fractions, axis=0)
    values = np.full(len(ordered), np.nan)
    values[ordered] = areas
    return ProbabilityCurve(
        fractions=fractions,
        probability=p.mean(axis=1).tolist(),
        auc=float(areas.mean()),
        values=values,
        settings={**settings, "images": len(starts)},
        ties=float(np.mean(ties)),
        undefined=int((~ordered).sum()),
    )


def _name(baseline: Baseline) -> str | float:
    return (
        baseline
        if isinstance(baseline, str) or is_number(baseline)
        else "array"
    )


def _curves(
    model: keras.Model,
    orders: Iterable[np.ndarray],
    change: Callable[[int, np.ndarray], np.ndarray],
    shape: tuple[int, ...],
    fractions: Sequence[float],
    *,
    from_logits: bool | None,
    batch_size: int,
    verbose: int,
) -> np.ndarray:
    """Probabilities `(fractions, B, C)` of images that are altered lazily."""
    total, height, width, channels = shape
    counts = [round(f * height * width) for f in fractions]
    batch_size = min(check_int("batch_size", batch_size), total * len(counts))
    check_memory("`batch_size` and `images`", batch_size, *shape[1:])
    if from_logits is not None:
        from_logits = check_bool("from_logits", from_logits)
    function = compiled_scores_function(model)
    as_probabilities = probabilities_function(model, from_logits)
    altered = (
        change(index, order[:count])
        for index, order in enumerate(orders)
        for count in counts
    )
    bar = progress_bar(total * len(counts), verbose, "image")
    parts: list[np.ndarray] = []
    while batch := list(itertools.islice(altered, batch_size)):
        # A last smaller batch would be compiled by itself.
        batch += batch[-1:] * (batch_size - len(batch))
        outputs = run_in_batches(function, np.stack(batch), batch_size)
        check_finite_outputs(outputs)
        parts.append(as_probabilities(outputs))
        bar.update(min(len(parts) * batch_size, total * len(counts)))
    p = np.concatenate(parts)[: total * len(counts)]
    return np.moveaxis(p.reshape(total, len(counts), -1), 1, 0)


def _replace(
    image: np.ndarray, other: np.ndarray, pixels: np.ndarray
) -> np.ndarray:
    changed = image.reshape(-1, image.shape[-1]).copy()
    changed[pixels] = other.reshape(-1, image.shape[-1])[pixels]
    return changed.reshape(image.shape)


def _check_maps(
    maps: Maps, images: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Checked maps, and whether each gives an order: bools `(B,)`."""
    maps = check_maps(maps, batch=len(images))
    ordered = ~are_constant(maps)[:, 0, 0]
    if not ordered.any():
        raise ValueError(
            "`maps` must not all be constant, or they give no order. Received: "
            f"{len(maps)} constant maps"
        )
    return maps, ordered


def _order(
    map_: np.ndarray, size: tuple[int, int], ties: list[float]
) -> np.ndarray:
    """Pixels, most relevant first; the share of ties is added to `ties`."""
    map_ = map_[None] if map_.shape == size else resize_maps(map_[None], size)
    (order,) = locations_by_value(map_)
    ties.append(float((np.diff(map_.ravel()[order]) == 0).mean()))
    return order


def _check_inputs(
    model: keras.Model, images: Images, labels: Labels
) -> tuple[np.ndarray, np.ndarray]:
    _, num_classes = classifier_shapes(model)
    if num_classes is None or num_classes < 2:
        raise ValueError(
            "`model` must put out at least two classes, of whose probabilities "
            f"this is the measure. Received: {num_classes}"
        )
    images = as_float32(check_images_for(model, images))
    names = getattr(model, "class_names", None)
    return images, check_labels(labels, len(images), num_classes, names)
