"""Where a layer stands in a model's graph, also in models inside it."""

from collections.abc import Callable

import keras
from keras import ops
from keras import tree

from keras_facnn.checks import is_integer
from keras_facnn.forward import kept
from keras_facnn.forward import kept_function

# The most layers that a message lists; the last ones are what people want.
_MOST_LISTED = 60


class FlatGraph:
    """A model's graph with the functional models inside it unfolded.

    It shares all layers and weights with the model.

    Attributes:
        pixels: Keras tensor of the images.
        outputs: Keras tensor of the scores.
        tensors: Dict from a layer's path, such as `"backbone/out_relu"`, to
            the outputs of its calls in this graph, one a call.
    """

    def __init__(self, model: keras.Model):
        self.tensors = {}
        (pixels,) = model.inputs
        self.pixels = keras.Input(
            batch_shape=pixels.shape, dtype=pixels.dtype, name=pixels.name
        )
        (self.outputs,) = self._unfold(model, [self.pixels], "")

    def _unfold(self, model, inputs, path):
        """Calls all layers of a model anew; returns its flat outputs."""
        # `clone_model` runs through a graph, but hands nothing out of it that
        # is still connected, so layers at its ends catch what comes.
        ends = [keras.layers.Identity() for _ in model.outputs]
        caught = {}

        def call(operation, *args, **kwargs):
            if operation in ends:
                (caught[operation],) = args
                return operation(*args)
            # What is explained is inference, as `training=False` has it.
            kwargs.pop("training", None)
            name = f"{path}{operation.name}"
            if _has_graph(operation):
                given = args[0] if args else kwargs["inputs"]
                outputs = tree.pack_sequence_as(
                    operation.output,
                    self._unfold(operation, tree.flatten(given), f"{name}/"),
                )
            else:
                outputs = operation(*args, **kwargs)
            if isinstance(operation, keras.Layer):
                self.tensors.setdefault(name, []).append(outputs)
            return outputs

        keras.models.clone_model(
            keras.Model(
                list(model.inputs),
                [
                    end(y)
                    for end, y in zip(
                        ends, tree.flatten(model.outputs), strict=True
                    )
                ],
            ),
            input_tensors=[
                x if x.dtype == wanted.dtype else ops.cast(x, wanted.dtype)
                for x, wanted in zip(inputs, model.inputs, strict=True)
            ],
            clone_function=lambda layer: layer,
            call_function=call,
        )
        return [caught[end] for end in ends]


def flat_graph(model: keras.Model) -> FlatGraph:
    """The model's `FlatGraph`, made once."""
    return kept(model, "flat graph", lambda: FlatGraph(model))


def layer_path(model: keras.Model, layer: str | int) -> str:
    """The path of a layer that gives maps, in the model's `FlatGraph`.

    Args:
        model: What `classifier_shapes` takes.
        layer: A layer's name; for a layer of a model inside `model`, its name,
            or its path, such as `"backbone/out_relu"`. An integer is an FA
            layer's number on an FA-CNN, and an index of `model.layers` on any
            other model.

    Raises:
        ValueError: If there is no such layer, or it gives no maps, or several.
    """
    tensors = flat_graph(model).tensors
    by_number = hasattr(model, "predict_with_maps")
    if is_integer(layer):
        n = len(model.layers)
        if by_number:
            path = f"fa_{layer.__index__()}"
        elif -n <= layer < n:
            path = model.layers[layer].name
        else:
            path = None
    elif isinstance(layer, str):
        path = layer
        inside = [p for p in tensors if p.endswith(f"/{layer}")]
        if layer not in tensors and inside:
            if len(inside) > 1:
                raise ValueError(
                    f"`layer` must be one of {', '.join(inside)}, which all "
                    f"have this name. Received: layer={layer!r}"
                )
            (path,) = inside
    else:
        path = None
    if path not in tensors:
        maps = [p for p, calls in tensors.items() if _is_map(calls)]
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
    calls = tensors[path]
    if len(calls) > 1:
        raise ValueError(
            "`layer` must be a layer that the model calls once, since each "
            f"call has maps of its own. Received: layer={layer!r}, which this "
            f"model calls {len(calls)} times"
        )
    if not _is_map(calls):
        shapes = [getattr(x, "shape", x) for x in tree.flatten(calls[0])]
        raise ValueError(
            "The output of `layer` must be one tensor of 4 dimensions, (B, h, "
            f"w, channels). Received: layer={layer!r}, whose output has shape "
            f"{', '.join(map(str, shapes))}"
        )
    return path


def features_function(model: keras.Model, path: str) -> Callable:
    """A compiled function from images to the maps of the layer at `path`."""

    def make():
        graph = flat_graph(model)
        (maps,) = graph.tensors[path]
        before = keras.Function([graph.pixels], maps)
        return lambda x: before([ops.cast(x, graph.pixels.dtype)])

    return kept_function(model, ("features", path), make)


def rest_of(model: keras.Model, path: str) -> Callable:
    """A function of a layer's maps and the images to the scores `(B, C)`."""
    graph = flat_graph(model)
    (maps,) = graph.tensors[path]
    rest = keras.Function([graph.pixels, maps], graph.outputs)
    return lambda a, x: rest([ops.cast(x, graph.pixels.dtype), a])


def _is_map(calls):
    return len(calls) == 1 and len(getattr(calls[0], "shape", ())) == 4


def _has_graph(operation):
    """Whether an operation is a model that is its graph and nothing else."""
    if not isinstance(operation, keras.Model):
        return False
    if not getattr(operation, "inputs", None):
        return False
    x = keras.Input((1,))
    calls = (type(keras.Model(x, x)).call, keras.Sequential.call)
    return type(operation).call in calls or hasattr(
        operation, "predict_with_maps"
    )
