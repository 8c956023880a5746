"""Split a model's graph at a layer, also at one in a nested model."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops
from keras import tree

from keras_facnn._backend.cache import cached_function
from keras_facnn._graph.channel_axes import channel_axis
from keras_facnn._graph.graph_copy import GraphCopy
from keras_facnn._graph.nodes import call_inputs


def maps_function(model: keras.Model, path: str) -> Callable[[Any], Any]:
    """Return a compiled function from images to the maps of a layer.

    The maps are `(B, h, w, channels)`, even if the layer computes channels
    first.

    Args:
        model: A functional model.
        path: Result of `find_layer_path`.
    """

    def make() -> Callable[[Any], Any]:
        axis = channel_axis(model, path)
        maps, _ = _split(model, path.split("/"))
        return lambda x: _move_channels(maps([x]), axis, -1)

    return cached_function(model, ("maps", path), make)


def scores_after(model: keras.Model, path: str) -> Callable[[Any, Any], Any]:
    """Return a function from a layer's maps and images to scores `(B, C)`.

    Args:
        model: A functional model.
        path: Result of `find_layer_path`. The function takes this layer's
            maps as `maps_function` returns them.
    """
    axis = channel_axis(model, path)
    _, rest = _split(model, path.split("/"))

    def scores(maps: Any, x: Any) -> Any:
        (outputs,) = rest([x], _move_channels(maps, -1, axis))
        return outputs

    return scores


def scores_with_offsets(
    model: keras.Model, names: Sequence[str]
) -> tuple[Callable[[Any, Sequence[Any]], Any], list[int]]:
    """Return a model's scores as a function of offsets of some layers' maps.

    Args:
        model: A functional model.
        names: Layers of the model itself that give maps.

    Returns:
        A function and the layers' numbers of channels. The function takes the
        images and a list of float32 offsets `(B, 1, 1, channels)`, one per
        layer, which are added to the layers' maps. It returns the scores
        `(B, C)` and the list of the layers' maps.
    """
    channels = [model.get_layer(name).output.shape[-1] for name in names]
    offsets = [keras.Input((1, 1, n), dtype="float32") for n in channels]
    maps = {}

    def change(layer: keras.Layer, output: Any) -> Any:
        if layer.name not in names:
            return output
        maps[layer.name] = output
        offset = offsets[names.index(layer.name)]
        moved = ops.cast(output, "float32") + offset
        return ops.cast(moved, output.dtype)

    graph = GraphCopy(model, offsets, change)
    (images,) = graph.inputs
    function = keras.Function(
        [images, *offsets], [*graph.outputs, *(maps[name] for name in names)]
    )

    def scores_and_maps(x: Any, added: Sequence[Any]) -> Any:
        scores, *found = function([ops.cast(x, images.dtype), *added])
        return scores, found

    return scores_and_maps, channels


def _split(
    model: keras.Model, names: Sequence[str]
) -> tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]:
    """Split a model at a layer.

    Args:
        model: A functional model.
        names: The parts of the layer's path.

    Returns:
        Two functions. The first goes from the model's inputs, a list, to the
        layer's output. The second goes from the inputs and that output to the
        model's outputs, a list.
    """
    name, *inner = names
    graph = GraphCopy(model)
    ((layer, arguments, output),) = graph.calls[name]
    after = keras.Function(
        [*graph.inputs, *tree.flatten(output)], graph.outputs
    )

    def cast(xs: Sequence[Any]) -> list[Any]:
        return [
            ops.cast(x, one.dtype)
            for x, one in zip(xs, graph.inputs, strict=True)
        ]

    if not inner:
        before = keras.Function(graph.inputs, output)
        return (
            lambda xs: before(cast(xs)),
            lambda xs, a: after([*cast(xs), a]),
        )
    before = keras.Function(graph.inputs, call_inputs(layer, *arguments))
    maps, rest = _split(layer, inner)
    return (
        lambda xs: maps(before(cast(xs))),
        lambda xs, a: after([*cast(xs), *rest(before(cast(xs)), a)]),
    )


def _move_channels(maps: Any, source: int, destination: int) -> Any:
    if {source, destination} == {-1, 3}:
        return maps
    return ops.moveaxis(maps, source, destination)
