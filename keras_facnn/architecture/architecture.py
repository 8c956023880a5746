"""The architecture of an FA-CNN, as a record of checked values."""

import dataclasses
from collections.abc import Sequence
from typing import Any
from typing import Literal
from typing import get_args

import keras

from keras_facnn._checks.arguments import check_bool
from keras_facnn._checks.arguments import check_option
from keras_facnn._checks.messages import short_repr
from keras_facnn._checks.numbers import check_float
from keras_facnn._checks.numbers import check_int
from keras_facnn._checks.numbers import check_ints
from keras_facnn._checks.numbers import is_number
from keras_facnn._checks.policies import check_policy
from keras_facnn._graph.layer_path import layer_name
from keras_facnn.architecture.sizes import MAX_IMAGE_SIDE
from keras_facnn.architecture.sizes import MAX_LAYERS
from keras_facnn.architecture.sizes import MAX_PARAMETERS
from keras_facnn.layers import ClassMajorMask
from keras_facnn.types import Padding
from keras_facnn.types import Projection


@dataclasses.dataclass(frozen=True)
class Architecture:
    """The values that determine the graph of an FA-CNN.

    `check_architecture` makes one from arguments of `FACNN`, which have the
    same names.

    Attributes:
        image_shape: `(height, width, channels)`; None means that of the
            backbone.
        alpha: The argument: `"harmonic"`, or one float, or one per layer.
        alphas: The weight of each layer's branch, L floats.
        fused: Whether norms and alphas are folded into the convolutions, as
            `fuse` does for inference.
        hybrid: Whether `x_0` is made from the maps of a backbone.
        left_out: Arguments of `ClassMajorMask`, the evidence that is left out
            of the last maps, or None.
        dtype: A `keras.DTypePolicy`, of all layers except those of a backbone.
    """

    num_classes: int
    image_shape: tuple[int | None, ...] | None
    depths: tuple[int, ...]
    maps_per_class: tuple[int, ...]
    alpha: str | float | tuple[float, ...]
    alphas: tuple[float, ...]
    space_to_depth: int
    classwise_layers: int
    branch_depth: int
    padding: Padding
    projection: Projection
    batch_norm_gain: bool
    synchronized_batch_norm: bool
    stochastic_depth: float
    fused: bool
    threshold: bool
    hybrid: bool
    left_out: dict[str, Any] | None
    dtype: Any

    @property
    def num_layers(self) -> int:
        """L, the number of FA layers."""
        return len(self.alphas)

    @property
    def num_parameters(self) -> int:
        """The number of parameters, without those that make a hybrid's `x_0`.

        Example:

        >>> from keras_facnn.architecture import architecture
        >>> architecture.check_architecture(
        ...     10, depths=(1, 2), maps_per_class=(1, 2)
        ... ).num_parameters
        8251
        """
        # In addition to its kernel, a channel of a fused model has a bias.
        # Otherwise, it has beta, two moving statistics and perhaps gamma.
        values_per_channel = 1 if self.fused else 3 + self.batch_norm_gain
        parameters = 1 + self.threshold  # The head's scale.
        # Each convolution has as many inputs as its layer has maps.
        mixing_left = sum(self.depths) - self.classwise_layers
        for depth, maps in zip(self.depths, self.maps_per_class, strict=True):
            width = self.num_classes * maps
            mixing = min(max(mixing_left, 0), depth)
            mixing_left -= depth
            inputs = mixing * width + (depth - mixing) * maps
            values = depth * values_per_channel * width + 9 * width * inputs
            parameters += self.branch_depth * values
        return parameters

    @property
    def pooling(self) -> int:
        """The side of `x_0`, divided by the side of the last maps."""
        return 2 ** (len(self.depths) - 1)

    def convolutions(self, layer: int) -> list[str]:
        """Return the names of the convolutions in a branch, without `conv_`.

        With three per branch, those of FA layer 3 are `"3_1"`, `"3_2"`, `"3"`.
        """
        inner = [f"{layer}_{i}" for i in range(1, self.branch_depth)]
        return [*inner, str(layer)]

    def layer_name(self, number: int) -> str:
        """Return the name of the layer that makes `x_l`.

        If evidence is left out, the layer of that name comes after it.
        """
        is_whole = self.left_out is not None and number == self.num_layers
        return layer_name(number) + "_whole" * is_whole

    def config(self) -> dict[str, Any]:
        """Return the arguments of `FACNN`, in types that JSON can hold.

        `image_shape` and `backbone` are not among them, because those of a
        hybrid are known only after its graph is built.
        """
        alpha = self.alpha
        return {
            "num_classes": self.num_classes,
            "depths": list(self.depths),
            "maps_per_class": list(self.maps_per_class),
            "alpha": list(alpha) if isinstance(alpha, tuple) else alpha,
            "space_to_depth": self.space_to_depth,
            "classwise_layers": self.classwise_layers,
            "branch_depth": self.branch_depth,
            "padding": self.padding,
            "projection": self.projection,
            "batch_norm_gain": self.batch_norm_gain,
            "synchronized_batch_norm": self.synchronized_batch_norm,
            "stochastic_depth": self.stochastic_depth,
            "fused": self.fused,
            "threshold": self.threshold,
            "dtype": self.dtype.name,
            **({"left_out": self.left_out} if self.left_out else {}),
        }


def check_architecture(
    num_classes: int,
    *,
    image_shape: Sequence[int | None] | None = None,
    depths: Sequence[int] | None = None,
    maps_per_class: Sequence[int] | None = None,
    alpha: Literal["harmonic"] | float | Sequence[float] = "harmonic",
    space_to_depth: int = 1,
    classwise_layers: int = 0,
    branch_depth: int = 1,
    padding: Padding = "zeros",
    projection: Projection = "relu",
    batch_norm_gain: bool = False,
    synchronized_batch_norm: bool = False,
    stochastic_depth: float = 0.0,
    fused: bool = False,
    threshold: bool = False,
    hybrid: bool = False,
    left_out: dict[str, Any] | None = None,
    dtype: str | keras.DTypePolicy | None = None,
) -> Architecture:
    """Check arguments of `FACNN`, and return their `Architecture`.

    This function builds no layers. So it can refuse untrusted arguments before
    they take all memory.

    Raises:
        ValueError: If an argument does not fit, or if the model would exceed
            `MAX_LAYERS` FA layers or convolutions in them, `MAX_PARAMETERS`
            parameters, or `MAX_IMAGE_SIDE` in an image's height, width or
            channels.

    Example:

    >>> from keras_facnn.architecture import architecture
    >>> architecture.check_architecture(10, depths=(2,), maps_per_class=(1,))
    ... # doctest: +ELLIPSIS
    Architecture(num_classes=10, image_shape=(32, 32, 3), depths=(2,), ...
    """
    num_classes = check_int("num_classes", num_classes, least=2)
    stages = _check_stages(depths, maps_per_class, hybrid)
    num_layers = sum(stages[0])
    stochastic_depth = check_float(
        "stochastic_depth", stochastic_depth, least=0, below=1
    )
    alphas = _check_alphas(alpha, num_layers)
    _check_stochastic_depth(stochastic_depth, alphas)
    space_to_depth = _check_space_to_depth(space_to_depth, hybrid)
    # The multiple for a hybrid depends on its backbone, which is not known
    # here.
    multiple = 1 if hybrid else space_to_depth * 2 ** (len(stages[0]) - 1)
    if image_shape is None and not hybrid:
        image_shape = (32, 32, 3)
    if isinstance(alpha, str):
        kept_alpha: str | float | tuple[float, ...] = alpha
    else:
        kept_alpha = float(alpha) if is_number(alpha) else alphas
    architecture = Architecture(
        num_classes=num_classes,
        image_shape=None
        if image_shape is None
        else _check_image_shape(image_shape, multiple),
        depths=stages[0],
        maps_per_class=stages[1],
        alpha=kept_alpha,
        alphas=alphas,
        space_to_depth=space_to_depth,
        classwise_layers=check_int(
            "classwise_layers", classwise_layers, least=0, most=num_layers
        ),
        branch_depth=_check_branch_depth(branch_depth, num_layers),
        padding=check_option("padding", padding, get_args(Padding)),
        projection=_check_projection(projection, hybrid),
        batch_norm_gain=check_bool("batch_norm_gain", batch_norm_gain),
        synchronized_batch_norm=check_bool(
            "synchronized_batch_norm", synchronized_batch_norm
        ),
        stochastic_depth=stochastic_depth,
        fused=check_bool("fused", fused),
        threshold=check_bool("threshold", threshold),
        hybrid=hybrid,
        left_out=_check_left_out(left_out, num_classes),
        dtype=check_policy(dtype),
    )
    if architecture.num_parameters > MAX_PARAMETERS:
        raise ValueError(
            "`num_classes`, `depths`, `maps_per_class` and `branch_depth` must "
            f"give at most {MAX_PARAMETERS:,} parameters. Received: "
            f"num_classes={num_classes}, depths={stages[0]}, "
            f"maps_per_class={stages[1]}, branch_depth={branch_depth}, which "
            f"give {architecture.num_parameters:,}"
        )
    return architecture


def _check_stages(
    depths: Any, maps_per_class: Any, hybrid: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return depths and maps per class of each stage as tuples, or raise."""
    if depths is None:
        depths = (4,) if hybrid else (8, 8, 8)
    if maps_per_class is None:
        maps_per_class = (12,) if hybrid else (3, 6, 12)
    # A hybrid's maps can be those of its backbone.
    depths = check_ints("depths", depths, least=0 if hybrid else 1)
    maps_per_class = check_ints("maps_per_class", maps_per_class)
    if len(depths) != len(maps_per_class):
        raise ValueError(
            "`depths` and `maps_per_class` must have one entry per stage. "
            f"Received: depths={depths}, maps_per_class={maps_per_class}"
        )
    if sum(depths) > MAX_LAYERS:
        raise ValueError(
            f"`depths` must sum to at most {MAX_LAYERS:,} FA layers. "
            f"Received: depths={depths}"
        )
    for before, after in zip(maps_per_class, maps_per_class[1:], strict=False):
        if after % before:
            raise ValueError(
                "Each entry of `maps_per_class` must be a multiple of the one "
                f"before. Received: maps_per_class={maps_per_class}"
            )
    return depths, maps_per_class


def _check_branch_depth(branch_depth: Any, num_layers: int) -> int:
    """Return the number of convolutions in each branch, or raise."""
    branch_depth = check_int("branch_depth", branch_depth)
    if branch_depth > 1 and not num_layers:
        raise ValueError(
            "`branch_depth` needs FA layers, which have branches. "
            f"Received: branch_depth={branch_depth}, and no FA layers"
        )
    if num_layers * branch_depth > MAX_LAYERS:
        raise ValueError(
            f"`branch_depth` must give at most {MAX_LAYERS:,} convolutions in "
            f"all {num_layers} FA layers. "
            f"Received: branch_depth={branch_depth}"
        )
    return branch_depth


def _check_projection(projection: Any, hybrid: bool) -> Projection:
    """Return how `x_0` is made from a backbone's maps, or raise."""
    check_option("projection", projection, get_args(Projection))
    if projection != "relu" and not hybrid:
        raise ValueError(
            "`projection` needs a `backbone`. "
            f"Received: projection={projection!r}"
        )
    return projection


def _check_left_out(left_out: Any, num_classes: int) -> dict[str, Any] | None:
    """Return arguments of `ClassMajorMask`, or raise."""
    if not left_out:
        return None
    if not isinstance(left_out, dict) or set(left_out) - {
        "maps",
        "locations",
        "size",
    }:
        raise ValueError(
            "`left_out` must be a dict of maps, locations and size, as "
            "`FACNN.without` makes it. Received: "
            f"left_out={short_repr(left_out)}"
        )
    # This checks the values.
    ClassMajorMask(num_classes, **left_out)
    return left_out


def _check_space_to_depth(space_to_depth: Any, hybrid: bool) -> int:
    """Return the side of the stem's pixel blocks, or raise."""
    space_to_depth = check_int("space_to_depth", space_to_depth)
    if hybrid and space_to_depth != 1:
        raise ValueError(
            "`space_to_depth` must be 1 with a `backbone`. "
            f"Received: space_to_depth={space_to_depth}"
        )
    if space_to_depth > MAX_IMAGE_SIDE:
        raise ValueError(
            f"`space_to_depth` must be at most {MAX_IMAGE_SIDE:,}. "
            f"Received: space_to_depth={space_to_depth}"
        )
    return space_to_depth


def _check_image_shape(
    image_shape: Any, multiple: int
) -> tuple[int | None, ...]:
    """Return `(height, width, channels)`, or raise; None means any size."""
    received = f"Received: image_shape={image_shape!r}"
    if not isinstance(image_shape, (list, tuple)) or len(image_shape) != 3:
        raise ValueError(
            "`image_shape` must be (height, width, channels), where height "
            f"and width may be None. {received}"
        )
    checked = tuple(
        None if n is None and i < 2 else check_int(f"image_shape[{i}]", n)
        for i, n in enumerate(image_shape)
    )
    if any(n is not None and n > MAX_IMAGE_SIDE for n in checked):
        raise ValueError(
            "Height, width and channels of `image_shape` must be at most "
            f"{MAX_IMAGE_SIDE:,}. {received}"
        )
    if any(n is not None and n % multiple for n in checked[:2]):
        raise ValueError(
            "Height and width of `image_shape` must be multiples of "
            f"space_to_depth * 2 ** (stages - 1) = {multiple}, or None. "
            f"{received}"
        )
    return checked


def _check_alphas(alpha: Any, num_layers: int) -> tuple[float, ...]:
    """Return the weight of each layer's branch, or raise."""
    if isinstance(alpha, str) and alpha == "harmonic":
        return tuple(1 / (layer + 1) for layer in range(1, num_layers + 1))
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


def _check_stochastic_depth(
    stochastic_depth: float, alphas: tuple[float, ...]
) -> None:
    """Raise if the weight of a branch that is kept would not be below 1."""
    last = len(alphas)
    below = min(
        [(1 - alpha) * last / layer for layer, alpha in enumerate(alphas, 1)],
        default=1.0,
    )
    if stochastic_depth >= below:
        raise ValueError(
            f"`stochastic_depth` must be below {below:.4g} for this `alpha` "
            f"and {last} FA layers, because l / {last} of it must be below "
            "1 - a_l at each layer l. "
            f"Received: stochastic_depth={stochastic_depth!r}"
        )
