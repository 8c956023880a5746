"""What public signatures take, by name."""

from collections.abc import Sequence

from numpy.typing import ArrayLike

# Images `(B, H, W, channels)`, 0..255: NumPy, tensors of a backend, or lists.
Images = ArrayLike
# Maps `(B, h, w)`, or `(B, h, w, C)` for all classes.
Maps = ArrayLike
# An integer, a name where the model knows names, one of either an image,
# "all", or None for the predicted class of each image.
Classes = int | str | Sequence[int] | Sequence[str] | ArrayLike | None
# One class an image.
Labels = Sequence[int] | Sequence[str] | ArrayLike
# What stands in for removed pixels: a number, "mean", "blur", or an array.
Baseline = float | str | ArrayLike
# A layer: its name, or its number.
LayerName = int | str
