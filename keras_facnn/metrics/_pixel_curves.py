"""Change pixels step by step, and compute the model's probabilities."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_facnn._checks.arrays import as_float32
from keras_facnn._checks.arrays import check_maps
from keras_facnn._checks.classes import check_labels
from keras_facnn._checks.models import check_images_for
from keras_facnn._checks.models import classifier_shapes
from keras_facnn._checks.numbers import is_number
from keras_facnn.maps import are_constant
from keras_facnn.maps import locations_by_value
from keras_facnn.maps import resize_maps
from keras_facnn.metrics._altered_images import altered_probabilities
from keras_facnn.types import Images
from keras_facnn.types import Labels
from keras_facnn.types import Maps
from keras_facnn.types import RemovalBaseline


def baseline_name(baseline: RemovalBaseline) -> str | float:
    """Return the name of a baseline in the settings of a result."""
    return (
        baseline
        if isinstance(baseline, str) or is_number(baseline)
        else "array"
    )


def curves_of_probabilities(
    model: keras.Model,
    orders: Iterable[np.ndarray],
    change: Callable[[int, np.ndarray], np.ndarray],
    shape: tuple[int, ...],
    fractions: Sequence[float],
    **options: Any,
) -> np.ndarray:
    """Return the probabilities of images whose pixels are changed step by step.

    Args:
        model: A classifier.
        orders: For each image, the locations of its pixels in the order in
            which they are changed.
        change: Function that takes the index of an image and locations. It
            returns the image with the pixels at these locations changed.
        shape: The shape of the images.
        fractions: The fractions of pixels to change.
        **options: Passed to `altered_probabilities`.

    Returns:
        An array `(fractions, B, C)`.
    """
    total, height, width, channels = shape
    counts = [round(f * height * width) for f in fractions]
    altered = (
        change(index, order[:count])
        for index, order in enumerate(orders)
        for count in counts
    )
    p = altered_probabilities(
        model,
        altered,
        (total * len(counts), height, width, channels),
        **options,
    )
    return np.moveaxis(p.reshape(total, len(counts), -1), 1, 0)


def replace_pixels(
    image: np.ndarray, other: np.ndarray, pixels: np.ndarray
) -> np.ndarray:
    """Return an image with some pixels of another one."""
    changed = image.reshape(-1, image.shape[-1]).copy()
    changed[pixels] = other.reshape(-1, image.shape[-1])[pixels]
    return changed.reshape(image.shape)


def spread_rows(rows: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return rows at their places among all images; NaN in the others.

    Args:
        rows: Array `(n, fractions)`.
        where: Bools `(B,)`, of which n are True.
    """
    spread = np.full((len(where), rows.shape[1]), np.nan)
    spread[where] = rows
    return spread


def check_varying_maps(
    maps: Maps, images: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return checked maps, and whether each is not constant: bools `(B,)`."""
    array = check_maps(maps, batch=len(images))
    ordered = ~are_constant(array)[:, 0, 0]
    if not ordered.any():
        raise ValueError(
            "`maps` must not all be constant, because constant maps tell no "
            f"pixel from another. Received: {len(array)} constant maps"
        )
    return array, ordered


def order_of_pixels(
    map_: np.ndarray, size: tuple[int, int], ties: list[float]
) -> np.ndarray:
    """Return the locations of pixels, the most relevant first.

    This function appends to `ties` the share of neighbors in this order that
    have equal values.
    """
    pixels = map_[None] if map_.shape == size else resize_maps(map_[None], size)
    (order,) = locations_by_value(pixels)
    ties.append(float((np.diff(pixels.ravel()[order]) == 0).mean()))
    return order


def check_images_and_labels(
    model: keras.Model,
    images: Images,
    labels: Labels,
    probabilities: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Return checked float32 images and labels of a classifier.

    Args:
        model: A model.
        images, labels: As in `pixel_removal`.
        probabilities: Whether the metric measures probabilities, of which a
            model of one output has none.
    """
    _, num_classes = classifier_shapes(model)
    if probabilities and (num_classes is None or num_classes < 2):
        raise ValueError(
            "`model` must have at least two classes, because this metric "
            f"measures their probabilities. Received: {num_classes}"
        )
    images = as_float32(check_images_for(model, images))
    names = getattr(model, "class_names", None)
    return images, check_labels(labels, len(images), num_classes, names)
