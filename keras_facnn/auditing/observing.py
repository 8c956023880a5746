"""What one forward pass says of each image."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_facnn._backend.cache import cached_function
from keras_facnn._backend.forward import run_in_batches
from keras_facnn._checks.models import check_finite_outputs
from keras_facnn._graph.layer_path import layer_name
from keras_facnn._graph.nodes import check_graph_model
from keras_facnn.grid import Grid

# Of so many classes, the likeliest, all evidence is kept.
_RIVALS = 16
# Features of more channels are projected at random, which keeps their angles
# nearly (Johnson and Lindenstrauss, 1984).
_FEATURES = 256


@dataclasses.dataclass(frozen=True, eq=False)
class Observations:
    """What a model says of N images, and where the evidence for it lies.

    All evidence is in units of the logit: that of a class sums over the cells
    of the grid to its logit (plus `head.offset`, if the head has a threshold).

    Args:
        classes: Integers `(N, K)`, the K likeliest classes, in order.
        logits: Floats `(N, K)`, their logits.
        evidence: Floats `(N, K, cells)`, the evidence of each.
        mean_evidence: Floats `(N, cells)`, the mean evidence of all classes.
        places: Integers `(N, places)`, in each of the `Grid.parts` of the image
            the cell of most evidence for the likeliest class, as centered maps
            show it. So a weak cue in a corner is seen beside the thing itself.
        features: Floats `(N, places, D)`, the features there.
    """

    classes: np.ndarray
    logits: np.ndarray
    evidence: np.ndarray
    mean_evidence: np.ndarray
    places: np.ndarray
    features: np.ndarray


def grid_of(model: Any, image_shape: tuple[int, int, int]) -> Grid:
    """Return the grid of the maps that a model makes of images of one shape."""
    last = model.get_layer(layer_name(model.num_layers))
    graph = keras.Model(model.input, last.output)
    _, height, width, _ = graph.compute_output_shape((1, *image_shape))
    return Grid(height, width)


def observe(
    model: Any, images: np.ndarray, grid: Grid, batch_size: int
) -> Observations:
    """Return the observations of images, from one forward pass.

    Args:
        model: An FA-CNN.
        images: Checked array `(N, H, W, channels)`.
        grid: The result of `grid_of`.
        batch_size: Positive integer, images per forward pass.
    """
    function = cached_function(
        model, ("observe", grid), lambda: _observing(model, grid)
    )
    values = run_in_batches(function, images, batch_size, one_size=True)
    check_finite_outputs(values["logits"])
    return Observations(**values)


def _observing(model: Any, grid: Grid) -> Callable[[Any], dict[str, Any]]:
    """Return a function from images to the fields of `Observations`."""
    check_graph_model(model)
    head = model.head
    last = model.get_layer(layer_name(model.num_layers)).output
    # What tells the looks of a place: the backbone's maps, or those of the
    # last FA layer, one by one.
    has_backbone = model.backbone is not None
    features = model.get_layer("project").input if has_backbone else last
    graph = keras.Model(
        model.input,
        {"logits": model.output, "maps": last, "features": features},
    )
    channels = features.shape[-1]
    projection = _projection(channels)
    rivals = min(_RIVALS, model.num_classes)
    size = grid.height * grid.width

    def function(x: Any) -> dict[str, Any]:
        outputs = graph(x, training=False)
        logits, classes = ops.top_k(outputs["logits"], rivals)
        maps = head.scale * head.class_maps(outputs["maps"]) / size
        chosen = ops.take_along_axis(maps, classes[:, None, None], axis=-1)
        evidence = _flat(grid.sum(ops.transpose(chosen, (0, 3, 1, 2))))
        mean_evidence = _flat(grid.sum(ops.mean(maps, axis=-1)))
        deciding = evidence[:, 0]
        if not head.threshold:
            deciding = deciding - mean_evidence
        most = places_of_most(deciding, grid)
        looks = _on_grid(ops.cast(outputs["features"], "float32"), grid)
        looks = ops.take_along_axis(looks, most[:, :, None], axis=1)
        if projection is not None:
            looks = ops.matmul(looks, ops.convert_to_tensor(projection))
        return {
            "classes": classes,
            "logits": logits,
            "evidence": evidence,
            "mean_evidence": mean_evidence,
            "places": most,
            "features": looks,
        }

    return function


def places_of_most(evidence: Any, grid: Grid) -> Any:
    """Return in each of the parts of an image the cell of most evidence.

    Args:
        evidence: Array or tensor `(N, cells)`.
        grid: The grid of the cells.

    Returns:
        A tensor of integers `(N, places)`.
    """
    parts = grid.parts[None]
    within = ops.where(parts, evidence[:, None], -float("inf"))
    return ops.argmax(within, axis=-1)


def _flat(maps: Any) -> Any:
    """Return maps `(..., rows, columns)` as `(..., cells)`."""
    lead = tuple(-1 if n is None else n for n in maps.shape[:-2])
    return ops.reshape(maps, (*lead, maps.shape[-2] * maps.shape[-1]))


def _on_grid(features: Any, grid: Grid) -> Any:
    """Return features `(B, h, w, D)` as their means `(B, cells, D)`."""
    if tuple(features.shape[1:3]) != (grid.height, grid.width):
        features = ops.image.resize(
            features,
            (grid.height, grid.width),
            interpolation="bilinear",
            data_format="channels_last",
        )
    sums = grid.sum(ops.transpose(features, (0, 3, 1, 2)))
    per_cell = grid.height * grid.width / grid.cells
    return ops.transpose(_flat(sums / per_cell), (0, 2, 1))


def _projection(channels: int) -> np.ndarray | None:
    """Return a matrix from the channels to fewer, or None if they are few."""
    if channels <= _FEATURES:
        return None
    rng = np.random.default_rng(0)
    return rng.normal(0, _FEATURES**-0.5, (channels, _FEATURES)).astype(
        "float32"
    )
