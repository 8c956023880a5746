"""Where a layer stands in a model's graph, also in models inside it."""

from collections.abc import Callable
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops
from keras import tree

from keras_facnn._backend.cache import cached
from keras_facnn._backend.cache import cached_function
from keras_facnn._checks.numbers import is_integer
from keras_facnn._graph.channel_axes import channel_axis
from keras_facnn._graph.nodes import call_inputs
from keras_facnn._graph.nodes import check_graph_model
from keras_facnn._graph.nodes import is_graph_model

# The most layers that a message lists; the last ones are what people want.
_MOST_LISTED = 60


class GraphCopy:
    """One model's graph, called anew, such that each call is known.

    It shares all layers and weights with the model. `layer.output` would be
    that of the layer's first call, in whichever graph.

    Args:
        model: A functional model.
        extra: Keras tensors, further inputs, which `change` may use.
        change: Function of a layer and what it gave, to what the layers after
            it get in its place; None changes nothing.

    Attributes:
        inputs: List of Keras tensors.
        outputs: List of Keras tensors.
        calls: Dict from a layer's name to its calls in this graph, triples of
            the layer, the arguments that it got, and what it gave.
    """

    def __init__(
        self,
        model: keras.Model,
        extra: Sequence = (),
        change: Callable | None = None,
    ):
        check_graph_model(model)
        self.calls: dict[str, list] = {}

        def call(operation, *args, **kwargs):
            # What is explained is inference. Keras keeps what a layer was
            # called with in the graph, its own default too, which is to train
            # for augmentation; `keras.Function` calls it with that.
            if isinstance(operation, keras.Layer):
                kwargs["training"] = False
            outputs = operation(*args, **kwargs)
            if isinstance(operation, keras.Layer):
                self.calls.setdefault(operation.name, []).append(
                    (operation, (args, kwargs), outputs)
                )
                if change is not None:
                    outputs = change(operation, outputs)
            return outputs

        inputs = [
            keras.Input(batch_shape=x.shape, dtype=x.dtype)
            for x in model.inputs
        ]
        clone = keras.models.clone_model(
            keras.Model([*model.inputs, *extra], list(model.outputs)),
            input_tensors=[*inputs, *extra],
            clone_function=lambda layer: layer,
            call_function=call,
        )
        self.inputs, self.outputs = inputs, list(clone.outputs)


def _layers_by_path(model):
    """Dict from each layer's path to the number of its calls and its output.

    A layer of a model inside `model` has a path such as `"backbone/out_relu"`.
    """
    found = {}
    for name, calls in GraphCopy(model).calls.items():
        operation, _, outputs = calls[0]
        if is_graph_model(operation):
            for path, (times, inner) in _layers_by_path(operation).items():
                found[f"{name}/{path}"] = (len(calls) * times, inner)
        found[name] = (len(calls), outputs)
    return found


def layer_path(model: keras.Model, layer: str | int) -> str:
    """The path of a layer that gives maps, in the model.

    Args:
        model: What `classifier_shapes` takes.
        layer: A layer's name; for a layer of a model inside `model`, its name,
            or its path, such as `"backbone/out_relu"`. An integer is an FA
            layer's number on an FA-CNN, and an index of `model.layers` on any
            other model.

    Raises:
        ValueError: If there is no such layer, or it gives no maps, or several.
    """
    places = cached(model, "places", lambda: _layers_by_path(model))
    by_number = hasattr(model, "predict_with_maps")
    path = ""
    if not isinstance(layer, str) and is_integer(layer):
        n = len(model.layers)
        if by_number:
            path = f"fa_{layer.__index__()}"
        elif -n <= layer < n:
            path = model.layers[layer].name
    elif isinstance(layer, str):
        path = layer
        inside = [p for p in places if p.endswith(f"/{layer}")]
        if layer not in places and inside:
            if len(inside) > 1:
                raise ValueError(
                    f"`layer` must be one of {', '.join(inside)}, which all "
                    f"have this name. Received: layer={layer!r}"
                )
            (path,) = inside
    if path not in places:
        maps = [
            place
            for place, (times, output) in places.items()
            if times == 1 and _is_map(output)
        ]
        listed = ", ".join(maps[-_MOST_LISTED:])
        what = (
            "an FA layer's number"
            if by_number
            else f"an index of the model's {len(model.layers)} `layers`"
        )
        raise ValueError(
            f"`layer` must be {what}, or the name of a layer that gives maps: "
            f"{'..., ' if len(maps) > _MOST_LISTED else ''}{listed}. "
            f"Received: layer={layer!r}"
        )
    times, output = places[path]
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


def maps_function(model: keras.Model, path: str) -> Callable:
    """A compiled function from images to the maps of the layer at `path`.

    Their channels are last, `(B, h, w, channels)`, wherever the layer has them.
    """

    def make():
        axis = channel_axis(model, path)
        features, _ = _cut(model, path.split("/"))
        return lambda x: _moved(features([x]), axis, -1)

    return cached_function(model, ("features", path), make)


def scores_after(model: keras.Model, path: str) -> Callable:
    """A function of a layer's maps and the images to the scores `(B, C)`.

    The maps are as `maps_function` gives them.
    """
    axis = channel_axis(model, path)
    _, rest = _cut(model, path.split("/"))

    def scores(a, x):
        (outputs,) = rest([x], _moved(a, -1, axis))
        return outputs

    return scores


def _moved(maps, source, destination):
    if {source, destination} == {-1, 3}:
        return maps
    return ops.moveaxis(maps, source, destination)


def scores_with_offsets(
    model: keras.Model, names: Sequence[str]
) -> tuple[Callable, list[int]]:
    """A model's scores as a function of what is added to some layers' maps.

    Args:
        model: A functional model.
        names: Layers of the model itself that give maps.

    Returns:
        A function of the images and a list of float32 tensors `(B, 1, 1,
        channels)`, one a layer, to the scores `(B, C)` and the list of the
        layers' maps; and the layers' numbers of channels.
    """
    channels = [model.get_layer(name).output.shape[-1] for name in names]
    offsets = [keras.Input((1, 1, n), dtype="float32") for n in channels]
    maps = {}

    def change(layer, output):
        if layer.name not in names:
            return output
        maps[layer.name] = output
        offset = offsets[names.index(layer.name)]
        moved = ops.cast(output, "float32") + offset
        return ops.cast(moved, output.dtype)

    level = GraphCopy(model, offsets, change)
    (images,) = level.inputs
    function = keras.Function(
        [images, *offsets], [*level.outputs, *(maps[name] for name in names)]
    )

    def scores_and_maps(x, added):
        scores, *given = function([ops.cast(x, images.dtype), *added])
        return scores, given

    return scores_and_maps, channels


def _cut(model, names):
    """Cuts a model at a layer.

    Args:
        model: A functional model.
        names: The parts of the layer's path.

    Returns:
        Two functions: of the model's inputs, a list, to the layer's output;
        and of the inputs and that output to the model's outputs, a list.
    """
    name, *inner = names
    level = GraphCopy(model)
    ((layer, given, output),) = level.calls[name]
    after = keras.Function(
        [*level.inputs, *tree.flatten(output)], level.outputs
    )

    def cast(xs):
        return [
            ops.cast(x, one.dtype)
            for x, one in zip(xs, level.inputs, strict=True)
        ]

    if not inner:
        before = keras.Function(level.inputs, output)
        return (
            lambda xs: before(cast(xs)),
            lambda xs, a: after([*cast(xs), a]),
        )
    before = keras.Function(level.inputs, call_inputs(layer, *given))
    features, rest = _cut(layer, inner)
    return (
        lambda xs: features(before(cast(xs))),
        lambda xs, a: after([*cast(xs), *rest(before(cast(xs)), a)]),
    )


def check_image_size(model: keras.Model, images: np.ndarray) -> None:
    """Raises where images are too small for a model of any size."""
    if None not in model.inputs[0].shape[1:] or not is_graph_model(model):
        return
    shape = (1, *images.shape[1:])

    def make():
        try:
            keras.Function(
                list(model.inputs), list(model.outputs)
            ).compute_output_shape([shape])
        except ValueError as e:
            return " ".join(str(e).split())
        return None

    trouble = cached(model, ("room", shape), make)
    if trouble:
        raise ValueError(
            "`images` must be large enough that every layer of the model "
            f"leaves something of them. Received: images of shape "
            f"{images.shape}, at which Keras says: {trouble}"
        )


def _is_map(output):
    return len(getattr(output, "shape", ())) == 4
