"""The functional graph of an FA-CNN: images, stages of FA layers, head."""

import functools
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from keras_facnn._checks.models import all_layers
from keras_facnn._graph.layer_path import layer_name
from keras_facnn.architecture.architecture import Architecture
from keras_facnn.architecture.backbone_config import backbone_from_config
from keras_facnn.architecture.backbone_config import warn_of_foreign_classes
from keras_facnn.architecture.backbones import feature_model
from keras_facnn.architecture.sizes import MAX_PARAMETERS
from keras_facnn.layers import ClassMajorMask
from keras_facnn.layers import ClassMajorRepeat
from keras_facnn.layers import ClasswiseConv2D
from keras_facnn.layers import DampenedSkip
from keras_facnn.layers import EdgePadding
from keras_facnn.layers import GlobalAvgPool3DHead
from keras_facnn.layers import PixelStem
from keras_facnn.layers import SubtractLeastClass


def build_graph(
    architecture: Architecture,
    backbone: keras.Model | dict | None = None,
    feature_layer: str | Sequence[str] | None = None,
) -> tuple[Any, Any, tuple[int, int]]:
    """Build the graph of an FA-CNN.

    FA layer `l = 1..L` computes `x_l = (1 - a_l) * x_{l-1} + a_l *
    ReLU(BN(Conv3x3(x_{l-1})))`. Stages are joined by 2x2 average pooling and a
    class-major repeat. Layers are named `stem`, `conv_l`, `norm_l`, `relu_l`
    (the branch), `fa_l`, `pool_s`, `repeat_s` and `head`. If a branch has
    several convolutions, the ones before the last are `conv_l_1`, `norm_l_1`,
    `relu_l_1` and so on. The stem copies pixels. In a hybrid, a nested model
    `backbone`, a 1x1 convolution `project`, `project_norm` and the ReLU `stem`
    make `x_0` instead. With the projection `"excess"`, `stem` is a
    `SubtractLeastClass`, and there is no norm. If evidence is left out, the
    last of these layers before the head, such as `fa_4`, is called
    `fa_4_whole`, and `fa_4` is a `ClassMajorMask` after it.

    Args:
        architecture: An `Architecture`.
        backbone: A functional model, the config of one, or None.
        feature_layer: As in `FACNN`.

    Returns:
        The Keras tensors of the images and the logits, and the `size_rules` of
        the model: two integers. The height and width of images must be
        multiples of the first, and not less than the second.
    """
    if backbone is None:
        if feature_layer is not None:
            raise ValueError(
                "`feature_layer` needs a `backbone`. "
                f"Received: feature_layer={feature_layer!r}"
            )
        images, x, size_rules = _pixels(architecture)
    else:
        images, x, size_rules = _backbone_features(
            architecture, backbone, feature_layer
        )
    x = _leave_out(architecture, _stages(architecture, x))
    logits = GlobalAvgPool3DHead(
        architecture.num_classes,
        architecture.maps_per_class[-1],
        threshold=architecture.threshold,
        dtype=architecture.dtype,
        name="head",
    )(x)
    return images, logits, size_rules


def _pixels(architecture: Architecture) -> tuple[Any, Any, tuple[int, int]]:
    """Return the images, their pixels as `x_0`, and the size rules."""
    images = keras.Input(architecture.image_shape, name="images")
    block = architecture.space_to_depth
    x = PixelStem(
        architecture.num_classes,
        architecture.maps_per_class[0],
        block,
        scale=1 / 255,
        dtype=architecture.dtype,
        name="stem",
    )(images)
    return images, x, (block, block * architecture.pooling)


def _backbone_features(
    architecture: Architecture,
    backbone: keras.Model | dict,
    feature_layer: str | Sequence[str] | None,
) -> tuple[Any, Any, tuple[int, int]]:
    """Return the images, `x_0` from a backbone's maps, and the size rules."""
    is_config = isinstance(backbone, dict)
    if is_config:
        backbone = backbone_from_config(backbone, architecture.dtype.name)
    features, multiple, stride = feature_model(
        backbone, feature_layer, architecture.image_shape
    )
    width = architecture.num_classes * architecture.maps_per_class[0]
    _check_projection(features.output.shape[-1], architecture)
    # A config was checked before it was built.
    if not is_config:
        warn_of_foreign_classes(features)
    image_shape = features.inputs[0].shape[1:]
    least = stride * architecture.pooling
    if any(n is not None and n < least for n in image_shape[:2]):
        raise ValueError(
            f"`image_shape` must be at least {least}x{least}, because "
            "the pooling leaves nothing of smaller maps. "
            f"Received: image_shape={image_shape}"
        )
    images = keras.Input(image_shape, name="images")
    x = layers.Conv2D(
        width,
        1,
        use_bias=architecture.fused or architecture.projection == "excess",
        data_format="channels_last",
        dtype=architecture.dtype,
        name="project",
    )(features(images))
    if architecture.projection == "excess":
        x = SubtractLeastClass(
            architecture.num_classes,
            dtype=architecture.dtype,
            name=architecture.layer_name(0),
        )(x)
    else:
        if not architecture.fused:
            x = _norm(architecture, x, "project_norm")
        x = layers.ReLU(
            dtype=architecture.dtype, name=architecture.layer_name(0)
        )(x)
    return images, x, (multiple, least)


def _check_projection(channels: int, architecture: Architecture) -> None:
    """Raise if the 1x1 convolution onto `x_0` would be too large."""
    num_classes = architecture.num_classes
    maps_per_class = architecture.maps_per_class[0]
    parameters = channels * num_classes * maps_per_class
    if parameters > MAX_PARAMETERS:
        raise ValueError(
            "The maps of `backbone`, times `num_classes` and "
            f"`maps_per_class[0]`, must be at most {MAX_PARAMETERS:,}. "
            f"Received: {channels:,} maps, num_classes={num_classes}, "
            f"maps_per_class[0]={maps_per_class}, which give {parameters:,}"
        )


def _stages(architecture: Architecture, x: Any) -> Any:
    """Add the stages of FA layers to a graph."""
    layer = 0
    # A fused graph does not train.
    drop_rate = 0.0 if architecture.fused else architecture.stochastic_depth
    drop_rate /= max(architecture.num_layers, 1)
    for stage, (depth, maps) in enumerate(
        zip(architecture.depths, architecture.maps_per_class, strict=True)
    ):
        if stage:
            x = layers.AveragePooling2D(
                2,
                data_format="channels_last",
                dtype=architecture.dtype,
                name=f"pool_{stage}",
            )(x)
            x = ClassMajorRepeat(
                maps // architecture.maps_per_class[stage - 1],
                dtype=architecture.dtype,
                name=f"repeat_{stage}",
            )(x)
        for _ in range(depth):
            layer += 1
            x = DampenedSkip(
                architecture.alphas[layer - 1],
                drop_rate=drop_rate * layer,
                folded=architecture.fused,
                dtype=architecture.dtype,
                name=architecture.layer_name(layer),
            )([x, _branch(architecture, x, layer, maps)])
    return x


def _leave_out(architecture: Architecture, x: Any) -> Any:
    """Set the evidence to zero that is left out, and return the last maps."""
    left_out = architecture.left_out
    if left_out is None:
        return x
    size = left_out.get("size")
    if size is not None and tuple(x.shape[1:3]) != tuple(size):
        raise ValueError(
            "`image_shape` must be that with which `without` left places out, "
            f"of maps of the size {tuple(size)}, because they would be other "
            f"places of other maps. Received: maps {tuple(x.shape[1:3])}"
        )
    return ClassMajorMask(
        architecture.num_classes,
        **left_out,
        dtype=architecture.dtype,
        name=layer_name(architecture.num_layers),
    )(x)


def _branch(architecture: Architecture, x: Any, layer: int, maps: int) -> Any:
    """Add the branch of an FA layer, which has `maps` maps per class."""
    num_classes, dtype = architecture.num_classes, architecture.dtype
    conv = layers.Conv2D
    if layer > architecture.num_layers - architecture.classwise_layers:
        conv = functools.partial(ClasswiseConv2D, num_classes)
    for name in architecture.convolutions(layer):
        if architecture.padding == "edge":
            x = EdgePadding(dtype=dtype, name=f"edge_{name}")(x)
        x = conv(
            num_classes * maps,
            3,
            padding="valid" if architecture.padding == "edge" else "same",
            use_bias=architecture.fused,
            data_format="channels_last",
            dtype=dtype,
            name=f"conv_{name}",
        )(x)
        if not architecture.fused:
            x = _norm(architecture, x, f"norm_{name}")
        x = layers.ReLU(dtype=dtype, name=f"relu_{name}")(x)
    return x


def _norm(architecture: Architecture, x: Any, name: str) -> Any:
    """Add a batch norm."""
    norm = layers.BatchNormalization(
        # With Keras' default of 0.99, the statistics lag hundreds of steps
        # behind the weights.
        momentum=0.9,
        scale=architecture.batch_norm_gain,
        # Keras implements it for TensorFlow only.
        synchronized=architecture.synchronized_batch_norm
        and keras.backend.backend() == "tensorflow",
        dtype=architecture.dtype,
        name=name,
    )
    x = norm(x)
    # Keras keeps these in a tracked list, with which torch.compile does not
    # compile the model. With a tuple, it does.
    norm._reduction_axes = tuple(norm._reduction_axes)
    return x


def finalize_layers(model: keras.Model) -> None:
    """Update the values that layers compute once from their weights.

    Call this after weights were set. Keras' `Normalization` computes with
    tensors that it makes from its weights, but `set_weights` does not update
    these tensors.
    """
    for layer in all_layers(model):
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
