"""The graph that is written: images in, logits and class maps out."""

import contextlib
import os
import pathlib
import warnings
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_facnn._backend.initializers import skip_initializers
from keras_facnn._graph.layer_path import layer_name
from keras_facnn.export.formats import FORMATS
from keras_facnn.layers import ClassMean


def make_graph(
    model: Any, layers: Sequence[int], centered: bool, fuse: bool
) -> keras.Model:
    """Return a model of the outputs to write, by name, in float32.

    Args:
        model: A `FACNN`.
        layers: The numbers of FA layers whose maps are outputs, besides the
            last.
        centered: Whether the maps are centered.
        fuse: Whether norm and branch weights are folded into the convolutions.
    """
    source = _in_float32(model.fuse() if fuse else model)
    outputs = {"logits": source.output}
    last = model.num_layers
    for layer in dict.fromkeys([last, *layers]):
        name = "class_maps" if layer == last else f"class_maps_{layer}"
        maps = ClassMean(model.num_classes, name=name)(
            source.get_layer(layer_name(layer)).output
        )
        if centered:
            maps = maps - ops.mean(maps, axis=-1, keepdims=True)
        outputs[name] = maps
    return keras.Model(source.input, outputs)


def write_graph(
    graph: keras.Model,
    format: str,
    path: pathlib.Path,
    options: Mapping[str, Any],
) -> None:
    """Write a graph with Keras.

    Args:
        graph: Result of `make_graph`.
        format: The name of the format.
        path: Where to write.
        options: Further arguments of `keras.Model.export`.
    """
    shape = graph.input.shape[1:]
    images = keras.Input(shape, name="images")
    # Keras traces some formats without `training=False`.
    outputs = graph(images, training=False)
    if not FORMATS[format].names_outputs:
        # They are named later, in this order.
        outputs = [outputs[name] for name in graph.output]
    signature = keras.InputSpec(
        shape=(None, *shape), dtype="float32", name="images"
    )
    with warnings.catch_warnings(), _quiet(), _layer_norm_of_integers():
        # Exporters warn about their own code.
        warnings.simplefilter("ignore")
        keras.Model(images, outputs).export(
            str(path),
            format=format,
            verbose=False,
            input_signature=[signature],
            **options,
        )


def _in_float32(model: Any) -> Any:
    """Return the model, or a float32 copy, because exporters need one."""
    config = model.get_config()
    if config["dtype"] == "float32":
        return model
    with skip_initializers():
        copied = type(model).from_config({**config, "dtype": "float32"})
    copied.set_weights(model.get_weights())
    return copied


@contextlib.contextmanager
def _layer_norm_of_integers() -> Iterator[None]:
    """Let PyTorch's `layer_norm` take shapes of integers.

    When PyTorch traces, Keras' LayerNormalization passes the shape as tensors,
    which ONNX cannot express.
    """
    if keras.backend.backend() != "torch":
        yield
        return
    from torch.nn import functional

    layer_norm = functional.layer_norm

    def of_integers(
        x: Any, normalized_shape: Any, *args: Any, **kwargs: Any
    ) -> Any:
        return layer_norm(
            x, [int(n) for n in normalized_shape], *args, **kwargs
        )

    functional.layer_norm = of_integers  # type: ignore[assignment]
    try:
        yield
    finally:
        functional.layer_norm = layer_norm


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide what exporters print."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield
