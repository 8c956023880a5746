"""Sum gradients with respect to pixels at several points per image."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_facnn._backend.cache import cached_function
from keras_facnn._backend.forward import class_per_image
from keras_facnn._backend.forward import run_in_batches
from keras_facnn._backend.forward import scores_function
from keras_facnn._checks.classes import CheckedClasses
from keras_facnn._checks.messages import short_repr
from keras_facnn._checks.models import check_finite_outputs
from keras_facnn._checks.models import classifier_shapes
from keras_facnn._checks.numbers import check_int
from keras_facnn._checks.numbers import check_memory
from keras_facnn.attribution._class_gradient import check_scores
from keras_facnn.attribution._class_gradient import class_gradient
from keras_facnn.attribution._class_gradient import scale_gradients
from keras_facnn.attribution._perturbation import check_images_and_classes
from keras_facnn.types import Classes
from keras_facnn.types import Images
from keras_facnn.types import Reduce

_REDUCTIONS: dict[Any, Callable[[np.ndarray], np.ndarray]] = {
    "max_abs": lambda values: np.abs(values).max(axis=-1),
    "sum": lambda values: values.sum(axis=-1),
    None: lambda values: values,
}


def check_gradient_arguments(
    model: keras.Model,
    images: Images,
    classes: Classes,
    reduce: Reduce,
    batch_size: int,
) -> tuple[np.ndarray, CheckedClasses, int]:
    """Return checked float32 images, classes and the batch size."""
    batch_size = check_int("batch_size", batch_size)
    images, classes, _ = check_images_and_classes(model, images, classes)
    if not (reduce is None or isinstance(reduce, str)) or (
        reduce not in _REDUCTIONS
    ):
        raise ValueError(
            '`reduce` must be "max_abs", "sum" or None. '
            f"Received: reduce={short_repr(reduce)}"
        )
    (pixels,) = model.inputs
    if not keras.backend.is_float_dtype(pixels.dtype):
        raise ValueError(
            "`model` must take floats, since integers have no gradient. "
            f"Received: a model whose input is {pixels.dtype}"
        )
    return images, classes, batch_size


def gradient_maps(
    model: keras.Model,
    images: np.ndarray,
    classes: CheckedClasses,
    points: Callable[[slice, slice], tuple[np.ndarray, Any]],
    samples: int,
    reduce: Reduce,
    batch_size: int,
    variance: bool = False,
) -> np.ndarray:
    """Return the sum over several points of a factor times the gradient.

    Args:
        model: A classifier.
        images: Float32 array `(B, H, W, channels)`, checked.
        classes: Result of `check_classes`. For "all", gradients are computed
            class by class.
        points: Function of a slice of the images and a slice of the samples,
            n images and k samples. It returns the points, a float32 array
            `(k, n, H, W, channels)`, and the factors, which broadcast to it.
        samples: Positive integer, the number of points per image.
        reduce: How to combine the channels of a pixel.
        batch_size: Positive integer, the most points per forward pass.
        variance: Whether to return the variance of the gradients instead. The
            factors must then sum to 1.

    Returns:
        A float32 NumPy array `(B, H, W)`, or `(B, H, W, channels)` if `reduce`
        is None. For "all", one more axis, the classes, comes last.
    """
    gradient = _compiled_gradient(model)
    # One group's points of one sample fit into one batch.
    groups = [
        slice(start, min(start + batch_size, len(images)))
        for start in range(0, len(images), batch_size)
    ]
    most = groups[0].stop
    # A compiled function must see as few shapes as possible.
    size = most * min(samples, batch_size // most)
    check_memory("`images` and `batch_size`", size, *images.shape[1:])

    def maps_of(targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        maps, scores = [], []
        for group in groups:
            n = group.stop - group.start
            total = np.zeros((n, *images.shape[1:]))
            squares = np.zeros_like(total)
            step = batch_size // n
            for start in range(0, samples, step):
                some = slice(start, min(start + step, samples))
                x, factors = points(group, some)
                g, found = run_in_batches(
                    gradient,
                    (
                        x.reshape(-1, *images.shape[1:]),
                        np.tile(targets[group], len(x)),
                    ),
                    size,
                    one_size=True,
                )
                check_finite_outputs(found)
                g = g.reshape(x.shape).astype("float64")
                total += (factors * g).sum(axis=0)
                if variance:
                    squares += (factors * g * g).sum(axis=0)
                if start == 0:
                    scores.append(found)
            if variance:
                total = np.maximum(squares - total * total, 0)
            maps.append(_REDUCTIONS[reduce](total).astype("float32"))
        return np.concatenate(maps), np.concatenate(scores)

    if isinstance(classes, str):
        num_classes = classifier_shapes(model)[1]
        shape = images.shape[: 4 if reduce is None else 3]
        check_memory('`images` and `classes="all"`', *shape, num_classes)
        maps = np.empty((*shape, num_classes), "float32")
        for c in range(num_classes):
            maps[..., c], scores = maps_of(np.full(len(images), c))
    else:
        maps, scores = maps_of(
            class_per_image(model, images, classes, batch_size)
        )
    check_scores(scores, gradient=True)
    return maps


def _compiled_gradient(model: keras.Model) -> Callable[..., Any]:
    """Return a function from images and classes to gradients and scores."""

    def make() -> Callable[..., Any]:
        gradient = class_gradient(
            scores_function(model), model.variables, "`images`"
        )
        return lambda x, targets, factor: gradient(x, targets, factor)

    return scale_gradients(model, cached_function(model, "gradient", make))
