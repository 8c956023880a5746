"""Make columns of the outputs of a file: one row per picture."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_facnn._checks.classes import CheckedClasses
from keras_facnn.grid import Grid
from keras_facnn.maps import pick_classes
from keras_facnn.maps import positive_share
from keras_facnn.runtime.facts import Facts


def make_columns(
    outputs: Mapping[str, np.ndarray],
    facts: Facts,
    classes: CheckedClasses,
    maps_dtype: str | None,
    centered: bool,
) -> dict[str, np.ndarray]:
    """Return the columns of a batch.

    Args:
        outputs: The outputs of the file.
        facts: The facts of the file.
        classes: Result of `check_classes`.
        maps_dtype: The dtype of the maps, or None for no maps.
        centered: Whether the maps in the columns are centered.
    """
    logits = outputs["logits"]
    probabilities = _probabilities(logits, facts.several_labels)
    chosen = logits.argmax(axis=-1)
    if isinstance(classes, np.ndarray):
        chosen = classes
    columns: dict[str, np.ndarray] = {"class": chosen.astype("int64")}
    if facts.class_names is not None:
        columns["name"] = np.array(facts.class_names, object)[chosen]
    columns |= {
        "probability": probabilities[np.arange(len(chosen)), chosen],
        "logits": logits,
        "probabilities": probabilities,
        "border": _border_share(outputs["class_maps"], chosen, facts),
        "unsure": probabilities.max(axis=-1) < 0.5,
    }
    if maps_dtype is None:
        return columns
    wanted = classes if isinstance(classes, str) else chosen
    for name, maps in outputs.items():
        if name == "logits":
            continue
        picked = pick_classes(maps, wanted, logits)
        if centered and not facts.centered:
            mean = maps.mean(axis=-1, keepdims=picked.ndim == maps.ndim)
            picked = picked - mean
        column = name.replace("class_maps", "layer_maps")
        column = "maps" if name == "class_maps" else column
        columns[column] = picked.astype(maps_dtype)
    return columns


def _probabilities(logits: np.ndarray, several_labels: bool) -> np.ndarray:
    """Return the probabilities of logits `(B, C)`."""
    if several_labels:
        # Equal to the sigmoid, without overflow.
        return (np.tanh(logits / 2) + 1) / 2
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _border_share(
    maps: np.ndarray, chosen: np.ndarray, facts: Facts
) -> np.ndarray:
    """Return the share of the evidence that is on the border, as an audit does.

    Args:
        maps: Array `(B, h, w, C)`, as it is in the file.
        chosen: Integers `(B,)`.
        facts: The facts of the file.
    """
    decides: Any = pick_classes(maps, chosen, None)
    if not facts.several_labels and not facts.centered:
        decides = decides - maps.mean(axis=-1)
    grid = Grid(*decides.shape[1:])
    cells = grid.sum(decides).reshape(len(decides), -1)
    border = grid.zones["border"].ravel()
    return positive_share(cells)[:, border].sum(axis=-1)
