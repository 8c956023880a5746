"""What is trained: FA-CNN, or what it is compared with."""

import functools
import math
import re

import keras
from absl import logging
from keras import layers

import keras_facnn
from zoo.cost import multiply_adds
from zoo.efficientnet_lite0 import efficientnet_lite0

# Of images to maps; what a config's `backbone` names.
BACKBONES = {
    "efficientnet_lite0": functools.partial(
        efficientnet_lite0, include_top=False
    )
}


def build(kind, arguments, init=None):
    """The model to train: an FA-CNN, or a baseline.

    Args:
        kind: `"facnn"`, `"resnet"` or `"plain"`; of a config with a `backbone`,
            `"facnn"` or `"pooled"`.
        arguments: Those of the `FACNN`; a `backbone` is a dict with the `name`
            of one in `BACKBONES` and its arguments.
        init: Preset, or `model.keras` of a baseline, whose weights to start
            from, or None. A preset's `alpha` may be another than the
            config's. Layers that are class-wise in the config alone take
            what the preset's give each class of its own maps.
    """
    if kind != "facnn" and (kind == "pooled") != bool(
        arguments.get("backbone")
    ):
        raise ValueError(
            "`--model` must be facnn or pooled for a config with a `backbone`, "
            "and facnn, resnet or plain for one without. Received: --model "
            f"{kind}"
        )
    # Those of `init` take the place of pretrained weights.
    if kind == "pooled":
        model = pooled(arguments, pretrained=not init)
    else:
        model = facnn(arguments, pretrained=not init)
    if kind in ("resnet", "plain"):
        model = of_equal_cost({"resnet": resnet, "plain": plain}[kind], model)
    if kind != "facnn":
        if init:
            start = keras.saving.load_model(init)
            shapes, received = (
                [tuple(w.shape) for w in one.weights] for one in (model, start)
            )
            if received != shapes:
                raise ValueError(
                    f"`--init {init}` must be the config's {kind} model. "
                    f"Expected weights of shapes {shapes}. "
                    f"Received: {received}"
                )
            model.set_weights(start.get_weights())
        return model
    if not init:
        return model
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
            f"`--init {init}` must be the config's model. "
            f"Expected: {expected}. Received: {received}"
        )
    if start.alphas != model.alphas:
        logging.warning(
            "The alphas of %s are %s; the config's take their place: %s.",
            init,
            start.alphas,
            model.alphas,
        )
    return _changed(start, changes)


def _changed(start, changes):
    """A model with the weights of `start`, and changes to its config.

    Kernels that are class-wise in it alone are those of a class' own maps.
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


def facnn(arguments, pretrained=True):
    """The FA-CNN of a config's arguments, whose `backbone` is a dict.

    Args:
        arguments: As in `build`.
        pretrained: Whether the backbone has its trained weights.
    """
    arguments = dict(arguments)
    if arguments.get("backbone"):
        arguments["backbone"] = _backbone(arguments, pretrained)
    return keras_facnn.FACNN(**arguments)


def pooled(arguments, pretrained=True):
    """The usual classifier on a hybrid's backbone: an average and one `Dense`.

    The average is of the backbone's last maps, those before its own pooling.

    Args:
        arguments: As in `build`.
        pretrained: Whether the backbone has its trained weights.

    Returns:
        A `keras.Model` from images in 0..255 to logits.
    """
    backbone = _backbone(arguments, pretrained)
    return keras.Model(
        backbone.input, _head(backbone.output, arguments["num_classes"])
    )


def _backbone(arguments, pretrained):
    options = dict(arguments["backbone"])
    return BACKBONES[options.pop("name")](
        arguments["image_shape"], pretrained=pretrained, **options
    )


def freeze(model, pattern):
    """Freezes those layers of the backbone whose names fit a pattern."""
    is_facnn = isinstance(model, keras_facnn.FACNN)
    # A `pooled` model ends in the two layers of its head.
    for layer in model.backbone.layers if is_facnn else model.layers[:-2]:
        if re.fullmatch(pattern, layer.name):
            layer.trainable = False


def resnet(num_classes, image_shape, width, synchronized=False):
    """A ResNet of 25 convolutions, as He et al. built for CIFAR-10.

    Three stages of four blocks of `width`, `2 * width` and `4 * width`
    channels, in pre-activation order; images larger than 32x32 are halved by
    the stem.

    Source: arXiv 1512.03385, section 4.2; arXiv 1603.05027.

    Args:
        num_classes: Number of classes.
        image_shape: `(height, width, channels)`.
        width: Channels of the first stage.
        synchronized: Whether batch statistics are taken over all replicas of
            a TensorFlow distribution strategy.

    Returns:
        A `keras.Model` from images in 0..255 to logits.
    """

    norm_relu = functools.partial(_norm_relu, synchronized=synchronized)

    def block(x, channels, strides):
        skip = x
        x = norm_relu(x)
        if strides > 1 or skip.shape[-1] != channels:
            # Strides of its own would corrupt memory on PyTorch's CPU, see
            # `keras_facnn.gradients.refuse_unsound_gradients`.
            skip = layers.MaxPooling2D(1, strides)(x) if strides > 1 else x
            skip = layers.Conv2D(channels, 1, use_bias=False)(skip)
        x = _conv(x, channels, strides)
        x = _conv(norm_relu(x), channels)
        return layers.Add()([skip, x])

    inputs, x = _stem(image_shape, width)
    for stage in range(3):
        for i in range(4):
            strides = 2 if stage and not i else 1
            x = block(x, width * 2**stage, strides)
    return keras.Model(inputs, _head(norm_relu(x), num_classes))


def plain(num_classes, image_shape, width, synchronized=False):
    """A plain CNN of 13 convolutions with batch norm, in the way of VGG.

    Three stages of four convolutions of `width`, `2 * width` and `4 * width`
    channels, the last two begun by a stride of two; images larger than 32x32
    are halved by the stem.

    Args:
        num_classes: Number of classes.
        image_shape: `(height, width, channels)`.
        width: Channels of the first stage.
        synchronized: Whether batch statistics are taken over all replicas of
            a TensorFlow distribution strategy.

    Returns:
        A `keras.Model` from images in 0..255 to logits.
    """
    norm_relu = functools.partial(_norm_relu, synchronized=synchronized)
    inputs, x = _stem(image_shape, width)
    x = norm_relu(x)
    for stage in range(3):
        for i in range(4):
            strides = 2 if stage and not i else 1
            x = norm_relu(_conv(x, width * 2**stage, strides))
    return keras.Model(inputs, _head(x, num_classes))


def of_equal_cost(build, model, tolerance=0.05):
    """The baseline whose multiply-adds are nearest to a model's.

    Args:
        build: `resnet` or `plain`.
        model: The `FACNN` to compare with.
        tolerance: Largest relative difference.

    Returns:
        A `keras.Model` for the same images and classes, whose batch norm is
        synchronised if the model's is.
    """
    target = multiply_adds(model)

    def of_width(width, synchronized=False):
        return build(model.num_classes, model.image_shape, width, synchronized)

    # Each kernel grows with the width or with its square.
    one, two = (multiply_adds(of_width(width)) for width in (1, 2))
    square, linear = two / 2 - one, 2 * one - two / 2

    def cost(width):
        return square * width**2 + linear * width

    guess = round(math.sqrt(target / square))
    width = min(
        range(max(1, guess - 2), guess + 2),
        key=lambda width: abs(cost(width) - target),
    )
    error = cost(width) / target - 1
    if abs(error) > tolerance:
        raise ValueError(
            f"No width of {build.__name__} costs {target} multiply-adds: the "
            f"nearest, {width}, is off by {error:.1%}."
        )
    synchronized = (
        model.synchronized_batch_norm
        and keras.backend.backend() == "tensorflow"
    )
    return of_width(width, synchronized)


def _conv(x, channels, strides=1):
    return layers.Conv2D(channels, 3, strides, padding="same", use_bias=False)(
        x
    )


def _norm_relu(x, synchronized):
    # The momentum of FA-CNN, and its tuple, for torch.compile.
    norm = layers.BatchNormalization(momentum=0.9, synchronized=synchronized)
    x = norm(x)
    norm._reduction_axes = tuple(norm._reduction_axes)
    return layers.ReLU()(x)


def _stem(image_shape, width):
    inputs = keras.Input(image_shape, name="images")
    # `layers.Rescaling` stops torch.compile.
    x = inputs / 127.5 - 1.0
    return inputs, _conv(x, width, strides=1 if image_shape[0] <= 32 else 2)


def _head(x, num_classes):
    x = layers.GlobalAveragePooling2D()(x)
    # Float32, so that losses of mixed precision are exact.
    return layers.Dense(num_classes, dtype="float32")(x)
