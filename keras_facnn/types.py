"""What public signatures take, by name.

Arrays are `Any`, since backends' tensors share no type; `checks.py` says what
is one.
"""

from typing import Any
from typing import Literal
from typing import TypeAlias

# Images `(B, H, W, channels)`, 0..255: NumPy, tensors of a backend, or lists.
Images: TypeAlias = Any
# Maps `(B, h, w)`, or `(B, h, w, C)` for all classes.
Maps: TypeAlias = Any
# An integer, a name where the model knows names, a sequence of one of either
# an image, "all", or None for the predicted class of each image.
Classes: TypeAlias = Any
# One class an image.
Labels: TypeAlias = Any
# Boxes `(B, 4)`, or B arrays `(N, 4)`.
Boxes: TypeAlias = Any
# What stands in for removed pixels: a number, "mean", "blur", or an array.
Baseline: TypeAlias = Any
# What happens to pictures of another aspect, and to those that can't be read.
Fit: TypeAlias = Literal["crop", "pad", "stretch"]
OnError: TypeAlias = Literal["raise", "skip"]
# The order in which pixels are removed.
Order: TypeAlias = Literal[
    "most_relevant_first", "least_relevant_first", "random"
]
# What convolutions see beyond the border of the maps.
Padding: TypeAlias = Literal["zeros", "edge"]
# How weights are stored in a preset.
WeightsDtype: TypeAlias = Literal["float32", "float16"]
# A layer: its name, or its number.
LayerName: TypeAlias = int | str
