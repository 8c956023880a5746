"""Replace the last halvings of a model's maps with dilation."""

import dataclasses
import math
from typing import Any
from typing import TypeAlias

import keras
from keras import layers
from keras import tree

from keras_facnn._backend.initializers import skip_initializers
from keras_facnn._checks.numbers import check_int
from keras_facnn._graph.nodes import Step
from keras_facnn._graph.nodes import check_graph_model
from keras_facnn._graph.nodes import graph_steps
from keras_facnn._graph.nodes import producing_node
from keras_facnn._graph.pointwise import is_of_keras
from keras_facnn._graph.pointwise import is_pointwise
from keras_facnn.architecture.dilated_layers import CONVOLUTIONS
from keras_facnn.architecture.dilated_layers import NO_FRAME
from keras_facnn.architecture.dilated_layers import POOLING
from keras_facnn.architecture.dilated_layers import Frame
from keras_facnn.architecture.dilated_layers import NoExactForm
from keras_facnn.architecture.dilated_layers import aligned_axes
from keras_facnn.architecture.dilated_layers import axes_after
from keras_facnn.architecture.dilated_layers import finer_layer
from keras_facnn.architecture.graph import finalize_layers
from keras_facnn.architecture.layer_copies import LayerCopies
from keras_facnn.architecture.windows import Axis

# The image size for which layers are aligned if a model takes any size.
_PROBE = 512

_FRAMES = (layers.Cropping2D, layers.ZeroPadding2D)
_GLOBAL_POOLING = (layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D)

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
    copy = _Copy(stride, images.name)
    with skip_initializers():
        outputs = copy.of_graph(maps, inputs)
    new = keras.Model(inputs, outputs, name=model.name)
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

    Args:
        stride: The largest number of pixels per cell.
        inputs: The name of the input layer.

    Attributes:
        layers: The copies of the layers.
        axes: The axes of each Keras tensor of the copy, by its identity, and
            the tensor, which is kept so that no other gets this identity.
        unpadded: For each Keras tensor that `ZeroPadding2D` made, by its
            identity, the one before, and the padding.
    """

    def __init__(self, stride: int, inputs: str) -> None:
        self.stride = stride
        self.layers = LayerCopies([inputs])
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
            try:
                made[step] = self._called(node, values, outer)
            except NoExactForm as e:
                raise ValueError(
                    f"`stride` cannot be {self.stride} for this model: its "
                    f"layer {node.operation.name!r}, of the class "
                    f"{type(node.operation).__name__}, {e}. Pass a larger "
                    "stride, or None, which keeps the model's own maps. "
                    f"Received: stride={self.stride}"
                ) from None
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
            raise NoExactForm("is not of Keras' own classes")
        if getattr(operation, "data_format", None) == "channels_first":
            raise NoExactForm("has the channels first")
        if len(node.output_tensors) != 1:
            raise NoExactForm("has several outputs")
        x, *others = values.values()
        if self._of(x) and not others:
            if isinstance(operation, (*CONVOLUTIONS, *POOLING)):
                return self._window(operation, outer, x)
            if isinstance(operation, _FRAMES):
                return self._frame(operation, outer, x)
            if isinstance(operation, _GLOBAL_POOLING):
                pool = self.layers.copy(operation, outer)
                return self._set(pool(self._own_cells(operation, x)), None)
        values, axes = self._aligned(operation, values)
        args, kwargs = node.arguments.fill_in(values)
        output = self.layers.copy(operation, outer)(*args, **kwargs)
        constants = [
            value
            for value in tree.flatten((args, kwargs))
            if not isinstance(value, keras.KerasTensor)
        ]
        if axes is None:
            if math.prod(output.shape[1:-1]) != 1:
                raise NoExactForm("makes maps of values of no location")
        elif not is_pointwise(operation, constants):
            axes = axes_after(operation, axes, output.shape)
        return self._set(output, axes)

    def _window(self, layer: Any, outer: list[str], x: Any) -> Any:
        """Return what a convolution or a pooling layer makes of maps."""
        strides = [
            axis.stride * step
            for axis, step in zip(self._of(x) or (), layer.strides, strict=True)
        ]
        if max(strides) <= self.stride:
            output = self.layers.copy(layer, outer)(x)
            size = output.shape[1:3]
            return self._set(output, tuple(map(Axis, strides, size)))
        frame = NO_FRAME
        if (
            id(x) in self.unpadded
            and isinstance(layer, CONVOLUTIONS)
            and max(layer.strides) > 1
        ):
            # Smaller steps need other zeros to be centered.
            x, frame = self.unpadded[id(x)]
        changes, pads, axes = finer_layer(
            layer, self._of(x) or (), x.shape[1:3], frame, self.stride
        )
        x = self._framed(x, layer.name, pads)
        return self._set(self.layers.copy(layer, outer, changes)(x), axes)

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
        output = self.layers.copy(layer, outer, {name: wider})(x)
        if pads:
            self.unpadded[id(output)] = x, frame
        return self._set(output, axes)

    def _own_cells(self, layer: Any, x: Any) -> Any:
        """Return the cells of finer maps that the model's maps have."""
        axes = self._of(x) or ()
        if all(axis.dilation == 1 for axis in axes):
            return x
        x = self._framed(
            x, layer.name, tuple((-axis.phase, 0) for axis in axes)
        )
        return self.layers.new(
            layers.MaxPooling2D,
            f"{layer.name}_cells",
            x.dtype,
            pool_size=1,
            strides=tuple(axis.dilation for axis in axes),
        )(x)

    def _aligned(
        self, operation: Any, values: dict[int, Any]
    ) -> tuple[dict[int, Any], _Axes]:
        """Return tensors whose maps have the same axes, and these axes."""
        maps = {key: x for key, x in values.items() if self._of(x)}
        if not maps:
            return values, None
        if len({x.shape[1:3] for x in maps.values()}) > 1:
            raise NoExactForm("joins maps that would differ in size")
        axes = aligned_axes([self._of(x) or () for x in maps.values()])
        values = dict(values)
        for key, x in maps.items():
            moves = [
                new.phase - axis.phase
                for new, axis in zip(axes, self._of(x) or (), strict=True)
            ]
            frame = tuple((n, -n) for n in moves)
            values[key] = self._framed(x, operation.name, frame)
        return values, axes

    def _framed(self, x: Any, name: str, frame: Frame) -> Any:
        """Return maps with zeros at their ends, or without some cells.

        Args:
            x: The maps.
            name: The first part of the names of new layers.
            frame: How many zeros to add, or, if negative, cells to cut.
        """
        for cls, option, sign in (
            (layers.ZeroPadding2D, "padding", 1),
            (layers.Cropping2D, "cropping", -1),
        ):
            ends = tuple(
                tuple(max(sign * n, 0) for n in pair) for pair in frame
            )
            if ends != NO_FRAME:
                new = self.layers.new(
                    cls, f"{name}_{option}", x.dtype, **{option: ends}
                )
                x = new(x)
        return x

    def _of(self, tensor: Any) -> _Axes:
        return self.axes[id(tensor)][0]

    def _set(self, tensor: Any, axes: _Axes) -> Any:
        self.axes[id(tensor)] = axes, tensor
        return tensor
