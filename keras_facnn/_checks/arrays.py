"""Validate arrays of values, maps and boxes."""

import numbers

import keras
import numpy as np

from keras_facnn._checks.messages import short_repr


def real_array(name, values):
    """Returns an array of real numbers as NumPy has them natively, or raises.

    Takes what the three backends, NumPy and lists give. Byte order becomes
    native, bfloat16 and long doubles become float32 and float64. Sparse,
    ragged, masked and complex arrays are refused, since what a caller means by
    them is not known here.

    Args:
        name: What the caller calls it.
        values: Array-like.
    """

    def refuse(came):
        raise ValueError(
            f"`{name}` must be an array of real numbers. Received: {came}"
        ) from None

    kind = f"{type(values).__module__}.{type(values).__name__}"
    if isinstance(values, np.ma.MaskedArray):
        if np.ma.is_masked(values):
            refuse("a masked array; fill it first, by `.filled(...)`")
        values = values.data
    if isinstance(values, keras.KerasTensor):
        refuse("a symbolic KerasTensor, which has no values")
    if isinstance(values, (str, bytes, set, frozenset, dict)) or values is None:
        refuse(short_repr(values))
    if "sparse" in kind.lower() or getattr(values, "is_sparse", False):
        refuse(f"a sparse {kind}; make it dense first")
    if "ragged" in kind.lower() or getattr(values, "is_nested", False):
        refuse(f"a ragged {kind}; all must have one shape")
    if hasattr(values, "read"):
        # Its `detach` is no tensor's: it would take the file from the caller.
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


def finite_array(name, values):
    """As `real_array`, and finite."""
    array = real_array(name, values)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(
            f"`{name}` must be finite. Received: NaN or infinity, at "
            f"{int((~np.isfinite(array)).sum())} of {array.size} places"
        )
    return array


def as_float32(array):
    """An array as float32; what is too large or small is infinity or 0.

    Also where NumPy was made to raise at that.
    """
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(array, "float32")


def check_maps(maps, ndim=(3,), batch=None, finite=True, name="maps"):
    """Returns maps as float64, or raises.

    Args:
        maps: Array-like `(B, h, w)`; with 4 in `ndim`, `(B, h, w, C)` too.
        ndim: Numbers of dimensions to take.
        batch: How many maps there must be; None is any number.
        finite: Whether NaN and infinity are refused.
        name: What the caller calls them.
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
            f"with at least one place. Received: shape {array.shape}"
        )
    return array.astype("float64")


def check_boxes(boxes, batch, size):
    """Returns the boxes of each image, float64 arrays `(N, 4)`, or raises.

    A box is `(left, top, right, bottom)` in pixels, right and bottom not
    included, and must share some of the image.

    Args:
        boxes: Array-like `(batch, 4)`, or, for images of several objects, a
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


def _are_several(boxes):
    if isinstance(boxes, (list, tuple)):
        boxes = boxes[:1]
        return bool(boxes) and isinstance(boxes[0], (list, tuple))
    return len(getattr(boxes, "shape", ())) == 2


def _are_boxes(boxes, size):
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not len(boxes):
        return False
    (left, top, right, bottom), (height, width) = boxes.T, size
    return (
        (left < right)
        & (top < bottom)
        & (left < width)
        & (top < height)
        & (right > 0)
        & (bottom > 0)
    ).all()


def check_fractions(fractions):
    """Returns fractions that increase from 0 to 1 as floats, or raises."""
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


def check_range(name, array):
    """Raises where float32, which all is computed in, turns values infinite.

    Args:
        name: What the caller calls it.
        array: What `real_array` returned.
    """
    if array.dtype != "float64":
        return
    lost = np.isinf(as_float32(array)) & ~np.isinf(array)
    if lost.any():
        raise ValueError(
            f"`{name}` must be finite as float32. Received: values up to "
            f"{np.abs(array[lost]).max():.3g}"
        )
