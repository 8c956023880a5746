import dataclasses
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from scipy import stats

from keras_facnn._backend.cache import cached_function
from keras_facnn._backend.forward import compute_scores
from keras_facnn._backend.forward import progress_bar
from keras_facnn._backend.forward import run_in_batches
from keras_facnn._checks.arguments import check_bool
from keras_facnn._checks.arguments import check_callable
from keras_facnn._checks.arrays import check_maps
from keras_facnn._checks.arrays import real_array
from keras_facnn._checks.classes import check_one_class_per_image
from keras_facnn._checks.images import check_images_for
from keras_facnn._checks.models import check_fa_model
from keras_facnn._checks.numbers import check_float
from keras_facnn._checks.numbers import check_int
from keras_facnn._checks.numbers import check_seed
from keras_facnn.attribution import grad_cam
from keras_facnn.attribution._gradient_cam import grad_cam_by_layer
from keras_facnn.explaining.reading import check_layers
from keras_facnn.maps import are_constant
from keras_facnn.maps import locations_by_value
from keras_facnn.maps import strongest_rivals
from keras_facnn.metrics._result import Result
from keras_facnn.metrics._result import function_name
from keras_facnn.metrics._shuffling import restored_weights
from keras_facnn.metrics._shuffling import shuffle_weights
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
    return (_standardize(maps) * _standardize(reference)).sum(axis=(1, 2))


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

    def ranks(x: Any) -> np.ndarray:
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

    def top(x: Any) -> np.ndarray:
        order = locations_by_value(x)
        chosen = np.zeros(order.shape, bool)
        np.put_along_axis(chosen, order[:, :count], True, axis=1)
        return chosen

    a, b = top(maps), top(reference)
    iou = (a & b).sum(axis=1) / (a | b).sum(axis=1)
    constant = are_constant(maps) | are_constant(reference)
    return np.where(constant[:, 0, 0], np.nan, iou)


@dataclasses.dataclass
class SimilarityByLayer(Result):
    """Similarity of class maps to a reference at each layer.

    Attributes:
        layers: Numbers of the FA layers.
        values: Array `(layers, B)`, one value an image; NaN where undefined.
        mean: Mean over the images where it is defined, one a layer.
        interval: Half width of the mean's 95 % confidence interval, by the
            normal approximation.
        undefined: Number of images without a value.
        settings: What it was made with.
        controls: Empty, or a `SimilarityByLayer` each by name: what the maps
            of another image, `"other_image"`, and of a model that forgot all,
            `"shuffled_weights"`, have in common with the same reference.
    """

    layers: list
    values: np.ndarray
    mean: list
    interval: list
    undefined: list
    settings: dict
    controls: dict = dataclasses.field(default_factory=dict)

    columns = ("layers", "mean", "interval", "undefined")

    def to_dataframe(self) -> Any:
        """The table, with the mean and interval of each control beside."""
        table = super().to_dataframe()
        for name, control in self.controls.items():
            table[name] = control.mean
            table[f"{name}_interval"] = control.interval
        return table


def similarity_by_layer(
    model: keras.Model,
    images: Images,
    classes: Classes = None,
    *,
    layers: Sequence[LayerName] | None = None,
    metric: Callable = pearson,
    reference: Callable = grad_cam,
    contrast: bool = False,
    centered: bool = False,
    controls: bool = False,
    seed: int = 0,
    batch_size: int = 32,
    verbose: int = 0,
) -> SimilarityByLayer:
    """Similarity of an FA-CNN's class maps to Grad-CAM, layer by layer.

    Maps of all classes may be alike, where all see the same object. Then a map
    is like Grad-CAM of another class too; `contrast` takes off what the two
    classes share. Maps of all images may be alike as well, where all show an
    object in the middle, and so may be those of a model that knows nothing,
    whose borders are dark or bright: `controls` measures both.

    Source: FA-CNN, arXiv 2603.25798, Figure 1; `contrast` and `centered` are
    ours. The shuffled weights are the last step of `cascading_randomization`.

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
        centered: Whether to compare the maps of
            `model.class_maps(images, centered=True)`, which are less the mean
            over the classes, in place of raw ones. The reference stays.
        controls: Whether to measure, beside, two kinds of maps that can't know
            the answer: of each image, the map of another one, of the class
            that is asked for there; and its map by the model with the entries
            of each weight shuffled. The shuffled weights are put back at the
            end, also after an error.
        seed: Non-negative integer, of the controls. The interval of
            `"shuffled_weights"` is over images; another seed is another
            shuffling.
        batch_size: Positive integer, images a forward pass.
        verbose: 1 shows a progress bar, 0 does not.

    Returns:
        A `SimilarityByLayer`.

    Raises:
        ValueError: If an argument does not fit; the message names it.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> result = keras_facnn.metrics.similarity_by_layer(
    ...     model, images, controls=True
    ... )
    >>> round(result.mean[-1], 4)
    1.0
    >>> list(result.controls)
    ['other_image', 'shuffled_weights']
    """
    check_fa_model(model)
    check_callable("metric", metric)
    check_callable("reference", reference)
    check_bool("contrast", contrast)
    check_bool("centered", centered)
    check_bool("controls", controls)
    check_int("batch_size", batch_size)
    seed = check_seed(seed)
    if contrast and centered:
        raise ValueError(
            "`contrast` and `centered` exclude each other, since what all "
            "classes share is in no difference of two. "
            "Received: contrast=True, centered=True"
        )
    levels = check_layers(model, layers)
    if not levels:
        raise ValueError(
            f"`layers` must name a layer at least. Received: layers={layers!r}"
        )
    images = check_images_for(model, images)
    count = len(images)
    if controls and count < 2:
        raise ValueError(
            "`controls` needs two images or more, since each is compared with "
            f"the map of another. Received: {count} image"
        )
    bar = progress_bar(count, verbose, "image")
    classes = check_one_class_per_image(model.check_classes(classes, count))
    if contrast or classes is None:
        logits = compute_scores(model, images, batch_size)
    if classes is None:
        classes = logits.argmax(axis=-1)
    classes = np.broadcast_to(classes, count)
    if contrast:
        rivals = strongest_rivals(logits, classes)
    names = [f"fa_{n}" for n in levels]

    def compared(
        function: Callable, which: Any, one_size: bool, *args: Any
    ) -> list[np.ndarray]:
        """Maps by layer of some images, less those of the rivals."""

        def of(classes: np.ndarray) -> list[np.ndarray]:
            return function(
                model,
                images[which],
                classes[which],
                names,
                batch_size,
                one_size,
                *args,
            )

        if not contrast:
            return of(classes)
        return [a - b for a, b in zip(of(classes), of(rivals), strict=True)]

    if controls:
        rng = np.random.default_rng(seed)
        # One cycle through all, so that no image is its own other.
        cycle = rng.permutation(count)
        others = np.empty_like(cycle)
        others[cycle] = np.roll(cycle, 1)
        forgotten = shuffle_weights(model.get_weights(), rng)
    parts: dict[str, list] = {}
    for start in range(0, count, batch_size):
        some = slice(start, start + batch_size)
        one_size = start > 0
        references = compared(_references, some, one_size, reference)
        maps = {"own": compared(_own_maps, some, one_size, centered)}
        if controls:
            maps["other_image"] = compared(
                _own_maps, others[some], one_size, centered
            )
            with restored_weights(model):
                model.set_weights(forgotten)
                maps["shuffled_weights"] = compared(
                    _own_maps, some, one_size, centered
                )
        for name, by_layer in maps.items():
            pairs = zip(by_layer, references, strict=True)
            values = [metric(own, referred) for own, referred in pairs]
            parts.setdefault(name, []).append(values)
        bar.add(len(images[some]))
    of_maps = {name: np.concatenate(v, axis=1) for name, v in parts.items()}
    settings = {
        "metric": function_name(metric),
        "reference": function_name(reference),
        "contrast": contrast,
        "centered": centered,
        "images": count,
    }
    result = _summary(levels, of_maps.pop("own"), settings)
    result.controls = {
        name: _summary(
            levels, values, {**settings, "control": name, "seed": seed}
        )
        for name, values in of_maps.items()
    }
    return result


def _summary(
    levels: list[int], values: np.ndarray, settings: dict[str, Any]
) -> SimilarityByLayer:
    """The `SimilarityByLayer` of values `(layers, B)`."""
    defined = (~np.isnan(values)).sum(axis=1)
    filled = np.ma.masked_invalid(values)
    error = filled.std(axis=1, ddof=1) / np.sqrt(np.maximum(defined, 1))
    return SimilarityByLayer(
        layers=levels,
        values=values,
        mean=filled.mean(axis=1).filled(np.nan).tolist(),
        interval=(1.96 * error).filled(np.nan).tolist(),
        undefined=(values.shape[1] - defined).tolist(),
        settings=settings,
    )


def _references(
    model: keras.Model,
    images: np.ndarray,
    classes: np.ndarray,
    names: list[str],
    batch_size: int,
    one_size: bool,
    reference: Callable,
) -> list[np.ndarray]:
    """A reference's maps `(B, h, w)` of one class an image, at each layer."""
    if reference is grad_cam:
        return grad_cam_by_layer(
            model, images, classes, names, batch_size, one_size
        )
    return [
        reference(model, images, classes, layer=n, batch_size=batch_size)
        for n in names
    ]


def _own_maps(
    model: keras.Model,
    images: np.ndarray,
    classes: np.ndarray,
    names: list[str],
    batch_size: int,
    one_size: bool,
    centered: bool,
) -> list[np.ndarray]:
    """Class maps `(B, h, w)` at each layer, by one forward pass."""

    def make() -> Callable:
        features = model.feature_extractor(names)

        def read(x: Any, targets: Any) -> Any:
            outputs = features(x, training=False)
            targets = ops.cast(targets, "int32")
            chosen = ops.one_hot(targets, model.num_classes)[:, None, None]
            if centered:
                chosen = chosen - 1 / model.num_classes
            return [
                ops.sum(model.head.class_maps(outputs[name]) * chosen, axis=-1)
                for name in names
            ]

        return read

    function = cached_function(model, (_own_maps, centered, *names), make)
    return run_in_batches(
        function, (images, classes), batch_size, one_size=one_size
    )


def _check(maps: Maps, reference: Maps) -> tuple[np.ndarray, np.ndarray]:
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


def _standardize(maps: np.ndarray) -> np.ndarray:
    """Maps of mean 0 and norm 1; NaN where constant."""
    centered = maps - maps.mean(axis=(1, 2), keepdims=True)
    varies = np.broadcast_to(~are_constant(maps), maps.shape)
    nothing = np.full_like(maps, np.nan)
    # Of size 1, so that no square vanishes.
    largest = np.abs(centered).max(axis=(1, 2), keepdims=True)
    centered = np.divide(centered, largest, out=nothing.copy(), where=varies)
    with np.errstate(under="ignore"):
        norm = np.sqrt((centered**2).sum(axis=(1, 2), keepdims=True))
    return np.divide(centered, norm, out=nothing, where=varies)
