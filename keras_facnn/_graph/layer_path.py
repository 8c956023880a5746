"""Find a layer that gives maps by its name or number."""

from typing import Any

import keras
from keras import tree

from keras_facnn._backend.cache import cached
from keras_facnn._checks.numbers import is_integer
from keras_facnn._graph.graph_copy import GraphCopy
from keras_facnn._graph.nodes import is_graph_model
from keras_facnn.types import LayerName

# A message lists at most this many layers: the last ones, which users want.
_MOST_LISTED = 60


def layer_name(number: int) -> str:
    """Return the name of the layer of `x_l`, the maps of an FA-CNN."""
    return f"fa_{number}" if number else "stem"


def find_layer_path(model: keras.Model, layer: LayerName) -> str:
    """Return the path of a layer that gives maps.

    Args:
        model: A model that `classifier_shapes` accepts.
        layer: A layer's name; for a layer of a model inside `model`, its name
            or its path, such as `"backbone/out_relu"`. An integer is an FA
            layer's number on an FA-CNN, and an index of `model.layers` on any
            other model.

    Raises:
        ValueError: If there is no such layer, or it does not give one tensor of
            maps, or several layers have this name.
    """
    outputs = cached(model, "outputs by path", lambda: _outputs_by_path(model))
    path = _path_of(model, layer, outputs)
    times, output = outputs[path]
    if times > 1:
        raise ValueError(
            "`layer` must be a layer that the model calls once, since each "
            f"call has maps of its own. Received: layer={layer!r}, which this "
            f"model calls {times} times"
        )
    if not _is_map(output):
        shapes = [getattr(x, "shape", x) for x in tree.flatten(output)]
        raise ValueError(
            "The output of `layer` must be one tensor of 4 dimensions, (B, h, "
            f"w, channels). Received: layer={layer!r}, whose output has shape "
            f"{', '.join(map(str, shapes))}"
        )
    return path


def _outputs_by_path(model: keras.Model) -> dict[str, tuple[int, Any]]:
    """Return how often each layer is called, and its output, by its path.

    A layer of a model inside `model` has a path such as `"backbone/out_relu"`.
    """
    found = {}
    for name, calls in GraphCopy(model).calls.items():
        layer, _, outputs = calls[0]
        if is_graph_model(layer):
            for path, (times, inner) in _outputs_by_path(layer).items():
                found[f"{name}/{path}"] = (len(calls) * times, inner)
        found[name] = (len(calls), outputs)
    return found


def _path_of(
    model: keras.Model, layer: LayerName, outputs: dict[str, tuple[int, Any]]
) -> str:
    """Return the path of a layer among those of `outputs`, or raise."""
    by_number = hasattr(model, "predict_with_maps")
    path = ""
    if isinstance(layer, str):
        path = layer
        inside = [p for p in outputs if p.endswith(f"/{layer}")]
        if layer not in outputs and inside:
            if len(inside) > 1:
                raise ValueError(
                    f"`layer` must be one of {', '.join(inside)}, which all "
                    f"have this name. Received: layer={layer!r}"
                )
            (path,) = inside
    elif is_integer(layer):
        n = len(model.layers)
        if by_number:
            number = layer.__index__()
            # A model with FA layers has no layer of maps with the number 0.
            if number or not getattr(model, "num_layers", 1):
                path = layer_name(number)
        elif -n <= layer < n:
            path = model.layers[layer].name
    if path not in outputs:
        maps = [
            one
            for one, (times, output) in outputs.items()
            if times == 1 and _is_map(output)
        ]
        listed = ", ".join(maps[-_MOST_LISTED:])
        expected = (
            "an FA layer's number"
            if by_number
            else f"an index of the model's {len(model.layers)} `layers`"
        )
        raise ValueError(
            f"`layer` must be {expected}, or the name of a layer that gives "
            f"maps: {'..., ' if len(maps) > _MOST_LISTED else ''}{listed}. "
            f"Received: layer={layer!r}"
        )
    return path


def _is_map(output: Any) -> bool:
    return len(getattr(output, "shape", ())) == 4
