import dataclasses
from collections.abc import Callable
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops
from scipy import stats

from keras_facnn.attribution import grad_cam
from keras_facnn.attribution.gradient_cam import grad_cams
from keras_facnn.checks import check_bool
from keras_facnn.checks import check_callable
from keras_facnn.checks import check_fa_model
from keras_facnn.checks import check_float
from keras_facnn.checks import check_int
from keras_facnn.checks import check_maps
from keras_facnn.checks import images_for
from keras_facnn.checks import one_class_an_image
from keras_facnn.checks import real_array
from keras_facnn.forward import kept_function
from keras_facnn.forward import logits_of
from keras_facnn.forward import progress_bar
from keras_facnn.forward import run
from keras_facnn.maps import constant_maps
from keras_facnn.maps import places_by_value
from keras_facnn.maps import strongest_rivals
from keras_facnn.metrics.result import Result
from keras_facnn.metrics.result import name_of
from keras_facnn.types import Classes
from keras_facnn.types import Images
from keras_facnn.types import LayerName
from keras_facnn.types import Maps


def pearson(maps: Maps, reference: Maps) -> np.ndarray:
    """Pearson correlation of each map with its reference.

    Args:
        maps: Array `(B, h, w)` or `(B, h, w, C)`.
        reference: Array of the same shape.

    Returns:
        A float64 NumPy array `(B,)` or `(B, C)`, in -1..1. NaN where a map is
        constant, since no correlation exists then.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> maps = np.array([[[0.0, 1.0], [2.0, 3.0]]])
    >>> keras_facnn.metrics.pearson(maps, 1 - 2 * maps).tolist()
    [-1.0]
    """
    maps, reference = _check(maps, reference)
    return (_standardise(maps) * _standardise(reference)).sum(axis=(1, 2))


def spearman(maps: Maps, reference: Maps) -> np.ndarray:
    """Spearman's rank correlation of each map with its reference.

    Ties get their mean rank.

    Args:
        maps: Array `(B, h, w)` or `(B, h, w, C)`.
        reference: Array of the same shape.

    Returns:
        A float64 NumPy array `(B,)` or `(B, C)`, in -1..1; NaN where a map is
        constant.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> maps = np.array([[[0.0, 1.0], [2.0, 3.0]]])
    >>> keras_facnn.metrics.spearman(maps, np.exp(maps)).tolist()
    [1.0]
    """
    maps, reference = _check(maps, reference)

    def ranks(x):
        flat = x.reshape(x.shape[0], -1, *x.shape[3:])
        return stats.rankdata(flat, axis=1).reshape(x.shape)

    return pearson(ranks(maps), ranks(reference))


def top_iou(maps: Maps, reference: Maps, fraction: float = 0.2) -> np.ndarray:
    """Intersection over union of the brightest places of two maps.

    Of each map the `fraction` of largest values is taken, earlier places first
    among equal ones.

    Args:
        maps: Array `(B, h, w)` or `(B, h, w, C)`.
        reference: Array of the same shape.
        fraction: Float in (0, 1), the share of places to take.

    Returns:
        A float64 NumPy array `(B,)` or `(B, C)`, in 0..1; NaN where a map is
        constant.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> maps = np.array([[[0.0, 1.0], [2.0, 3.0]]])
    >>> keras_facnn.metrics.top_iou(maps, -maps, fraction=0.5).tolist()
    [0.0]
    """
    maps, reference = _check(maps, reference)
    fraction = check_float("fraction", fraction, above=0, below=1)
    count = max(1, round(fraction * maps.shape[1] * maps.shape[2]))

    def top(x):
        order = places_by_value(x)
        chosen = np.zeros(order.shape, bool)
        np.put_along_axis(chosen, order[:, :count], True, axis=1)
        return chosen

    a, b = top(maps), top(reference)
    iou = (a & b).sum(axis=1) / (a | b).sum(axis=1)
    constant = constant_maps(maps) | constant_maps(reference)
    return np.where(constant[:, 0, 0], np.nan, iou)


@dataclasses.dataclass
class SimilarityByDepth(Result):
    """Similarity of raw class maps to a reference at each layer.

    Attributes:
        layers: Numbers of the FA layers.
        values: Array `(layers, B)`, one value an image; NaN where undefined.
        mean: Mean over the images where it is defined, one a layer.
        interval: Half width of the mean's 95 % confidence interval, by the
            normal approximation.
        undefined: Number of images without a value.
        settings: What it was made with.
    """

    layers: list
    values: np.ndarray
    mean: list
    interval: list
    undefined: list
    settings: dict

    columns = ("layers", "mean", "interval", "undefined")


def similarity_by_depth(
    model: keras.Model,
    images: Images,
    classes: Classes = None,
    *,
    layers: Sequence[LayerName] | None = None,
    metric: Callable = pearson,
    reference: Callable = grad_cam,
    contrast: bool = False,
    batch_size: int = 32,
    verbose: int = 0,
) -> SimilarityByDepth:
    """Similarity of an FA-CNN's raw class maps to Grad-CAM, layer by layer.

    Maps of all classes may be alike, where all see the same object. Then a map
    is like Grad-CAM of another class too; `contrast` takes off what the two
    classes share.

    Source: FA-CNN, arXiv 2603.25798, Figure 1; `contrast` is ours.

    Args:
        model: A `FACNN`.
        images: Array `(B, H, W, channels)`, 0..255.
        classes: None for the predicted class of each image, an integer, or a
            sequence of B integers.
        layers: Numbers or names of FA layers; None is all.
        metric: Function of maps and reference, both `(B, h, w)`, to one value
            an image, such as `pearson`, `spearman` or `top_iou`.
        reference: Attribution to compare with, called as `grad_cam` is, for
            each layer of a batch: a function of model, images and classes, and
            of `layer`, the name `"fa_l"`, and `batch_size`. Grad-CAM itself
            takes one pass for all.
        contrast: Whether to compare differences of maps, those of the class
            less those of its strongest rival, the other class with the largest
            logit.
        batch_size: Positive integer, images a forward pass.
        verbose: 1 shows a progress bar, 0 does not.

    Returns:
        A `SimilarityByDepth`.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> result = keras_facnn.metrics.similarity_by_depth(model, images)
    >>> round(result.mean[-1], 4)
    1.0
    """
    check_fa_model(model)
    check_callable("metric", metric)
    check_callable("reference", reference)
    check_bool("contrast", contrast)
    check_int("batch_size", batch_size)
    levels = model.fa_levels(layers)
    if not levels:
        raise ValueError(
            f"`layers` must name a layer at least. Received: layers={layers!r}"
        )
    images = images_for(model, images)
    bar = progress_bar(len(images), verbose, "image")
    classes = one_class_an_image(model.check_classes(classes, len(images)))
    if contrast or classes is None:
        logits = logits_of(model, images, batch_size)
    if classes is None:
        classes = logits.argmax(axis=-1)
    classes = np.broadcast_to(classes, len(images))
    if contrast:
        rivals = strongest_rivals(logits, classes)

    def maps_of(start, classes):
        some = slice(start, start + batch_size)
        return _maps_by_depth(
            model,
            images[some],
            classes[some],
            reference,
            levels,
            batch_size,
            one_size=start > 0,
        )

    parts = []
    for start in range(0, len(images), batch_size):
        pairs = maps_of(start, classes)
        if contrast:
            others = maps_of(start, rivals)
            pairs = [
                (a - c, b - d)
                for (a, b), (c, d) in zip(pairs, others, strict=True)
            ]
        parts.append([metric(maps, referred) for maps, referred in pairs])
        bar.add(len(images[start : start + batch_size]))
    values = np.concatenate(parts, axis=1)
    defined = (~np.isnan(values)).sum(axis=1)
    filled = np.ma.masked_invalid(values)
    error = filled.std(axis=1, ddof=1) / np.sqrt(np.maximum(defined, 1))
    return SimilarityByDepth(
        layers=levels,
        values=values,
        mean=filled.mean(axis=1).filled(np.nan).tolist(),
        interval=(1.96 * error).filled(np.nan).tolist(),
        undefined=(values.shape[1] - defined).tolist(),
        settings={
            "metric": name_of(metric),
            "reference": name_of(reference),
            "contrast": contrast,
            "images": values.shape[1],
        },
    )


def _maps_by_depth(
    model, images, classes, reference, layers, batch_size, one_size
):
    """Raw class maps, and a reference's, of one class an image.

    Returns:
        A list of pairs of arrays `(B, h, w)`, one a layer.
    """
    names = [f"fa_{n}" for n in layers]
    maps = _own_maps(model, images, classes, names, batch_size, one_size)
    if reference is grad_cam:
        references = grad_cams(
            model, images, classes, names, batch_size, one_size
        )
    else:
        references = [
            reference(model, images, classes, layer=n, batch_size=batch_size)
            for n in names
        ]
    return list(zip(maps, references, strict=True))


def _own_maps(model, images, classes, names, batch_size, one_size):
    """Raw class maps `(B, h, w)` at each layer, by one forward pass."""

    def make():
        features = model.feature_extractor(names)

        def read(x, targets):
            outputs = features(x, training=False)
            targets = ops.cast(targets, "int32")
            chosen = ops.one_hot(targets, model.num_classes)[:, None, None]
            return [
                ops.sum(model.head.class_maps(outputs[name]) * chosen, axis=-1)
                for name in names
            ]

        return read

    function = kept_function(model, (_own_maps, *names), make)
    return run(function, (images, classes), batch_size, one_size=one_size)


def _check(maps, reference):
    maps = real_array("maps", maps)
    reference = real_array("reference", reference)
    if maps.shape != reference.shape:
        raise ValueError(
            "`maps` and `reference` must have the same shape, (B, h, w) or "
            f"(B, h, w, C). Received: maps of shape {maps.shape}, reference of "
            f"shape {reference.shape}"
        )
    maps = check_maps(maps, ndim=(3, 4))
    reference = check_maps(reference, ndim=(3, 4), name="reference")
    return maps, reference


def _standardise(maps):
    """Maps of mean 0 and norm 1; NaN where constant."""
    centred = maps - maps.mean(axis=(1, 2), keepdims=True)
    varies = np.broadcast_to(~constant_maps(maps), maps.shape)
    nothing = np.full_like(maps, np.nan)
    # Of size 1, so that no square vanishes.
    largest = np.abs(centred).max(axis=(1, 2), keepdims=True)
    centred = np.divide(centred, largest, out=nothing.copy(), where=varies)
    with np.errstate(under="ignore"):
        norm = np.sqrt((centred**2).sum(axis=(1, 2), keepdims=True))
    return np.divide(centred, norm, out=nothing, where=varies)
