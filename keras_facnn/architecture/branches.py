"""Other branches, stems and skips, to compare with the usual ones."""

import math
from typing import Any

import keras
from keras import layers
from keras import ops

from keras_facnn.architecture.architecture import Architecture
from keras_facnn.layers import DampenedSkip


class Branches:
    """Builds the branch of an FA layer from a convolution and a norm.

    Each branch ends in values that are not negative and class-major, which is
    all that the theorems need.

    Args:
        architecture: An `Architecture`, whose `branch` names the branch.
        norm: Function of an `Architecture`, maps and a name, which adds a norm.
    """

    def __init__(self, architecture: Architecture, norm: Any):
        self.architecture = architecture
        self.norm = norm

    def conv_norm(self, x: Any, width: int, size: int, name: str) -> Any:
        x = layers.Conv2D(
            width,
            size,
            padding="same",
            use_bias=False,
            dtype=self.architecture.dtype,
            name=f"conv_{name}",
        )(x)
        return self.norm(self.architecture, x, f"norm_{name}")

    def relu(self, x: Any, name: str) -> Any:
        return layers.ReLU(dtype=self.architecture.dtype, name=f"relu_{name}")(
            x
        )

    def inner(self, x: Any, width: int, size: int, name: str) -> Any:
        return self.relu(self.conv_norm(x, width, size, name), name)

    def build(self, x: Any, layer: int, maps: int) -> Any:
        """Add the branch of FA layer `layer`, of `maps` maps per class."""
        width = self.architecture.num_classes * maps
        branch = self.architecture.branch
        name = str(layer)
        if branch == "bottleneck":
            x = self.inner(x, width // 2, 1, f"{name}_a")
            x = self.inner(x, width // 2, 3, f"{name}_b")
            return self.inner(x, width, 1, name)
        elif branch == "inverted":
            x = self.inner(x, 4 * width, 1, f"{name}_a")
            x = layers.DepthwiseConv2D(
                5,
                padding="same",
                use_bias=False,
                dtype=self.architecture.dtype,
                name=f"depthwise_{name}",
            )(x)
            x = self.norm(self.architecture, x, f"depthwise_norm_{name}")
            x = self.relu(x, f"{name}_b")
            return self.inner(x, width, 1, name)
        elif branch == "squeeze":
            x = self.inner(x, width, 3, f"{name}_a")
            gate = layers.GlobalAveragePooling2D(
                keepdims=True, dtype=self.architecture.dtype
            )(x)
            for units, activation in (
                (max(width // 8, 8), "relu"),
                (width, "sigmoid"),
            ):
                gate = layers.Dense(
                    units, activation, dtype=self.architecture.dtype
                )(gate)
            return layers.Multiply(
                dtype=self.architecture.dtype, name=f"relu_{name}"
            )([x, gate])
        return self.inner(x, width, 3, name)

    def stem(self, images: Any) -> Any:
        """Add two convolutions that make `x_0`, half the size of the images."""
        architecture = self.architecture
        x = layers.Rescaling(1 / 127.5, -1, dtype=architecture.dtype)(images)
        x = layers.Conv2D(
            64,
            3,
            strides=2,
            padding="same",
            use_bias=False,
            dtype=architecture.dtype,
        )(x)
        x = self.relu(self.norm(architecture, x, "norm_0_a"), "0_a")
        width = architecture.num_classes * architecture.maps_per_class[0]
        x = self.conv_norm(x, width, 3, "0")
        return layers.ReLU(dtype=architecture.dtype, name="stem")(x)


class LearnedSkip(DampenedSkip):
    """A `DampenedSkip` whose weight of the branch is learned."""

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.log_odds = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(
                math.log(self.alpha / (1 - self.alpha))
            ),
            name="log_scale",
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        skip, branch = inputs
        weight = ops.cast(ops.sigmoid(self.log_odds), skip.dtype)
        return (1.0 - weight) * skip + weight * branch
