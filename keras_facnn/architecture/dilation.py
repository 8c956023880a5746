"""Replace the last halvings of a model's maps with dilation."""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any
from typing import NoReturn
from typing import TypeAlias

import keras
from keras import layers
from keras import tree

from keras_facnn._checks.numbers import check_int
from keras_facnn._graph.layer_copies import LayerCopies
from keras_facnn._graph.nodes import Step
from keras_facnn._graph.nodes import check_graph_model
from keras_facnn._graph.nodes import graph_steps
from keras_facnn._graph.nodes import producing_node
from keras_facnn._graph.pointwise import is_of_keras
from keras_facnn._graph.pointwise import is_pointwise
from keras_facnn.architecture.graph import finalize_layers
from keras_facnn.architecture.windows import Axis
from keras_facnn.architecture.windows import Window
from keras_facnn.architecture.windows import finer_windows

# The image size for which layers are aligned if a model takes any size.
_PROBE = 512

_CONVOLUTIONS = (
    layers.Conv2D,
    layers.DepthwiseConv2D,
    layers.SeparableConv2D,
)
_POOLING = (layers.AveragePooling2D, layers.MaxPooling2D)
_FRAMES = (layers.Cropping2D, layers.ZeroPadding2D)
_GLOBAL_POOLING = (layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D)
_NO_FRAME = ((0, 0), (0, 0))

# The rows and columns of maps, or None for values that have no locations.
_Axes: TypeAlias = tuple[Axis, ...] | None


def dilated(model: keras.Model, stride: int) -> keras.Model:
    """Return a model of the same weights whose last maps are finer.

    Layers that would make maps of more than `stride` pixels per cell take
    smaller steps. Convolutions after them read cells that are farther apart, by
    their `dilation_rate`. The model's own maps are among the finer ones: with a
    phase `p` and a dilation `d`, they are `maps[:, p::d, p::d]`. This is exact,
    also at the borders, for a model of one image size, and otherwise for images
    whose sides are multiples of the model's stride.

    A cell is computed around the same cell of the maps before, unless parallel
    branches would then differ from those of the model. Global pooling inside
    the model, as in squeeze-and-excitation, reads only the cells that the
    model's own maps have.

    Args:
        model: A functional model from images, channels last, to maps, made of
            layers of Keras' own classes. It may have nested models.
        stride: An integer, the number of pixels per cell of the new maps. It is
            the stride of the model's maps, or of maps inside it.

    Returns:
        A functional model without nested models. Its layers and their weights
        are copies, which have the same names.

    Raises:
        ValueError: If it cannot be done exactly. The message names the layer.
    """
    stride = check_int("stride", stride)
    check_graph_model(model)
    (images,), (maps,) = model.inputs, model.outputs
    batch, height, width, channels = images.shape
    probe = (batch, height or _PROBE, width or _PROBE, channels)
    inputs = keras.Input(
        batch_shape=probe, dtype=images.dtype, name=images.name
    )
    copy = _Copy(stride)
    new = keras.Model(inputs, copy.of_graph(maps, inputs), name=model.name)
    if probe != images.shape:
        new = keras.models.clone_model(
            new,
            input_tensors=keras.Input(
                batch_shape=images.shape, dtype=images.dtype, name=images.name
            ),
            clone_function=lambda layer: layer,
        )
    copy.layers.set_weights()
    finalize_layers(new)
    return new


class _Copy:
    """A copy of a graph, whose layers have other steps and dilations.

    Attributes:
        stride: The largest number of pixels per cell.
        layers: The copies of the layers.
        axes: The axes of each Keras tensor of the copy, by its identity, and
            the tensor, which is kept so that no other gets this identity.
        unpadded: For each Keras tensor that `ZeroPadding2D` made, by its
            identity, the one before, and the padding.
    """

    def __init__(self, stride: int) -> None:
        self.stride = stride
        self.layers = LayerCopies()
        self.axes: dict[int, tuple[_Axes, Any]] = {}
        self.unpadded: dict[int, tuple[Any, Any]] = {}

    def of_graph(self, maps: Any, inputs: Any) -> Any:
        """Return the copy of a tensor that is computed from other inputs."""
        self._set(inputs, tuple(Axis(1, size) for size in inputs.shape[1:3]))
        made: dict[Step, Any] = {}
        for step, before in graph_steps([maps]).items():
            node, calls = step
            if isinstance(node.operation, layers.InputLayer):
                made[step] = inputs
                continue
            values = {
                id(tensor): made[source]
                for tensor, source in zip(
                    node.input_tensors, before, strict=True
                )
            }
            outer = [call.operation.name for call in reversed(calls)]
            made[step] = self._called(node, values, outer)
        output = made[producing_node(maps, ())]
        own = max((axis.stride for axis in self._of(output) or ()), default=0)
        if self.stride > own:
            raise ValueError(
                "`stride` must be at most the stride of the model's maps, "
                f"{own}. Received: stride={self.stride}"
            )
        return output

    def _called(
        self, node: Any, values: dict[int, Any], outer: list[str]
    ) -> Any:
        """Return what the copy of a layer makes of new tensors.

        Args:
            node: The call of the layer in the model.
            values: The new tensors, by the identity of the model's.
            outer: The names of the nested models that the layer is in.
        """
        operation = node.operation
        if not is_of_keras(operation):
            self._refuse(operation, "is not of Keras' own classes")
        if getattr(operation, "data_format", None) == "channels_first":
            self._refuse(operation, "has the channels first")
        if len(node.output_tensors) != 1:
            self._refuse(operation, "has several outputs")
        x, *others = values.values()
        if self._of(x) and not others:
            if isinstance(operation, (*_CONVOLUTIONS, *_POOLING)):
                return self._window(operation, outer, x)
            if isinstance(operation, _FRAMES):
                return self._frame(operation, outer, x)
            if isinstance(operation, _GLOBAL_POOLING):
                pool = self._layer(operation, outer)
                return self._set(pool(self._own_cells(operation, x)), None)
        values, axes = self._aligned(operation, values)
        args, kwargs = node.arguments.fill_in(values)
        output = self._layer(operation, outer)(*args, **kwargs)
        constants = [
            value
            for value in tree.flatten((args, kwargs))
            if not isinstance(value, keras.KerasTensor)
        ]
        if axes is None:
            if math.prod(output.shape[1:-1]) != 1:
                self._refuse(operation, "makes maps of values of no location")
        elif not is_pointwise(operation, constants):
            axes = self._after_other(operation, axes, output)
        return self._set(output, axes)

    def _window(self, layer: Any, outer: list[str], x: Any) -> Any:
        """Return what a convolution or a pooling layer makes of maps."""
        axes: Any = self._of(x)
        strides = [
            axis.stride * step
            for axis, step in zip(axes, layer.strides, strict=True)
        ]
        if max(strides) <= self.stride:
            output = self._layer(layer, outer)(x)
            return self._set(
                output, tuple(map(Axis, strides, output.shape[1:3]))
            )
        pools = isinstance(layer, _POOLING)
        frame = _NO_FRAME
        if id(x) in self.unpadded and not pools and max(layer.strides) > 1:
            # Smaller steps need other padding to be centered.
            x, frame = self.unpadded[id(x)]
        windows, axes = self._finer(layer, x, frame)
        changes: dict[str, Any] = {
            "strides": tuple(window.stride for window in windows),
            "padding": "same" if _are_same(windows, x) else "valid",
        }
        if not pools:
            changes["dilation_rate"] = tuple(window.rate for window in windows)
        pads = tuple((window.before, window.after) for window in windows)
        if changes["padding"] == "valid" and pads != _NO_FRAME:
            x = self.layers.new(
                layers.ZeroPadding2D,
                f"{layer.name}_padding",
                layer,
                padding=pads,
            )(x)
        return self._set(self._layer(layer, outer, changes)(x), axes)

    def _finer(
        self, layer: Any, x: Any, frame: Any
    ) -> tuple[tuple[Window, ...], tuple[Axis, ...]]:
        """Return a layer's windows on finer maps, and the axes of its output.

        Args:
            layer: A layer of windows.
            x: The maps.
            frame: The padding of the maps before the layer.
        """
        pools = isinstance(layer, _POOLING)
        choices = []
        for i, axis in enumerate(self._of(x) or ()):
            window = Window(
                (layer.pool_size if pools else layer.kernel_size)[i],
                layer.strides[i],
                1 if pools else layer.dilation_rate[i],
                *frame[i],
            )
            if layer.padding == "same":
                window = window.padded_same(axis.size)
            if self.stride % min(
                self.stride, axis.stride // axis.dilation
            ) or axis.stride * window.stride % min(
                self.stride, axis.stride * window.stride
            ):
                self._refuse(
                    layer, "makes maps whose stride is no multiple of it"
                )
            if pools and window.size > 1 and axis.dilation > 1:
                self._refuse(
                    layer, "pools maps that become finer, and has no dilation"
                )
            choices.append(
                list(finer_windows(window, axis, x.shape[1 + i], self.stride))
            )
        for pair in itertools.product(*choices):
            windows, axes = zip(*pair, strict=True)
            # Zeros are not neutral to pooling, but "same" is.
            if (
                not pools
                or _are_same(windows, x)
                or not any(w.before or w.after for w in windows)
            ):
                return windows, axes
        self._refuse(
            layer, f"has no exact dilated form on maps of {x.shape[1:3]}"
        )

    def _frame(self, layer: Any, outer: list[str], x: Any) -> Any:
        """Return what `ZeroPadding2D` or `Cropping2D` makes of maps."""
        pads = isinstance(layer, layers.ZeroPadding2D)
        name = "padding" if pads else "cropping"
        frame = getattr(layer, name)
        axes = tuple(
            dataclasses.replace(
                axis, size=axis.size + (sum(ends) if pads else -sum(ends))
            )
            for axis, ends in zip(self._of(x) or (), frame, strict=True)
        )
        wider = tuple(
            tuple(axis.dilation * n for n in ends)
            for axis, ends in zip(axes, frame, strict=True)
        )
        output = self._layer(layer, outer, {name: wider})(x)
        if pads:
            self.unpadded[id(output)] = x, frame
        return self._set(output, axes)

    def _own_cells(self, layer: Any, x: Any) -> Any:
        """Return the cells of finer maps that the model's maps have."""
        axes: Any = self._of(x)
        if all(axis.dilation == 1 for axis in axes):
            return x
        if any(axis.phase for axis in axes):
            x = self.layers.new(
                layers.Cropping2D,
                f"{layer.name}_cropping",
                layer,
                cropping=tuple((axis.phase, 0) for axis in axes),
            )(x)
        return self.layers.new(
            layers.MaxPooling2D,
            f"{layer.name}_cells",
            layer,
            pool_size=1,
            strides=tuple(axis.dilation for axis in axes),
        )(x)

    def _aligned(
        self, operation: Any, values: dict[int, Any]
    ) -> tuple[dict[int, Any], _Axes]:
        """Return tensors whose maps have the same axes, and these axes."""
        maps = {key: x for key, x in values.items() if self._of(x)}
        all_axes: Any = [self._of(x) for x in maps.values()]
        if not maps or all(axes == all_axes[0] for axes in all_axes):
            return values, all_axes[0] if maps else None
        first, *others = maps.values()
        if any(x.shape[1:3] != first.shape[1:3] for x in others) or any(
            dataclasses.replace(a, phase=b.phase) != b
            for axes in all_axes
            for a, b in zip(axes, all_axes[0], strict=True)
        ):
            self._refuse(operation, "joins maps of different sizes")
        axes = []
        for column, cells in zip(
            zip(*all_axes, strict=True), first.shape[1:3], strict=True
        ):
            by_phase = sorted(column, key=lambda axis: -axis.phase)
            fitting = [axis for axis in by_phase if axis.fits(cells)]
            axes.append(fitting[0])
        return {
            **values,
            **{
                key: self._shifted(operation, x, axes)
                for key, x in maps.items()
            },
        }, tuple(axes)

    def _shifted(self, operation: Any, x: Any, axes: Sequence[Axis]) -> Any:
        """Return maps that are moved to the phase of other axes."""
        by = [
            new.phase - axis.phase
            for new, axis in zip(axes, self._of(x) or (), strict=True)
        ]
        if not any(by):
            return x
        pads = tuple((max(n, 0), max(-n, 0)) for n in by)
        x = self.layers.new(
            layers.ZeroPadding2D,
            f"{operation.name}_padding",
            operation,
            padding=pads,
        )(x)
        return self.layers.new(
            layers.Cropping2D,
            f"{operation.name}_cropping",
            operation,
            cropping=tuple(ends[::-1] for ends in pads),
        )(x)

    def _after_other(self, operation: Any, axes: Any, output: Any) -> _Axes:
        """Return the axes after an operation that nothing is known of."""
        if any(axis.dilation > 1 for axis in axes):
            self._refuse(
                operation,
                "joins locations of maps that become finer, and has no "
                "dilation",
            )
        size = tuple(output.shape[1:3])
        if len(output.shape) != 4 or (
            size != tuple(axis.size for axis in axes)
            # Those of images may resize or crop.
            and "preprocessing" not in type(operation).__module__
        ):
            self._refuse(operation, "changes the shape of maps")
        return tuple(
            Axis(axis.stride, n) for axis, n in zip(axes, size, strict=True)
        )

    def _layer(
        self,
        layer: Any,
        outer: list[str],
        changes: dict[str, Any] | None = None,
    ) -> Any:
        try:
            return self.layers.copy(layer, outer, changes)
        except ValueError:
            self._refuse(layer, "is called with maps of different strides")

    def _of(self, tensor: Any) -> _Axes:
        return self.axes[id(tensor)][0]

    def _set(self, tensor: Any, axes: _Axes) -> Any:
        self.axes[id(tensor)] = axes, tensor
        return tensor

    def _refuse(self, operation: Any, why: str) -> NoReturn:
        raise ValueError(
            f"`stride` cannot be {self.stride} for this model: its layer "
            f"{operation.name!r}, of the class {type(operation).__name__}, "
            f"{why}. Pass a larger stride, or None, which keeps the model's "
            f"own maps. Received: stride={self.stride}"
        )


def _are_same(windows: Sequence[Window], x: Any) -> bool:
    """Return whether windows on maps have the padding "same" of Keras."""
    return all(
        window.padded_same(cells) == window
        for window, cells in zip(windows, x.shape[1:3], strict=True)
    )
