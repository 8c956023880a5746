"""FA layers, stages and head as a functional graph."""

import functools

import keras
from keras import layers

from keras_facnn._checks.models import all_layers
from keras_facnn._checks.numbers import check_int
from keras_facnn._checks.numbers import check_ints
from keras_facnn._checks.numbers import is_number
from keras_facnn._graph.nodes import check_graph_model
from keras_facnn.architecture.backbone_config import backbone_from_config
from keras_facnn.architecture.backbone_config import warn_of_foreign_classes
from keras_facnn.architecture.backbones import feature_model
from keras_facnn.architecture.sizes import check_model_size
from keras_facnn.architecture.sizes import check_projection_size
from keras_facnn.layers import ClassMajorRepeat
from keras_facnn.layers import ClasswiseConv2D
from keras_facnn.layers import DampenedSkip
from keras_facnn.layers import EdgePadding
from keras_facnn.layers import GlobalAvgPool3DHead
from keras_facnn.layers import PixelStem


def fa_stages(
    x,
    num_classes,
    depths,
    maps_per_class,
    alphas,
    stochastic_depth,
    classwise_layers,
    padding,
    threshold,
    batch_norm_gain,
    synchronized_batch_norm,
    dtype,
    fused,
):
    """Adds the stages of an FA-CNN and its head to a functional graph.

    FA layer `l = 1..L` computes `x_l = (1 - a_l) * x_{l-1} + a_l *
    ReLU(BN(Conv3x3(x_{l-1})))`; stages are joined by 2x2 average pooling and a
    class-major repeat. Layers are named `conv_l`, `norm_l`, `relu_l` (the
    branch), `fa_l`, `pool_s`, `repeat_s` and `head`.

    Args:
        x: Keras tensor of non-negative class-major maps, `(B, h, w, C * R_1)`.
        num_classes: The number of classes C.
        depths: Number of FA layers of each stage.
        maps_per_class: Maps R of each class in each stage.
        alphas: The weight of each layer's branch, L floats.
        stochastic_depth: How often the last layer's branch is left out in
            training; others are less often, in proportion to `l`.
        classwise_layers: How many of the last layers see only their own
            class' maps.
        padding: What the branches see beyond the border, as for `FACNN`.
        threshold: Whether the head learns a threshold.
        batch_norm_gain: Whether the branches' batch norm learns a gain.
        synchronized_batch_norm: Whether replicas share batch statistics.
        dtype: Dtype policy of all layers.
        fused: Whether norm and `a_l` are in the convolutions, see `fuse`.

    Returns:
        The Keras tensor of the logits, `(B, C)`.
    """
    level, last = 0, sum(depths)
    drop_rate = 0.0 if fused else stochastic_depth / last
    for stage, (depth, maps) in enumerate(
        zip(depths, maps_per_class, strict=True)
    ):
        if stage:
            x = layers.AveragePooling2D(
                2,
                data_format="channels_last",
                dtype=dtype,
                name=f"pool_{stage}",
            )(x)
            x = ClassMajorRepeat(
                maps // maps_per_class[stage - 1],
                dtype=dtype,
                name=f"repeat_{stage}",
            )(x)
        for _ in range(depth):
            level += 1
            branch = _branch(
                x,
                level,
                num_classes,
                maps,
                level > last - classwise_layers,
                padding,
                batch_norm_gain,
                synchronized_batch_norm,
                dtype,
                fused,
            )
            x = DampenedSkip(
                alphas[level - 1],
                drop_rate=drop_rate * level,
                folded=fused,
                dtype=dtype,
                name=f"fa_{level}",
            )([x, branch])
    return GlobalAvgPool3DHead(
        num_classes,
        maps_per_class[-1],
        threshold=threshold,
        dtype=dtype,
        name="head",
    )(x)


def image_and_x0(
    num_classes,
    image_shape,
    depths,
    maps_per_class,
    space_to_depth,
    classwise_layers,
    backbone,
    feature_layer,
    dtype,
    **options,
):
    """Begins the graph of an FA-CNN: the images, and the maps `x_0`.

    Without a backbone the layer `stem` copies pixels. With one, a nested model
    `backbone`, a 1x1 convolution `project`, `project_norm` and the ReLU `stem`
    make `x_0`.

    Args:
        num_classes: The number of classes C.
        image_shape: `(height, width, channels)`, or None.
        depths: Number of FA layers of each stage.
        maps_per_class: Maps R of each class in each stage.
        space_to_depth: Side of the pixel blocks that become channels.
        classwise_layers: As for `fa_stages`.
        backbone: A functional model, a config of one, or None.
        feature_layer: As for `FACNN`.
        dtype: Dtype policy of all layers but the backbone's.
        **options: Those of `fa_stages`.

    Returns:
        The Keras tensors of the images and of `x_0`, and the model's
        `size_rules`: what image sizes must be multiples of, and at least.
    """
    pooling = 2 ** (len(depths) - 1)
    if backbone is None:
        if feature_layer is not None:
            raise ValueError(
                "`feature_layer` needs a `backbone`. "
                f"Received: feature_layer={feature_layer!r}"
            )
        least = space_to_depth * pooling
        image_shape = (32, 32, 3) if image_shape is None else image_shape
        image_shape = check_image_shape(image_shape, least)
        check_model_size(
            num_classes,
            image_shape,
            depths,
            maps_per_class,
            space_to_depth,
            classwise_layers=classwise_layers,
        )
        inputs = keras.Input(image_shape, name="images")
        x = PixelStem(
            num_classes,
            maps_per_class[0],
            space_to_depth,
            scale=1 / 255,
            dtype=dtype,
            name="stem",
        )(inputs)
        return inputs, x, (space_to_depth, least)

    if space_to_depth != 1:
        raise ValueError(
            "`space_to_depth` must be 1 with a `backbone`. "
            f"Received: space_to_depth={space_to_depth}"
        )
    if image_shape is not None:
        image_shape = check_image_shape(image_shape, 1)
    # The least images, as those of the backbone are not known yet.
    check_model_size(
        num_classes,
        image_shape or (1, 1, 1),
        depths,
        maps_per_class,
        classwise_layers=classwise_layers,
    )
    if isinstance(backbone, dict):
        backbone = backbone_from_config(backbone, dtype.name)
    features, multiple, stride = feature_model(
        backbone, feature_layer, image_shape
    )
    check_projection_size(
        features.output.shape[-1], num_classes, maps_per_class[0]
    )
    warn_of_foreign_classes(features)
    image_shape, least = features.inputs[0].shape[1:], stride * pooling
    if any(n is not None and n < least for n in image_shape[:2]):
        raise ValueError(
            f"`image_shape` must be at least {least}x{least}, or nothing is "
            f"left after the pooling. Received: image_shape={image_shape}"
        )
    inputs = keras.Input(image_shape, name="images")
    x = _projection(
        features(inputs),
        num_classes * maps_per_class[0],
        dtype=dtype,
        **options,
    )
    return inputs, x, (multiple, least)


def _projection(
    x, channels, batch_norm_gain, synchronized_batch_norm, dtype, fused
):
    x = layers.Conv2D(
        channels,
        1,
        use_bias=fused,
        data_format="channels_last",
        dtype=dtype,
        name="project",
    )(x)
    if not fused:
        x = _norm(
            x, "project_norm", batch_norm_gain, synchronized_batch_norm, dtype
        )
    return layers.ReLU(dtype=dtype, name="stem")(x)


def _branch(
    x,
    level,
    num_classes,
    maps,
    classwise,
    padding,
    gain,
    synchronized,
    dtype,
    fused,
):
    conv = layers.Conv2D
    if classwise:
        conv = functools.partial(ClasswiseConv2D, num_classes)
    if padding == "edge":
        x = EdgePadding(dtype=dtype, name=f"edge_{level}")(x)
    x = conv(
        num_classes * maps,
        3,
        padding="valid" if padding == "edge" else "same",
        use_bias=fused,
        data_format="channels_last",
        dtype=dtype,
        name=f"conv_{level}",
    )(x)
    if not fused:
        x = _norm(x, f"norm_{level}", gain, synchronized, dtype)
    return layers.ReLU(dtype=dtype, name=f"relu_{level}")(x)


def _norm(x, name, gain, synchronized, dtype):
    norm = layers.BatchNormalization(
        # Keras' 0.99 trails hundreds of steps behind the weights.
        momentum=0.9,
        scale=gain,
        synchronized=synchronized,
        dtype=dtype,
        name=name,
    )
    x = norm(x)
    # Keras keeps these as a tracked list, at which torch.compile gives up on
    # the whole model; a tuple compiles.
    norm._reduction_axes = tuple(norm._reduction_axes)
    return x


def check_stages(
    depths, maps_per_class, hybrid=False
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns depths and maps a class of each stage as tuples, or raises."""
    if depths is None:
        depths = (4,) if hybrid else (8, 8, 8)
    if maps_per_class is None:
        maps_per_class = (12,) if hybrid else (3, 6, 12)
    depths = check_ints("depths", depths)
    maps_per_class = check_ints("maps_per_class", maps_per_class)
    if len(depths) != len(maps_per_class):
        raise ValueError(
            "`depths` and `maps_per_class` must have one entry a stage. "
            f"Received: depths={depths}, maps_per_class={maps_per_class}"
        )
    for before, after in zip(maps_per_class, maps_per_class[1:], strict=False):
        if after % before:
            raise ValueError(
                "Each entry of `maps_per_class` must be a multiple of the one "
                f"before. Received: maps_per_class={maps_per_class}"
            )
    return depths, maps_per_class


def check_image_shape(image_shape, multiple):
    """Returns `(height, width, channels)`; None is any size. Or raises."""
    received = f"Received: image_shape={image_shape!r}"
    if not isinstance(image_shape, (list, tuple)) or len(image_shape) != 3:
        raise ValueError(
            "`image_shape` must be (height, width, channels), where height "
            f"and width may be None. {received}"
        )
    *size, channels = image_shape
    channels = check_int("image_shape[2]", channels)
    checked = []
    for i, n in enumerate(size):
        if n is not None:
            n = check_int(f"image_shape[{i}]", n)
            if n % multiple:
                raise ValueError(
                    f"Height and width of `image_shape` must be multiples of "
                    f"space_to_depth * 2 ** (stages - 1) = {multiple}, or "
                    f"None. {received}"
                )
        checked.append(n)
    return (*checked, channels)


def check_alphas(alpha, num_layers):
    """The weight of each layer's branch, `num_layers` floats in (0, 1)."""
    if isinstance(alpha, str) and alpha == "harmonic":
        return tuple(1 / (level + 1) for level in range(1, num_layers + 1))
    alphas = alpha if isinstance(alpha, (list, tuple)) else [alpha] * num_layers
    if len(alphas) != num_layers or not all(
        is_number(a) and 0 < a < 1 for a in alphas
    ):
        raise ValueError(
            '`alpha` must be "harmonic", a float strictly between 0 and 1, or '
            f"a sequence of one such float for each of the {num_layers} FA "
            f"layers. Received: alpha={alpha!r}"
        )
    return tuple(float(a) for a in alphas)


def check_stochastic_depth(stochastic_depth, alphas):
    """Raises where a branch that is left in would weigh more than all."""
    last = len(alphas)
    below = min(
        (1 - alpha) * last / level for level, alpha in enumerate(alphas, 1)
    )
    if stochastic_depth >= below:
        raise ValueError(
            f"`stochastic_depth` must be below {below:.4g} with this `alpha` "
            f"of {last} FA layers: at each layer l, l / {last} of it must be "
            "below 1 - a_l. "
            f"Received: stochastic_depth={stochastic_depth!r}"
        )


def frozen_layers(model: keras.Layer, prefix: str = "") -> list[str]:
    """Names of what is not trainable; of layers inside layers, paths."""
    frozen = []
    for layer in _sublayers(model):
        path = prefix + layer.name
        if not layer.trainable:
            frozen.append(path)
        if layer.trainable or isinstance(layer, keras.Model):
            frozen += frozen_layers(layer, f"{path}/")
    return frozen


def freeze_layers(model: keras.Layer, frozen, prefix: str = "") -> None:
    """Freezes what `frozen_layers` named, and thaws all else."""
    for layer in _sublayers(model):
        path = prefix + layer.name
        trainable = path not in frozen
        # Setting it to what it is would thaw single weights, such as the
        # kernel that LoRA freezes.
        if layer.trainable != trainable:
            layer.trainable = trainable
        if trainable or isinstance(layer, keras.Model):
            freeze_layers(layer, frozen, f"{path}/")


def finalize_layers(model: keras.Model) -> None:
    """Derives anew what layers compute with, after their weights were set.

    Keras' `Normalization` computes with tensors that it makes of its weights,
    and `set_weights` leaves them as they were.
    """
    for layer in all_layers(model):
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()


def _sublayers(layer):
    """The layers of a model, or those that any other layer wraps."""
    if isinstance(layer, keras.Model):
        return layer.layers
    return layer._flatten_layers(recursive=False, include_self=False)


def readout(model, names):
    """A model from images to the outputs of named layers, and the logits.

    Args:
        model: A functional model.
        names: Names of layers.

    Returns:
        A `keras.Model` that shares the weights; its output is a dict of
        `"features"`, a dict by name, and `"logits"`.
    """
    check_graph_model(model)
    features = {name: model.get_layer(name).output for name in names}
    return keras.Model(
        model.input, {"features": features, "logits": model.output}
    )
