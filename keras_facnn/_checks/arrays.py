"""Validate arrays of values, maps and boxes."""

import numbers
from collections.abc import Sequence
from typing import Any
from typing import NoReturn

import numpy as np

from keras_facnn._checks.messages import short_repr


def real_array(name: str, values: Any) -> np.ndarray:
    """Return an array of real numbers in a native dtype of NumPy, or raise.

    Tensors of the three backends, NumPy arrays and lists are accepted. The byte
    order becomes native; bfloat16 becomes float32, and long doubles become
    float64. Sparse, ragged, masked and complex arrays raise an error, because
    their meaning is ambiguous.

    Args:
        name: The caller's name for the array.
        values: Array-like.
    """

    def refuse(received: str) -> NoReturn:
        raise ValueError(
            f"`{name}` must be an array of real numbers. Received: {received}"
        ) from None

    kind = f"{type(values).__module__}.{type(values).__name__}"
    if isinstance(values, np.ma.MaskedArray):
        if np.ma.is_masked(values):
            refuse("a masked array; fill it first, by `.filled(...)`")
        values = values.data
    if type(values).__name__ == "KerasTensor":
        refuse("a symbolic KerasTensor, which has no values")
    if isinstance(values, (str, bytes, set, frozenset, dict)) or values is None:
        refuse(short_repr(values))
    if "sparse" in kind.lower() or getattr(values, "is_sparse", False):
        refuse(f"a sparse {kind}; make it dense first")
    if "ragged" in kind.lower() or getattr(values, "is_nested", False):
        refuse(f"a ragged {kind}; all must have one shape")
    if hasattr(values, "read"):
        # The `detach` of a file would take the file from the caller.
        refuse(f"{kind}; `load_images` reads pictures from files")
    if hasattr(values, "detach"):
        if getattr(values, "is_meta", False):
            refuse("a tensor of the device `meta`, which has no values")
        values = values.detach().cpu()
        if getattr(values, "layout", None) is not None and "sparse" in str(
            values.layout
        ):
            refuse("a sparse tensor; make it dense first")
        if "bfloat16" in str(values.dtype):
            values = values.float()
    if not hasattr(values, "__array__") and not isinstance(
        values, (list, tuple, numbers.Number)
    ):
        refuse(f"{kind}; pass one batch, as an array")
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as e:
        refuse(f"{kind} that is no array: {' '.join(str(e).split())[:200]}")
    if array.dtype.name in ("bfloat16", "float8_e4m3fn", "float8_e5m2"):
        return array.astype("float32")
    if array.dtype.kind not in "biuf":
        refuse(f"dtype {array.dtype}")
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        return array.astype("float64")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def finite_array(name: str, values: Any) -> np.ndarray:
    """Return an array as `real_array` does, or raise if it is not finite."""
    array = real_array(name, values)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(
            f"`{name}` must be finite. Received: NaN or infinity, at "
            f"{int((~np.isfinite(array)).sum())} of {array.size} values"
        )
    return array


def as_float32(array: Any) -> np.ndarray:
    """Return an array as float32; too large values become infinity, small 0.

    This also holds where NumPy is set to raise errors for such values.
    """
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(array, "float32")


def check_maps(
    maps: Any,
    ndim: tuple[int, ...] = (3,),
    batch: int | None = None,
    finite: bool = True,
    name: str = "maps",
) -> np.ndarray:
    """Return maps as float64, or raise.

    Args:
        maps: Array-like `(B, h, w)`; with 4 in `ndim`, also `(B, h, w, C)`.
        ndim: The accepted numbers of dimensions.
        batch: The expected number of maps; None accepts any.
        finite: Whether NaN and infinity raise an error.
        name: The caller's name for the maps.
    """
    array = (finite_array if finite else real_array)(name, maps)
    check_range(name, array)
    if (
        array.ndim not in ndim
        or 0 in array.shape
        or (batch is not None and len(array) != batch)
    ):
        first = "B" if batch is None else str(batch)
        forms = {3: f"({first}, h, w)", 4: f"({first}, h, w, C)"}
        raise ValueError(
            f"`{name}` must have shape {' or '.join(forms[n] for n in ndim)}, "
            f"with at least one location. Received: shape {array.shape}"
        )
    return array.astype("float64")


def check_boxes(
    boxes: Any, batch: int, size: tuple[int, int]
) -> list[np.ndarray]:
    """Return the boxes of each image, float64 arrays `(N, 4)`, or raise.

    A box is `(left, top, right, bottom)` in pixels, where right and bottom are
    not included. It must overlap the image.

    Args:
        boxes: Array-like `(batch, 4)`, or, for images with several objects, a
            sequence of `batch` array-likes `(N, 4)`.
        batch: The number of images.
        size: `(height, width)` of the images.
    """
    if isinstance(boxes, (list, tuple)) and any(map(_are_several, boxes)):
        images = [finite_array("boxes", b).astype("float64") for b in boxes]
    else:
        array = finite_array("boxes", boxes).astype("float64")
        images = list(
            array[:, None] if array.ndim == 2 else np.atleast_1d(array)
        )
    if len(images) != batch or not all(_are_boxes(b, size) for b in images):
        height, width = size
        raise ValueError(
            f"`boxes` must have shape ({batch}, 4), or be {batch} arrays "
            "(N, 4): left < right and top < bottom, in pixels of an image of "
            f"{height}x{width}. Received: boxes={short_repr(boxes)}"
        )
    return images


def _are_several(boxes: Any) -> bool:
    if isinstance(boxes, (list, tuple)):
        boxes = boxes[:1]
        return bool(boxes) and isinstance(boxes[0], (list, tuple))
    return len(getattr(boxes, "shape", ())) == 2


def _are_boxes(boxes: np.ndarray, size: tuple[int, int]) -> bool:
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not len(boxes):
        return False
    (left, top, right, bottom), (height, width) = boxes.T, size
    return bool(
        (
            (left < right)
            & (top < bottom)
            & (left < width)
            & (top < height)
            & (right > 0)
            & (bottom > 0)
        ).all()
    )


def check_fractions(fractions: Sequence[float] | None) -> list[float]:
    """Return fractions that increase from 0 to 1 as floats, or raise.

    None stands for 0, 0.05, ... 1.
    """
    if fractions is None:
        return np.linspace(0, 1, 21).tolist()
    array = real_array("fractions", fractions).astype("float64")
    if (
        array.ndim != 1
        or len(array) < 2
        or array[0] != 0
        or array[-1] != 1
        or not (np.diff(array) > 0).all()
    ):
        raise ValueError(
            "`fractions` must increase from 0 to 1, both included. "
            f"Received: fractions={short_repr(fractions)}"
        )
    return array.tolist()


def check_range(name: str, array: np.ndarray) -> None:
    """Raise if values become infinite in float32, the dtype of computation.

    Args:
        name: The caller's name for the array.
        array: Result of `real_array`.
    """
    if array.dtype != "float64":
        return
    lost = np.isinf(as_float32(array)) & ~np.isinf(array)
    if lost.any():
        raise ValueError(
            f"`{name}` must be finite as float32. Received: values up to "
            f"{np.abs(array[lost]).max():.3g}"
        )
