"""Find the axis of the channels in the maps of a model's graph."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from keras_facnn._graph.nodes import Step
from keras_facnn._graph.nodes import Steps
from keras_facnn._graph.nodes import graph_steps
from keras_facnn._graph.nodes import producing_node

_FIRST, _LAST = 1, 3
_NORMS = (
    layers.BatchNormalization,
    layers.GroupNormalization,
    layers.LayerNormalization,
)


def channel_axes(tensors: Sequence[keras.KerasTensor]) -> list[int]:
    """Return the axis of the channels in maps of a model.

    A layer that depends on the axis has it as its `data_format`. All other
    layers keep the axis of their inputs, or permute it. If a layer makes maps
    from something else, the axis is the one that the next layers expect.

    Args:
        tensors: Keras tensors of four dimensions, in the graph of a model of
            images with the channels last.

    Returns:
        An integer for each tensor.
    """
    axes = _axes(graph_steps(tensors))
    return [axes[producing_node(tensor, ())] for tensor in tensors]


def channel_axis(model: keras.Model, path: str) -> int:
    """Return the axis of the channels in a layer's output, an integer.

    Args:
        model: A functional model of images with the channels last.
        path: Result of `find_layer_path`.

    Raises:
        ValueError: If the model's output does not depend on the layer.
    """
    steps = graph_steps(model.outputs)
    depth = path.count("/") + 1
    for node, calls in steps:
        # The nested models that the layer is in, the outermost first, and the
        # layer.
        chain = [*reversed(calls), node]
        if "/".join(one.operation.name for one in chain[:depth]) == path:
            *outer, found = chain[:depth]
            (output, *_), outer = found.output_tensors, outer[::-1]
            return _axes(steps)[producing_node(output, outer)]
    raise ValueError(
        "`layer` must be a layer on which the model's output depends. "
        f"Received: layer={path!r}"
    )


def _axes(steps: Steps) -> dict[Step, int]:
    """Return the axis of the channels in the output of each step."""
    read_as = _read_as(steps)
    axes: dict[Step, int] = {}
    for step, before in steps.items():
        maps = [s for s in before if len(_shape(s)) == 4]
        axes[step] = _axis(
            step[0].operation,
            _shape(step),
            [(axes[s], _shape(s)) for s in maps],
            read_as.get(step),
        )
    return axes


def _axis(
    operation: Any,
    shape: tuple[int | None, ...],
    inputs: Sequence[tuple[int, tuple[int | None, ...]]],
    read_as: int | None,
) -> int:
    """Return the axis in an operation's output.

    Args:
        operation: A layer or another Keras operation.
        shape: The output's shape.
        inputs: Pairs of axis and shape, for each input that is a map.
        read_as: The axis that the next layers expect, or None.
    """
    if len(shape) != 4:
        return _LAST
    declared = _declared(operation)
    if declared:
        return declared
    if len(inputs) == 1:
        ((axis, before),) = inputs
        order = _order(operation)
        if order:
            return order.index(axis)
        # For example, a custom layer that transposes.
        channels = before[axis]
        if (
            channels is not None
            and before.count(channels) == 1
            and sorted(map(str, before)) == sorted(map(str, shape))
        ):
            return shape.index(channels)
    same = [axis for axis, before in inputs if before == shape]
    if same and _is_of_keras(operation):
        return same[0]
    return read_as or next(iter([*same, *(axis for axis, _ in inputs)]), _LAST)


def _read_as(steps: Steps) -> dict[Step, int]:
    """Return the axis that the layers after a step expect, by step."""
    expected: dict[Step, int] = {}
    for step, before in reversed(steps.items()):
        operation = step[0].operation
        axis = _declared(operation)
        if isinstance(operation, _NORMS) and operation.axis in (1, [1], (1,)):
            axis = _FIRST
        for one in before:
            keeps = _shape(one) == _shape(step) and not _order(operation)
            read_as = axis or (expected.get(step) if keeps else None)
            if read_as:
                expected.setdefault(one, read_as)
    return expected


def _declared(operation: Any) -> int | None:
    """Return the axis that an operation was made for, or None."""
    declared = getattr(operation, "data_format", None)
    if declared == "channels_first":
        return _FIRST
    # Few users set it on `Flatten`, where it only affects the output's order.
    if declared == "channels_last" and not isinstance(
        operation, layers.Flatten
    ):
        return _LAST
    return None


def _order(operation: Any) -> tuple[int, ...] | None:
    """Return the input axes of a permutation in their new order, or None."""
    if isinstance(operation, layers.Permute):
        return (0, *operation.dims)
    # `keras.ops.transpose` in a graph.
    axes = getattr(operation, "axes", None)
    if type(operation).__name__ == "Transpose" and axes:
        return tuple(axis % len(axes) for axis in axes)
    return None


def _is_of_keras(operation: Any) -> bool:
    return type(operation).__module__.startswith("keras.") and not isinstance(
        operation, layers.Lambda
    )


def _shape(step: Step) -> tuple[int | None, ...]:
    return tuple(step[0].output_tensors[0].shape)
