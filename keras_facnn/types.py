"""Types of the arguments that public functions take.

Input arrays are `Any`, because the tensors of the backends share no type;
`_checks/arrays.py` decides what counts as an array. Returned arrays are
`numpy.ndarray`.
"""

from typing import Any
from typing import Literal
from typing import Protocol
from typing import TypeAlias

# Images `(B, H, W, channels)`, 0..255: NumPy, tensors of a backend, or lists.
Images: TypeAlias = Any
# Maps `(B, h, w)`, or `(B, h, w, C)` for all classes.
Maps: TypeAlias = Any
# An integer; a name, if the model knows names; a sequence of one integer or
# name per image; "all"; or None for the predicted class of each image.
Classes: TypeAlias = Any
# One class per image.
Labels: TypeAlias = Any
# Boxes `(B, 4)`, or B arrays `(N, 4)`.
Boxes: TypeAlias = Any
# Masks `(B, H, W)`, boxes, or a sequence of one mask, boxes or None per image.
Regions: TypeAlias = Any
# How to fit pictures of another aspect ratio, and how to treat unreadable ones.
Fit: TypeAlias = Literal["crop", "pad", "stretch"]
OnError: TypeAlias = Literal["raise", "skip"]
# The order in which pixels are removed.
Order: TypeAlias = Literal[
    "most_relevant_first", "least_relevant_first", "random"
]
# The values of maps beyond their border, for convolutions.
Padding: TypeAlias = Literal["zeros", "edge"]
# How a hybrid makes `x_0` from a 1x1 convolution of its backbone's maps.
Projection: TypeAlias = Literal["relu", "excess"]
# How weights are stored in a preset.
WeightsDtype: TypeAlias = Literal["float32", "float16"]
# How the channels of a pixel become one value; None keeps them.
Reduce: TypeAlias = Literal["max_abs", "sum"] | None
# A layer: its name, or its number.
LayerName: TypeAlias = int | str


class SupportsArray(Protocol):
    """Arrays of NumPy and of the backends."""

    def __array__(self) -> Any: ...


# The values of replaced pixels: a number or an array that broadcasts to the
# images, `"mean"` (each image's own color) or `"blur"` (the image, blurred).
Baseline: TypeAlias = (
    float
    | SupportsArray
    | list[Any]
    | tuple[Any, ...]
    | Literal["mean", "blur"]
)
# A baseline, or `"road"`: noisy linear imputation.
RemovalBaseline: TypeAlias = Baseline | Literal["road"]


class AttributionMethod(Protocol):
    """A way to make maps, such as `keras_facnn.attribution.grad_cam`."""

    def __call__(
        self,
        model: Any,
        images: Any,
        classes: Any,
        /,
        *args: Any,
        **kwargs: Any,
    ) -> Maps: ...


class MapMetric(Protocol):
    """A way to compare maps, such as `keras_facnn.metrics.pearson`."""

    def __call__(self, maps: Any, reference: Any, /) -> SupportsArray: ...
