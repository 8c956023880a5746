"""Validate the arguments of several figures."""

import dataclasses
import typing

import numpy as np

from keras_facnn._checks.arrays import check_maps
from keras_facnn._checks.arrays import finite_array
from keras_facnn.explaining.explanation import Explanation


def check_one_per_image(
    name: str, values: typing.Sequence | None, count: int
) -> None:
    """Raise unless `values` is None or has one entry per image."""
    if values is None:
        return
    if isinstance(values, str) or len(values) != count:
        raise ValueError(
            f"`{name}` must have one entry for each of the {count} images. "
            f"Received: {values!r:.200}"
        )


def check_dict(name: str, values: typing.Any) -> None:
    """Raise unless `values` is a dict with at least one entry."""
    if not isinstance(values, dict) or not values:
        raise ValueError(
            f"`{name}` must be a dict that is not empty. "
            f"Received: {type(values).__name__}"
        )


def check_map(name: str, map_: typing.Any) -> np.ndarray:
    """Return a map `(h, w)` as a finite array, or raise."""
    array = finite_array(name, map_)
    if array.ndim != 2 or not array.size:
        raise ValueError(
            f"`{name}` must have shape (h, w), with at least one location. "
            f"Received: shape {array.shape}"
        )
    return array


def check_explanation(explanation: Explanation) -> Explanation:
    """Return an explanation whose fields fit together, or raise."""
    batch = len(explanation.images)
    maps = check_maps(explanation.maps, ndim=(4,), batch=batch, name="maps")
    count = maps.shape[-1]
    if not isinstance(explanation.layer_maps, dict):
        raise ValueError(
            "`layer_maps` must be a dict from layers' numbers to maps. "
            f"Received: {type(explanation.layer_maps).__name__}"
        )
    layer_maps = {
        layer: check_maps(values, batch=batch, name=f"layer_maps[{layer!r}]")
        for layer, values in explanation.layer_maps.items()
    }
    _check_probabilities(
        "probabilities", explanation.probabilities, (batch, count)
    )
    _check_probabilities(
        "layer_probabilities",
        explanation.layer_probabilities,
        (batch, None, count),
    )
    names = explanation.class_names
    if names is not None and len(names) != count:
        raise ValueError(
            f"`class_names` must be {count} names, one per class. "
            f"Received: {names!r:.200}"
        )
    return dataclasses.replace(explanation, maps=maps, layer_maps=layer_maps)


def _check_probabilities(
    name: str, values: typing.Any, expected: tuple[int | None, ...]
) -> None:
    """Raise unless an array of probabilities has the expected shape.

    Args:
        name: The name of the argument.
        values: Array-like `(B, ..., C)`.
        expected: Its shape, with None for any number.
    """
    values = finite_array(name, values)
    if values.ndim != len(expected) or any(
        n not in (None, m) for n, m in zip(expected, values.shape, strict=True)
    ):
        raise ValueError(
            f"`{name}` must fit {expected[0]} images and {expected[-1]} "
            f"classes. Received: shape {values.shape}"
        )
    # A sum of rounded values may be slightly more than 1.
    if values.size and not -1e-3 <= values.min() <= values.max() <= 1.001:
        raise ValueError(
            f"`{name}` must be from 0 to 1, as `FACNN.probabilities` computes "
            f"them from logits. Received: values from {values.min():g} to "
            f"{values.max():g}"
        )
