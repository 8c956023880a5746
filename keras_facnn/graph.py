"""FA layers, stages and head as a functional graph."""

import keras
from keras import layers

from keras_facnn.checks import check_int
from keras_facnn.checks import check_ints
from keras_facnn.checks import is_number
from keras_facnn.layers import ClassMajorRepeat
from keras_facnn.layers import DampenedSkip
from keras_facnn.layers import GlobalAvgPool3DHead


def fa_stages(
    x,
    num_classes,
    depths,
    maps_per_class,
    alphas,
    drop_rates,
    batch_norm_gain=False,
    synchronized_batch_norm=False,
    dtype=None,
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
        drop_rates: How often each layer's branch is left out in training.
        batch_norm_gain: Whether the branches' batch norm learns a gain.
        synchronized_batch_norm: Whether replicas share batch statistics.
        dtype: Dtype policy of all layers.

    Returns:
        The Keras tensor of the logits, `(B, C)`.
    """
    level = 0
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
                num_classes * maps,
                batch_norm_gain,
                synchronized_batch_norm,
                dtype,
            )
            x = DampenedSkip(
                alphas[level - 1],
                drop_rate=drop_rates[level - 1],
                dtype=dtype,
                name=f"fa_{level}",
            )([x, branch])
    return GlobalAvgPool3DHead(
        num_classes, maps_per_class[-1], dtype=dtype, name="head"
    )(x)


def _branch(x, level, channels, gain, synchronized, dtype):
    x = layers.Conv2D(
        channels,
        3,
        padding="same",
        use_bias=False,
        data_format="channels_last",
        dtype=dtype,
        name=f"conv_{level}",
    )(x)
    norm = layers.BatchNormalization(
        # Keras' 0.99 trails hundreds of steps behind the weights.
        momentum=0.9,
        scale=gain,
        synchronized=synchronized,
        dtype=dtype,
        name=f"norm_{level}",
    )
    x = norm(x)
    # Keras keeps these as a tracked list, at which torch.compile gives up on
    # the whole model; a tuple compiles.
    norm._reduction_axes = tuple(norm._reduction_axes)
    return layers.ReLU(dtype=dtype, name=f"relu_{level}")(x)


def check_stages(depths, maps_per_class):
    """Returns depths and maps a class of each stage as tuples, or raises."""
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


def readout(model, names):
    """A model from images to the outputs of named layers, and the logits.

    Args:
        model: A functional model.
        names: Names of layers.

    Returns:
        A `keras.Model` that shares the weights; its output is a dict of
        `"features"`, a dict by name, and `"logits"`.
    """
    features = {name: model.get_layer(name).output for name in names}
    return keras.Model(
        model.input, {"features": features, "logits": model.output}
    )
