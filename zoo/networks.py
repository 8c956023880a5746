"""What is trained: an FA-CNN, the usual head on a backbone, or a baseline."""

import functools
import re
from typing import Any

import keras
from absl import logging

import keras_facnn
from zoo.baselines import head
from zoo.baselines import of_equal_cost
from zoo.baselines import plain
from zoo.baselines import resnet
from zoo.efficientnet_lite import efficientnet_lite

# From images to maps, by the name that a recipe's `Backbone` has.
BACKBONES = {
    "efficientnet_lite0": functools.partial(
        efficientnet_lite, 0, include_top=False
    )
}
# From images to logits, by the name that a recipe's `Conversion` has.
CLASSIFIERS = {"efficientnet_lite1": functools.partial(efficientnet_lite, 1)}


def build(
    kind: str,
    arguments: dict[str, Any],
    init: str | None = None,
    pretrained: bool = True,
) -> keras.Model:
    """Build the model to train: an FA-CNN, or a baseline.

    Args:
        kind: `"facnn"`, `"resnet"` or `"plain"`; with a `backbone`, `"facnn"`
            or `"pooled"`.
        arguments: Arguments of the `FACNN`; a `backbone` is a dict with the
            `name` of one in `BACKBONES` and its arguments.
        init: Preset, or `model.keras` of a baseline, whose weights to start
            from, or None. The `alpha` of the preset may differ from
            `arguments`. Layers that are class-wise only in `arguments` take the
            weights that the preset gives to each class' own maps.
        pretrained: Whether a backbone has its trained weights, without `init`.
    """
    if kind != "facnn" and (kind == "pooled") != bool(
        arguments.get("backbone")
    ):
        raise ValueError(
            "`kind` must be facnn or pooled for a model with a `backbone`, "
            "and facnn, resnet or plain for one without. "
            f"Received: kind={kind!r}"
        )
    # The weights of `init` replace pretrained ones.
    pretrained = pretrained and not init
    if kind == "pooled":
        model = pooled(arguments, pretrained)
    else:
        model = facnn(arguments, pretrained)
    if kind in ("resnet", "plain"):
        model = of_equal_cost({"resnet": resnet, "plain": plain}[kind], model)
    if not init:
        return model
    if kind == "facnn":
        return _from_preset(init, arguments, model)
    start = keras.saving.load_model(init)
    shapes, received = (
        [tuple(w.shape) for w in one.weights] for one in (model, start)
    )
    if received != shapes:
        raise ValueError(
            f"`--init {init}` must be the recipe's {kind} model. Expected "
            f"weights of shapes {shapes}. Received: {received}"
        )
    model.set_weights(start.get_weights())
    return model


def _from_preset(
    init: str, arguments: dict[str, Any], model: keras_facnn.FACNN
) -> keras_facnn.FACNN:
    """Return the model of some arguments with the weights of a preset.

    Args:
        init: Name, folder or URL of the preset.
        arguments: As in `build`.
        model: The model of the arguments.
    """
    free = (
        "deep_alignment",
        "image_shape",
        "stochastic_depth",
        "synchronized_batch_norm",
    )
    start = keras_facnn.FACNN.from_preset(
        init, **{name: arguments[name] for name in free if name in arguments}
    )
    changes = {"alpha": model.get_config()["alpha"]}
    if start.classwise_layers < model.classwise_layers:
        changes["classwise_layers"] = model.classwise_layers
    # The weights' shapes depend on neither the record nor the name.
    may_differ = {
        "preset_metadata": None,
        "weights_at_load": None,
        "name": start.name,
        **changes,
    }
    expected, received = (
        {**one.get_config(), **may_differ} for one in (model, start)
    )
    if received != expected:
        raise ValueError(
            f"`--init {init}` must be the recipe's model. "
            f"Expected: {expected}. Received: {received}"
        )
    if start.alphas != model.alphas:
        logging.warning(
            "The alphas of %s are %s; the recipe's replace them: %s.",
            init,
            start.alphas,
            model.alphas,
        )
    return _changed(start, changes)


def _changed(
    start: keras_facnn.FACNN, changes: dict[str, Any]
) -> keras_facnn.FACNN:
    """Return a model with the weights of `start`, and changes to its config.

    Kernels that are class-wise only in the new model are those of a class' own
    maps.
    """
    config = start.get_config()
    changed = {**config, **changes}
    if changed == config:
        return start
    model = keras_facnn.FACNN.from_config(changed)
    for layer in model.layers:
        weights = start.get_layer(layer.name).get_weights()
        if weights and weights[0].shape != layer.get_weights()[0].shape:
            weights[0] = keras_facnn.layers.ClasswiseConv2D.own_kernel(
                weights[0], start.num_classes
            )
        layer.set_weights(weights)
    return model


def facnn(
    arguments: dict[str, Any], pretrained: bool = True
) -> keras_facnn.FACNN:
    """Build the FA-CNN of some arguments, whose `backbone` is a dict.

    Args:
        arguments: As in `build`.
        pretrained: Whether the backbone has its trained weights.
    """
    arguments = dict(arguments)
    if arguments.get("backbone"):
        arguments["backbone"] = _backbone(arguments, pretrained)
    return keras_facnn.FACNN(**arguments)


def pooled(arguments: dict[str, Any], pretrained: bool = True) -> keras.Model:
    """Build the usual classifier: a backbone, an average and one `Dense`.

    The average is of the backbone's last maps, those before its own pooling.

    Args:
        arguments: As in `build`.
        pretrained: Whether the backbone has its trained weights.

    Returns:
        A `keras.Model` from images in 0..255 to logits.
    """
    backbone = _backbone(arguments, pretrained)
    return keras.Model(
        backbone.input, head(backbone.output, arguments["num_classes"])
    )


def _backbone(arguments: dict[str, Any], pretrained: bool) -> keras.Model:
    options = dict(arguments["backbone"])
    return BACKBONES[options.pop("name")](
        arguments["image_shape"], pretrained=pretrained, **options
    )


def freeze(model: keras.Model, pattern: str) -> None:
    """Freeze those layers of the backbone whose names match a pattern."""
    is_facnn = isinstance(model, keras_facnn.FACNN)
    # A `pooled` model ends in the two layers of its head.
    for layer in model.backbone.layers if is_facnn else model.layers[:-2]:
        if re.fullmatch(pattern, layer.name):
            layer.trainable = False
