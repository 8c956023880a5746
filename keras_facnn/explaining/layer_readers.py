"""Compute logits, maps and evidence from a graph of FA layers.

Such a graph is a functional `keras.Model` with layers `stem` (whose output is
`x_0`), `relu_l` (the branches), `fa_l` and `head`, and with the attributes
`num_layers`, `depths`, `architecture`, `left_out` and `head`. Without FA
layers, `x_0` is the only layer of maps, number 0.
"""

from collections.abc import Callable
from collections.abc import Hashable
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_facnn._backend.cache import cached_function
from keras_facnn._backend.forward import run_in_batches
from keras_facnn._checks.arguments import check_bool
from keras_facnn._checks.models import check_finite_outputs
from keras_facnn._checks.numbers import is_integer
from keras_facnn._graph.layer_path import layer_name
from keras_facnn._graph.nodes import check_graph_model
from keras_facnn.maps import center_maps
from keras_facnn.types import LayerName

# A function of a dict, from the names of layers to their output tensors.
Reader = Callable[[dict[str, Any]], Any]


def layer_numbers(model: Any) -> list[int]:
    """Return the numbers of all layers of maps: 1..L, or 0 if L is 0."""
    return list(range(1, model.num_layers + 1)) or [0]


def layer_names(model: Any) -> list[str]:
    """Return the names of all layers of maps, from the first to the last."""
    return [layer_name(number) for number in layer_numbers(model)]


def check_layer(model: Any, layer: LayerName | None) -> int:
    """Return the number of a layer of maps, or raise; None means the last."""
    if layer is None:
        return model.num_layers
    numbers = layer_numbers(model)
    number: Any = layer
    if isinstance(layer, str):
        number = dict(zip(layer_names(model), numbers, strict=True)).get(layer)
    if not is_integer(number) or number not in numbers:
        raise _no_layer(model, "layer", layer)
    return number.__index__()


def check_layers(
    model: Any, layers: LayerName | Sequence[LayerName] | None, least: int = 0
) -> list[int]:
    """Return the numbers of some FA layers, or raise.

    Args:
        model: A graph of FA layers.
        layers: A layer, or a sequence of layers. None means all of them.
        least: The smallest number of layers that is valid.
    """
    if layers is None:
        return layer_numbers(model)
    if isinstance(layers, str) or is_integer(layers):
        return [check_layer(model, layers)]  # type: ignore[arg-type]
    some: Any = layers
    # Arrays without dimensions have an iterable type, too.
    if (
        not isinstance(some, Iterable)
        or isinstance(some, (bytes, dict))
        or getattr(some, "ndim", 1) == 0
    ):
        raise _no_layer(model, "layers", layers)
    some = list(some)
    if len(some) < least or any(layer is None for layer in some):
        raise _no_layer(model, "layers", layers)
    return [check_layer(model, layer) for layer in some]


def _no_layer(model: Any, name: str, value: Any) -> ValueError:
    kind = "an FA layer" if name == "layer" else "a sequence of FA layers"
    if not model.num_layers:
        return ValueError(
            f"`{name}` must be None or 0, because this model has no FA layers. "
            'Its maps are x_0, those of the layer "stem". '
            f"Received: {name}={value!r}"
        )
    return ValueError(
        f"`{name}` must be {kind}, 1 to {model.num_layers} or "
        f'"fa_1" to "fa_{model.num_layers}". Received: {name}={value!r}'
    )


def read_layers(
    model: Any,
    images: np.ndarray,
    names: Sequence[str],
    read: Reader,
    batch_size: int,
    key: Hashable,
) -> tuple[np.ndarray, Any]:
    """Return logits, and what `read` computes, from one forward pass.

    Args:
        model: A graph of FA layers.
        images: Checked array `(B, H, W, channels)`.
        names: The names of the layers whose outputs `read` needs.
        read: Function that takes a dict from these names to output tensors. It
            returns nested tensors whose first axis is that of the images.
        batch_size: Positive integer, images per forward pass.
        key: Hashable value that names the compiled function. Two functions
            `read` that compute different things must have different keys.

    Returns:
        Logits `(B, C)` and what `read` returned, as NumPy arrays.
    """

    def make() -> Callable:
        check_graph_model(model)
        features = {name: model.get_layer(name).output for name in names}
        graph = keras.Model(
            model.input, {"features": features, "logits": model.output}
        )

        def logits_and_read(x: Any) -> tuple[Any, Any]:
            outputs = graph(x, training=False)
            return outputs["logits"], read(outputs["features"])

        return logits_and_read

    logits, values = run_in_batches(
        cached_function(model, key, make), images, batch_size
    )
    check_finite_outputs(logits)
    return logits, values


def read_class_maps(
    model: Any,
    images: np.ndarray,
    layer: LayerName | None,
    batch_size: int,
    centered: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Return logits and class maps of checked images, at one FA layer."""
    number = check_layer(model, layer)
    centered = check_bool("centered", centered)
    name = layer_name(number)
    logits, maps = read_layers(
        model,
        images,
        [name],
        lambda outputs: model.head.class_maps(outputs[name]),
        batch_size,
        key=("class_maps", number),
    )
    return logits, center_maps(maps) if centered else maps


def layer_logits_reader(model: Any) -> Reader:
    """Return a function from the layers' outputs to logits `(B, L, C)`."""
    names = layer_names(model)

    def read(outputs: dict[str, Any]) -> Any:
        return ops.stack(
            [model.head.logits(outputs[name]) for name in names], axis=1
        )

    return read


def evidence_reader(model: Any) -> tuple[list[str], Reader]:
    """Return the layers that give evidence, and a function of their outputs.

    The function returns class maps `(B, L + 1, h, w, C)`. What the last maps
    leave out is left out of the evidence of each layer.
    """
    layers = range(1, model.num_layers + 1)
    has_mask = model.left_out is not None
    last = layer_name(model.num_layers)
    names = ["stem", *(f"relu_{layer}" for layer in layers)]
    weights = [1.0]
    for layer in layers:
        # Its alpha may have been changed since the model was made.
        skip = model.get_layer(model.architecture.layer_name(layer))
        weights = [w * (1 - skip.alpha) for w in weights]
        weights.append(skip.branch_weight)
    # How many poolings follow the output of each layer, 0..L.
    first_layers = np.cumsum(model.depths)[:-1] + 1
    poolings = [
        sum(layer < first for first in first_layers) for layer in [0, *layers]
    ]

    def read(outputs: dict[str, Any]) -> Any:
        evidence = []
        for name, weight, n in zip(names, weights, poolings, strict=True):
            x = outputs[name]
            # Repeats do not change class means. So only the pooling is left to
            # do, on C maps instead of C * R.
            if not has_mask:
                x = model.head.class_maps(x)
            for _ in range(n):
                x = ops.average_pool(x, 2, 2, data_format="channels_last")
            # Without FA layers, this is the output of the mask itself.
            if has_mask:
                repeats = model.head.maps_per_class * model.num_classes
                x = ops.repeat(x, repeats // x.shape[-1], axis=-1)
                if name != last:
                    x = model.get_layer(last)(x)
                x = model.head.class_maps(x)
            evidence.append(weight * x)
        return ops.stack(evidence, axis=1)

    return names, read
