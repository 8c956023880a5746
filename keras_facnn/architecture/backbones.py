"""The part of a backbone that makes the features of a hybrid."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers
from keras import tree

from keras_facnn._checks.models import check_channels_last
from keras_facnn._graph.channel_axes import channel_axes
from keras_facnn._graph.nodes import call_inputs
from keras_facnn._graph.nodes import check_graph_model
from keras_facnn._graph.nodes import is_graph_model
from keras_facnn._graph.nodes import last_operation

# The image size at which strides are measured if a backbone takes any size.
_PROBE = 512
# Names of the layers that join the maps of several feature layers.
_JOINED, _UPSAMPLED = "joined_features", "upsampled_"


def feature_model(
    backbone: Any,
    feature_layer: str | Sequence[str] | None = None,
    image_shape: tuple[int | None, ...] | None = None,
) -> tuple[keras.Model, int, int]:
    """Return the part of a backbone that makes a hybrid's features.

    Args:
        backbone: A functional `keras.Model` of images, whose layers and
            weights are shared.
        feature_layer: Name of the layer whose maps are the features, or a
            sequence of names. Maps of several layers are resized bilinearly to
            the size of the finest, and concatenated. None means the output.
        image_shape: `(height, width, channels)` of the images. None means the
            backbone's own.

    Returns:
        A `keras.Model` named `"backbone"`, from images to maps
        `(B, h, w, channels)`; an integer that height and width of images must
        be multiples of if they are not fixed; and the stride, an integer, in
        pixels per cell.
    """
    names = _names(feature_layer)
    model = _cut(backbone, names)
    own_shape = tuple(model.inputs[0].shape[1:])
    if image_shape is None or image_shape == own_shape:
        strides = _strides(model)
    else:
        # Only maps that are joined may not fit.
        is_joined = len(model.outputs) > 1
        fitting = max(_strides(model)) if is_joined else None
        model = _resized(model, image_shape)
        strides = _strides(model, fitting)
    finest = min(strides)
    x = [
        maps
        if n == finest
        else _upsampled(maps, n // finest, f"{_UPSAMPLED}{i}")
        for i, (maps, n) in enumerate(zip(model.outputs, strides, strict=True))
    ]
    if len(x) > 1:
        x = [layers.Concatenate(axis=-1, name=_JOINED)(x)]
    has_any_size = None in model.inputs[0].shape[1:]
    multiple = max(strides) if len(strides) > 1 and has_any_size else 1
    # Do not pass `trainable=`, which would unfreeze frozen layers.
    model = keras.Model(model.inputs[0], x[0], name="backbone")
    return model, multiple, finest


def _names(feature_layer: Any) -> list[str] | None:
    """Return the names of the feature layers, or None."""
    names = feature_layer
    if names is None:
        return None
    if isinstance(names, str):
        names = [names]
    if (
        not isinstance(names, (list, tuple))
        or not names
        or not all(isinstance(name, str) for name in names)
    ):
        raise ValueError(
            "`feature_layer` must be None, the name of a layer of the "
            "backbone, or a sequence of names. "
            f"Received: feature_layer={feature_layer!r}"
        )
    return list(names)


def _cut(backbone: Any, names: list[str] | None) -> keras.Model:
    """Return a model from images to the maps of the named layers.

    If `names` is None, the model returns the output of the backbone.
    """
    graph = isinstance(backbone, keras.Model) and getattr(
        backbone, "inputs", None
    )
    if not graph or len(graph) != 1 or len(graph[0].shape) != 4:
        raise ValueError(
            "`backbone` must be a functional `keras.Model` with one input, "
            "images (B, H, W, channels). "
            f"Received: backbone={backbone!r}"
        )
    check_channels_last("backbone", backbone)
    check_graph_model(backbone, "backbone")
    if names is None:
        outputs = list(tree.flatten(backbone.outputs))
        where = ["its output"] * len(outputs)
    else:
        graph, known = _outputs_by_layer(backbone)
        unknown = [name for name in names if name not in known]
        if unknown:
            maps = [
                name
                for name, (output, *_) in known.items()
                if len(getattr(output, "shape", ())) == 4
            ]
            raise ValueError(
                "`feature_layer` must name layers of the backbone "
                f"{backbone.name!r} whose output is (B, h, w, channels), such "
                f"as {', '.join(maps[-5:])}. Received: {unknown}"
            )
        often = [name for name in names if len(known[name]) > 1]
        if often:
            raise ValueError(
                "`feature_layer` must name layers that the backbone calls "
                "once, since each call has its own maps. "
                f"Received: {often}, which {backbone.name!r} calls "
                f"{len(known[often[0]])} times"
            )
        outputs = [known[name][0] for name in names]
        where = [f"the output of its layer {name!r}" for name in names]
    if names is None and len(outputs) == 1:
        outputs = _before_joining(outputs[0])
        where *= len(outputs)
    elif names is None:
        raise ValueError(
            "`backbone` must have one output, or `feature_layer` must name "
            f"the layers to use. Received: {len(outputs)} outputs"
        )
    outputs = [
        _with_channels_last(output, f"channels_last_{i}")
        for i, output in enumerate(outputs)
    ]
    for output, source in zip(outputs, where, strict=True):
        shape: Any = getattr(output, "shape", ())
        if len(shape) != 4 or shape[-1] is None:
            raise ValueError(
                "`backbone` must output maps (B, h, w, channels). In "
                "keras.applications, pass include_top=False, or name a layer "
                f"by `feature_layer`. Received: {source} is of shape "
                f"{tuple(shape)}"
            )
    return keras.Model(graph[0], outputs)


def _before_joining(output: Any) -> list[Any]:
    """Return the maps that `feature_model` joined, or the output.

    A hybrid stores its joined maps. For images of another size, they are joined
    anew, because Keras does not check their sizes again.
    """
    operation, parts = last_operation(output)
    if operation.name != _JOINED or not isinstance(
        operation, layers.Concatenate
    ):
        return [output]
    found = []
    for part in parts:
        operation, inputs = last_operation(part)
        is_upsampled = operation.name.startswith(_UPSAMPLED)
        found.append(inputs[0] if is_upsampled else part)
    return found


def _outputs_by_layer(
    model: keras.Model,
) -> tuple[list[Any], dict[str, list[Any]]]:
    """Return a model's inputs, and the outputs of its layers.

    `layer.output` is not used, since it belongs to a layer's first call, which
    may be in another graph.

    Returns:
        A list of Keras tensors, and a dict from the name of a layer to the
        list of the outputs of its calls.
    """
    found: dict[str, list] = {}

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        output = operation(*args, **kwargs)
        found.setdefault(operation.name, []).append(output)
        return output

    clone = keras.models.clone_model(
        keras.Model(model.inputs, model.outputs),
        clone_function=lambda layer: layer,
        call_function=call,
    )
    return clone.inputs, {
        layer.name: found[layer.name]
        for layer in model.layers
        if layer.name in found
    }


def _with_channels_last(output: Any, name: str) -> Any:
    """Return maps as `(B, h, w, channels)`, and other outputs unchanged."""
    if len(getattr(output, "shape", ())) != 4:
        return output
    (axis,) = channel_axes([output])
    if axis == 3:
        return output
    order = [n for n in (1, 2, 3) if n != axis]
    return layers.Permute((*order, axis), name=name)(output)


def _resized(
    model: keras.Model, image_shape: tuple[int | None, ...]
) -> keras.Model:
    """Return a model of the same layers for images of another size."""
    own = tuple(model.inputs[0].shape[1:])
    if image_shape[-1] != own[-1]:
        raise ValueError(
            f"The backbone takes images of {own[-1]} channels. "
            f"Received: image_shape={image_shape}"
        )
    try:
        images = keras.Input(image_shape, name="images")
        resized = _with_inputs(model, images)
        return keras.Model(images, list(resized.outputs))
    except (TypeError, ValueError) as e:
        raise ValueError(
            f"The backbone was built for images of shape {own}, and cannot be "
            f"built for others: {e} Received: image_shape={image_shape}"
        ) from e


def _with_inputs(model: keras.Model, inputs: Any) -> keras.Model:
    """Return a model of the same layers for other inputs.

    A nested model also gets inputs of its own, because Keras calls a model only
    with inputs of the shape that it was built for.
    """

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        if is_graph_model(operation) and len(operation.inputs) == 1:
            (x,) = call_inputs(operation, args, kwargs)
            inner = keras.Input(
                batch_shape=x.shape,
                dtype=operation.inputs[0].dtype,
                name=operation.inputs[0].name,
            )
            nested = _with_inputs(operation, inner)
            return nested(x, training=kwargs.get("training"))
        return operation(*args, **kwargs)

    outputs = model.outputs
    return keras.models.clone_model(
        # `Sequential` is cloned without `call_function`.
        keras.Model(
            model.inputs[0],
            outputs[0] if len(outputs) == 1 else outputs,
            name=model.name,
        ),
        input_tensors=inputs,
        clone_function=lambda layer: layer,
        call_function=call,
    )


def _strides(model: keras.Model, fitting: int | None = None) -> list[int]:
    """Return the pixels per cell of each output of a model.

    Args:
        model: A model of one or more outputs.
        fitting: A number whose multiples are sizes of images that fit, for the
            message of an error, if `image_shape` is to blame.
    """
    size = [n or _PROBE for n in model.inputs[0].shape[1:3]]
    sizes = [
        shape[1:3]
        for shape in model.compute_output_shape(
            (1, *size, model.inputs[0].shape[-1])
        )
    ]
    if any(None in n for n in sizes):
        raise ValueError(
            "The layers of `backbone` must compute the size of its maps from "
            "the size of the images, in `compute_output_shape`. "
            f"Received: maps of shape {sizes} for images of {size}"
        )
    largest = max(sizes)
    if any(
        largest[0] * n[1] != largest[1] * n[0] or largest[0] % n[0]
        for n in sizes
    ):
        rule = (
            "`feature_layer` can join only maps whose sizes divide each other"
            if fitting is None
            else "`image_shape` must give maps whose sizes divide each other, "
            f"as multiples of {fitting} do, because the backbone joins them"
        )
        raise ValueError(
            f"{rule}. "
            f"Received: maps of {' and '.join(f'{h}x{w}' for h, w in sizes)} "
            f"for images of {size[0]}x{size[1]}"
        )
    stride = max(1, round(size[0] / largest[0]))
    return [stride * (largest[0] // n[0]) for n in sizes]


def _upsampled(maps: Any, factor: int, name: str) -> Any:
    """Return maps that are larger by a factor, resized bilinearly."""
    return layers.UpSampling2D(
        factor,
        interpolation="bilinear",
        data_format="channels_last",
        name=name,
    )(maps)
