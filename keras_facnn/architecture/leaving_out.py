"""A copy of a model that leaves some of its evidence out."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_facnn._backend.initializers import skip_initializers
from keras_facnn._backend.values import read_values
from keras_facnn._checks.arrays import real_array
from keras_facnn._checks.classes import check_classes_for
from keras_facnn._checks.messages import short_repr
from keras_facnn._checks.numbers import is_integer
from keras_facnn.architecture.graph import finalize_layers
from keras_facnn.regions import boxes_to_masks
from keras_facnn.regions import touched


def leave_out(
    model: Any, maps: Any, places: Any, classes: Any, reason: Any
) -> Any:
    """Return a copy of a `FACNN` without some evidence; see `FACNN.without`."""
    if maps is None and places is None and reason is None:
        raise ValueError(
            "`without` must leave something out: pass `maps`, `places` or "
            "`reason`."
        )
    if classes is not None and places is None:
        raise ValueError(
            "`classes` must be None without `places`, since it says whose "
            f"places are left out. Received: classes={short_repr(classes)}"
        )
    before = model.left_out or {}
    pairs = {tuple(pair) for pair in before.get("maps", ())}
    locations = {tuple(triple) for triple in before.get("locations", ())}
    if maps is not None:
        pairs |= _map_pairs(model, maps)
    if places is not None:
        of: list[int | None] = [None]
        if classes is not None:
            of = [*_class_numbers(model, classes, "classes")]
        locations |= _locations(model, "places", places, of)
    if reason is not None:
        its_places = getattr(reason, "places", reason)
        locations |= _locations(model, "reason.places", its_places, [None])
    left_out: dict[str, Any] = {}
    if pairs:
        left_out["maps"] = sorted(map(list, pairs))
    if locations:
        left_out["locations"] = sorted(
            map(list, locations), key=lambda t: (t[0] is not None, *t)
        )
        left_out["size"] = list(_map_size(model))
    _check_something_left(model, pairs, locations)
    return _copy(model, left_out)


def _copy(model: Any, left_out: dict[str, Any]) -> Any:
    """Return a model with the same weights that leaves something out."""
    read_values(model.variables)
    with skip_initializers():
        copy = type(model).from_config(
            {**model.get_config(), "left_out": left_out}
        )
    copy.set_weights(model.get_weights())
    finalize_layers(copy)
    return copy


def _map_size(model: Any) -> tuple[int, int]:
    """Return the size of the last maps, or raise if it is not fixed."""
    _, height, width, _ = model.head.input.shape
    if height is None or width is None:
        raise ValueError(
            "`places` needs a model that takes images of one size, because "
            "places have another location in maps of another size. Build it "
            "with an `image_shape`, as in from_preset(..., image_shape=(224, "
            f"224, 3)). Received: image_shape={model.image_shape}"
        )
    return height, width


def _locations(
    model: Any, name: str, places: Any, classes: Sequence[int | None]
) -> set[tuple[int | None, int, int]]:
    """Return the triples `(class, row, column)` that places touch."""
    rows, columns = np.nonzero(_mask_of(model, name, places))
    return {
        (c, row, column)
        for c in classes
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
    }


def _mask_of(model: Any, name: str, places: Any) -> np.ndarray:
    """Return which locations of the last maps places touch, `(h, w)`."""
    size = _map_size(model)
    array = real_array(name, places)
    if array.dtype == bool and array.ndim == 2:
        mask = array
    elif array.dtype != bool and array.shape[-1:] == (4,) and array.ndim <= 2:
        (mask,) = boxes_to_masks([array], model.image_shape[:2])
    else:
        raise ValueError(
            f"`{name}` must be booleans (h, w) that show which part of the "
            "image is left out, or boxes (left, top, right, bottom) in pixels. "
            f"Received: shape {array.shape}, dtype {array.dtype}"
        )
    locations = touched(mask, size)
    if not locations.any():
        raise ValueError(
            f"`{name}` must mark at least one location. Received: {name} that "
            "mark none"
        )
    return locations


def _map_pairs(model: Any, maps: Any) -> set[tuple[int, int]]:
    """Return the pairs `(class, map)` that an argument names, or raise."""
    pairs: list[tuple[Any, Any]] = []
    if isinstance(maps, Mapping):
        for c, of_class in maps.items():
            several = of_class if np.ndim(of_class) else [of_class]
            pairs += [(c, r) for r in several]
    elif isinstance(maps, (list, tuple)) and all(
        isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in maps
    ):
        pairs += maps
    number = model.maps_per_class[-1]
    if not pairs or not all(
        is_integer(r) and 0 <= r.__index__() < number for _, r in pairs
    ):
        raise ValueError(
            "`maps` must be a dict from classes to numbers of their maps, or a "
            f"sequence of pairs (class, number), with numbers from 0 to "
            f"{number - 1}. Received: maps={short_repr(maps)}"
        )
    numbers = _class_numbers(model, [c for c, _ in pairs], "maps")
    return {
        (c, r.__index__()) for c, (_, r) in zip(numbers, pairs, strict=True)
    }


def _class_numbers(model: Any, classes: Any, name: str) -> list[int]:
    """Return the numbers of one or several classes, or raise."""
    one = isinstance(classes, str) or is_integer(classes)
    listed = [classes] if one else list(classes)
    numbers = check_classes_for(model, listed, len(listed), name)
    return np.asarray(numbers).tolist()


def _check_something_left(model: Any, pairs: set, locations: set) -> None:
    """Raise if no class has any evidence left."""
    counts = np.zeros(model.num_classes, int)
    for c, _ in pairs:
        counts[c] += 1
    no_maps = counts == model.maps_per_class[-1]
    if locations:
        height, width = _map_size(model)
        out = np.zeros((height, width, model.num_classes), bool)
        for c, row, column in locations:
            out[row, column, slice(None) if c is None else c] = True
        no_maps |= out.all(axis=(0, 1))
    if no_maps.all():
        raise ValueError(
            "`without` must leave some evidence of at least one class. "
            "Received: maps and places that are all there is"
        )
