"""What layers become where maps are finer."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any
from typing import TypeAlias

from keras import layers

from keras_facnn.architecture.windows import Axis
from keras_facnn.architecture.windows import Window
from keras_facnn.architecture.windows import finer_windows

CONVOLUTIONS = (
    layers.Conv2D,
    layers.DepthwiseConv2D,
    layers.SeparableConv2D,
)
POOLING = (layers.AveragePooling2D, layers.MaxPooling2D)
# Cells at both ends, of the rows and of the columns.
Frame: TypeAlias = Any
NO_FRAME = ((0, 0), (0, 0))


class NoExactForm(Exception):
    """A layer cannot be changed exactly; the message is why."""


def finer_layer(
    layer: Any,
    axes: Sequence[Axis],
    size: Sequence[int],
    frame: Frame,
    stride: int,
) -> tuple[dict[str, Any], Frame, tuple[Axis, ...]]:
    """Return what a convolution or a pooling layer becomes on finer maps.

    Args:
        layer: The layer.
        axes: Those of its input.
        size: Of its finer input, in cells.
        frame: Zeros that another layer adds before it in the model.
        stride: The largest number of pixels per cell.

    Returns:
        What changes in the layer's config, the zeros to add before it, and the
        axes of its output.

    Raises:
        NoExactForm: If the layer has no exact form on these maps.
    """
    pools = isinstance(layer, POOLING)
    choices = [
        list(_finer_windows(layer, window, axis, cells, stride))
        for window, axis, cells in zip(
            _windows(layer, axes, frame), axes, size, strict=True
        )
    ]
    for pair in itertools.product(*choices):
        windows, new_axes = zip(*pair, strict=True)
        pads = tuple((window.before, window.after) for window in windows)
        same = all(
            window.padded_same(cells) == window
            for window, cells in zip(windows, size, strict=True)
        )
        # Zeros change what pooling returns, but Keras' "same" does not.
        if pools and not same and pads != NO_FRAME:
            continue
        changes: dict[str, Any] = {
            "strides": tuple(window.stride for window in windows),
            "padding": "same" if same else "valid",
        }
        if not pools:
            changes["dilation_rate"] = tuple(window.rate for window in windows)
        return changes, NO_FRAME if same else pads, new_axes
    raise NoExactForm(f"has no exact form on maps of {tuple(size)} cells")


def _windows(layer: Any, axes: Sequence[Axis], frame: Frame) -> list[Window]:
    """Return the windows of a layer on the model's maps."""
    pools = isinstance(layer, POOLING)
    windows = [
        Window(size, stride, rate, *ends)
        for size, stride, rate, ends in zip(
            layer.pool_size if pools else layer.kernel_size,
            layer.strides,
            (1, 1) if pools else layer.dilation_rate,
            frame,
            strict=True,
        )
    ]
    if layer.padding != "same":
        return windows
    return [
        window.padded_same(axis.size)
        for window, axis in zip(windows, axes, strict=True)
    ]


def _finer_windows(
    layer: Any, window: Window, axis: Axis, cells: int, stride: int
) -> Any:
    """Return the choices of windows on an axis of finer maps, or raise."""
    own = axis.stride * window.stride
    if stride % min(stride, axis.stride) or own % min(own, stride):
        raise NoExactForm(
            f"makes cells of {own} pixels from cells of {axis.stride}, and no "
            f"steps of whole cells make cells of {stride}"
        )
    if isinstance(layer, POOLING) and window.size > 1 and axis.dilation > 1:
        raise NoExactForm("pools maps that become finer, and has no dilation")
    return finer_windows(window, axis, cells, stride)


def aligned_axes(maps: Sequence[Sequence[Axis]]) -> tuple[Axis, ...]:
    """Return the axes that maps must have before a layer joins them.

    Args:
        maps: The axes of each of the maps.

    Raises:
        NoExactForm: If the maps differ in more than their phase.
    """
    joined = []
    for axes in zip(*maps, strict=True):
        if len({dataclasses.replace(axis, phase=0) for axis in axes}) > 1:
            raise NoExactForm("joins maps of different sizes")
        # The others move to the latest phase, and get zeros as first cells.
        joined.append(max(axes, key=lambda axis: axis.phase))
    return tuple(joined)


def axes_after(
    operation: Any, axes: Sequence[Axis], shape: Sequence[int]
) -> tuple[Axis, ...]:
    """Return the axes after an operation that is not known in detail.

    Args:
        operation: A layer or another operation.
        axes: Those of its input.
        shape: Of its output.

    Raises:
        NoExactForm: If its input is finer than the model's maps, or if it
            changes their shape.
    """
    if any(axis.dilation > 1 for axis in axes):
        raise NoExactForm(
            "joins locations of maps that become finer, and has no dilation"
        )
    size = tuple(shape[1:3])
    if len(shape) != 4 or (
        size != tuple(axis.size for axis in axes)
        # Preprocessing may resize or crop the images.
        and "preprocessing" not in type(operation).__module__
    ):
        raise NoExactForm("changes the shape of maps")
    return tuple(
        Axis(axis.stride, n) for axis, n in zip(axes, size, strict=True)
    )
