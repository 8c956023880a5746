import dataclasses
import itertools
import math

import keras
import numpy as np
from keras import ops
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import spsolve

from keras_facnn.checks import check_images
from keras_facnn.checks import check_int
from keras_facnn.checks import classifier_shapes
from keras_facnn.imputation import baseline_images
from keras_facnn.maps import resize_maps
from keras_facnn.metrics.result import Result

_ORDERS = ("most_relevant_first", "least_relevant_first", "random")


@dataclasses.dataclass
class PixelRemoval(Result):
    """Accuracy and class probability against the fraction of pixels removed.

    Attributes:
        fractions: Fractions of pixels removed, from 0 to 1.
        accuracy: Share of images still classified as their label.
        probability: Mean softmax probability of the label.
        accuracy_auc: Area under the accuracy, by trapezoid, in 0..1.
        probability_auc: Area under the probability.
        ties: Share of neighbours in the order of removal whose values are
            equal, so that their place alone decides.
        settings: What it was made with.
    """

    fractions: list
    accuracy: list
    probability: list
    accuracy_auc: float
    probability_auc: float
    ties: float
    settings: dict

    columns = ("fractions", "accuracy", "probability")


def pixel_removal(
    model,
    images,
    labels,
    maps,
    *,
    order="most_relevant_first",
    fractions=None,
    baseline="mean",
    noise=0.01,
    from_logits=True,
    seed=0,
    batch_size=16,
    verbose=0,
):
    """Removes pixels in the order that maps give, and watches the accuracy.

    A good map's most relevant pixels take the accuracy down fast, its least
    relevant ones slowly; random order is the control. Maps are resized to
    pixels; all channels of a pixel go together; of equal values the earlier
    goes first (`argsort(-map, kind="stable")`).

    Source: FA-CNN, arXiv 2603.25798, Figure 4; the ROAD baseline is Rong et
    al., arXiv 2202.00449.

    Args:
        model: `keras.Model` from images `(B, H, W, channels)` to `(B, C)`.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        labels: B integers.
        maps: Array `(B, h, w)`, of any resolution and scale.
        order: `"most_relevant_first"`, `"least_relevant_first"` or `"random"`,
            which ignores `maps`.
        fractions: Increasing numbers from 0 to 1, both included. None is 0,
            0.05, ... 1.
        baseline: What stands in for removed pixels: a number, `"mean"` (each
            image's own colour), `"blur"`, an array that broadcasts to
            `images`, such as the data set's mean colour, or `"road"`: noisy
            linear imputation from the pixels left (an image with none left is
            its own mean colour).
        noise: Non-negative float, the standard deviation of ROAD's noise as a
            fraction of the range of `images`.
        from_logits: Whether the model's outputs are logits.
        seed: Integer, of random order and of ROAD's noise.
        batch_size: Positive integer, altered images held at once.
        verbose: 1 shows a progress bar, 0 does not.

    Returns:
        A `PixelRemoval`.

    Raises:
        ValueError: If a map is constant, so that it gives no order.

    Example:

    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> maps = model.class_maps(images, classes=[3, 5])
    >>> result = keras_facnn.metrics.pixel_removal(
    ...     model, images, [3, 5], maps, fractions=[0, 0.5, 1]
    ... )
    >>> len(result.accuracy)
    3
    """
    if order not in _ORDERS:
        raise ValueError(
            f"`order` must be one of {', '.join(_ORDERS)}. "
            f"Received: order={order!r}"
        )
    images, labels = _check_inputs(model, images, labels)
    rng = np.random.default_rng(seed)
    size = images.shape[1:3]
    ties = []

    if order == "random":
        orders = (rng.permutation(math.prod(size)) for _ in images)
    else:
        maps = _check_maps(maps, images)
        sign = 1 if order == "most_relevant_first" else -1
        orders = (_order(sign * map_, size, ties) for map_ in maps)

    if isinstance(baseline, str) and baseline == "road":
        scale = noise * float(np.ptp(images))

        def remove(index, pixels):
            return _impute(images[index], pixels, scale, rng)

    else:
        others = baseline_images(images, baseline)

        def remove(index, pixels):
            return _replace(images[index], others[index], pixels)

    fractions = _check_fractions(fractions)
    p = _curves(
        model,
        orders,
        remove,
        images.shape,
        fractions,
        from_logits=from_logits,
        batch_size=batch_size,
        verbose=verbose,
    )
    hit = p.argmax(axis=-1) == labels
    of_label = p[:, np.arange(len(labels)), labels]
    accuracy, probability = hit.mean(axis=1), of_label.mean(axis=1)
    return PixelRemoval(
        fractions=fractions,
        accuracy=accuracy.tolist(),
        probability=probability.tolist(),
        accuracy_auc=float(np.trapezoid(accuracy, fractions)),
        probability_auc=float(np.trapezoid(probability, fractions)),
        ties=float(np.mean(ties)) if ties else 0.0,
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
        probability: Mean softmax probability of the class.
        auc: Mean area under each image's curve, by trapezoid, in 0..1.
        values: Array `(B,)`, the area of each image.
        settings: What it was made with.
    """

    fractions: list
    probability: list
    auc: float
    values: np.ndarray
    settings: dict

    columns = ("fractions", "probability")


def deletion(
    model,
    images,
    labels,
    maps,
    *,
    fractions=None,
    baseline=0.0,
    from_logits=True,
    batch_size=16,
    verbose=0,
):
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
        from_logits: Whether the model's outputs are logits.
        batch_size: Positive integer, altered images held at once.
        verbose: 1 shows a progress bar, 0 does not.

    Returns:
        A `ProbabilityCurve`.

    Example:

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
    model,
    images,
    labels,
    maps,
    *,
    fractions=None,
    baseline="blur",
    from_logits=True,
    batch_size=16,
    verbose=0,
):
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
        from_logits: Whether the model's outputs are logits.
        batch_size: Positive integer, altered images held at once.
        verbose: 1 shows a progress bar, 0 does not.

    Returns:
        A `ProbabilityCurve`.

    Example:

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
    model, starts, ends, labels, maps, fractions, settings, **options
):
    size = starts.shape[1:3]
    orders = (_order(map_, size, []) for map_ in _check_maps(maps, starts))
    fractions = _check_fractions(fractions)

    def change(index, pixels):
        return _replace(starts[index], ends[index], pixels)

    p = _curves(model, orders, change, starts.shape, fractions, **options)
    p = p[:, np.arange(len(labels)), labels]
    areas = np.trapezoid(p, fractions, axis=0)
    return ProbabilityCurve(
        fractions=fractions,
        probability=p.mean(axis=1).tolist(),
        auc=float(areas.mean()),
        values=areas,
        settings={**settings, "images": len(starts)},
    )


def _name(baseline):
    return baseline if isinstance(baseline, (str, int, float)) else "array"


def _curves(
    model, orders, change, shape, fractions, *, from_logits, batch_size, verbose
):
    """Probabilities `(fractions, B, C)` of images that are altered lazily."""
    batch_size = check_int("batch_size", batch_size)
    total, height, width, _ = shape
    counts = [round(f * height * width) for f in fractions]
    altered = (
        change(index, order[:count])
        for index, order in enumerate(orders)
        for count in counts
    )
    bar = keras.utils.Progbar(
        total * len(counts), verbose=verbose, unit_name="image"
    )
    p = []
    while batch := list(itertools.islice(altered, batch_size)):
        outputs = np.asarray(model.predict_on_batch(np.stack(batch)), "float32")
        if from_logits:
            outputs = ops.convert_to_numpy(ops.softmax(outputs, axis=-1))
        p.append(outputs)
        bar.add(len(batch))
    p = np.concatenate(p).reshape(total, len(counts), -1)
    return np.moveaxis(p, 1, 0)


def _replace(image, other, pixels):
    changed = image.reshape(-1, image.shape[-1]).copy()
    changed[pixels] = other.reshape(-1, image.shape[-1])[pixels]
    return changed.reshape(image.shape)


def _check_maps(maps, images):
    maps = np.asarray(maps)
    if maps.ndim != 3 or len(maps) != len(images):
        raise ValueError(
            f"`maps` must have shape ({len(images)}, h, w), one map an image. "
            f"Received: maps of shape {maps.shape}"
        )
    if not np.isfinite(maps).all():
        raise ValueError("`maps` must be finite. Received: NaN or infinity")
    constant = np.flatnonzero(np.ptp(maps, axis=(1, 2)) == 0)
    if len(constant):
        raise ValueError(
            "`maps` must not be constant, or they give no order. Received: "
            f"{len(constant)} constant maps, of images {constant[:5].tolist()}"
            f"{' ...' if len(constant) > 5 else ''}"
        )
    return maps


def _order(map_, size, ties):
    """Pixels, most relevant first; the share of ties is added to `ties`."""
    if map_.shape != size:
        (map_,) = resize_maps(map_[None], size)
    flat = map_.ravel()
    order = np.argsort(-flat, kind="stable")
    ties.append(float((np.diff(flat[order]) == 0).mean()))
    return order


def _check_inputs(model, images, labels):
    image_shape, num_classes = classifier_shapes(model)
    images = check_images(images, image_shape).astype("float32")
    array = np.asarray(labels)
    if (
        array.shape != (len(images),)
        or array.dtype.kind not in "iu"
        or array.min() < 0
        or array.max() >= num_classes
    ):
        raise ValueError(
            f"`labels` must be {len(images)} integers from 0 to "
            f"{num_classes - 1}, one an image. Received: labels={labels!r}"
        )
    return images, array


def _check_fractions(fractions):
    if fractions is None:
        return np.linspace(0, 1, 21).tolist()
    array = np.asarray(fractions, "float64")
    if (
        array.ndim != 1
        or len(array) < 2
        or array[0] != 0
        or array[-1] != 1
        or (np.diff(array) <= 0).any()
    ):
        raise ValueError(
            "`fractions` must increase from 0 to 1, both included. "
            f"Received: fractions={fractions!r}"
        )
    return array.tolist()


# Neighbours of a pixel and their weights in ROAD's linear imputation.
_NEIGHBOURS = [
    (dy, dx, 1 / 12 if dy and dx else 1 / 6)
    for dy in (-1, 0, 1)
    for dx in (-1, 0, 1)
    if dy or dx
]


def _impute(image, pixels, noise, rng):
    """ROAD: each removed pixel is the weighted mean of its neighbours."""
    height, width, channels = image.shape
    if len(pixels) == 0:
        return image
    if len(pixels) == height * width:
        filled = np.broadcast_to(image.mean(axis=(0, 1)), image.shape)
        return filled + noise * rng.normal(size=image.shape)
    flat = image.reshape(-1, channels).astype("float64")
    unknown = np.full(height * width, -1)
    unknown[pixels] = np.arange(len(pixels))
    y, x = np.divmod(pixels, width)
    diagonal = np.zeros(len(pixels))
    right = np.zeros((len(pixels), channels))
    rows, columns, values = [], [], []
    for dy, dx, weight in _NEIGHBOURS:
        inside = np.flatnonzero(
            (y + dy >= 0) & (y + dy < height) & (x + dx >= 0) & (x + dx < width)
        )
        neighbours = (y + dy)[inside] * width + (x + dx)[inside]
        diagonal[inside] += weight
        missing = unknown[neighbours] >= 0
        rows.append(inside[missing])
        columns.append(unknown[neighbours[missing]])
        values.append(np.full(missing.sum(), -weight))
        right[inside[~missing]] += weight * flat[neighbours[~missing]]
    n = len(pixels)
    matrix = csc_matrix(
        (
            np.concatenate([*values, diagonal]),
            (
                np.concatenate([*rows, np.arange(n)]),
                np.concatenate([*columns, np.arange(n)]),
            ),
        ),
        shape=(n, n),
    )
    solution = spsolve(matrix, right).reshape(n, channels)
    changed = image.reshape(-1, channels).copy()
    changed[pixels] = solution + noise * rng.normal(size=solution.shape)
    return changed.reshape(image.shape)
