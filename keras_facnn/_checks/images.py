"""Validate images, and warn if they look wrong."""

import warnings
from typing import Any

import numpy as np

from keras_facnn._checks.arrays import check_range
from keras_facnn._checks.arrays import finite_array
from keras_facnn._checks.arrays import real_array
from keras_facnn._checks.messages import callers_stacklevel


def check_images(
    images: Any,
    image_shape: tuple[int | None, ...] = (None, None, None),
    name: str = "images",
) -> np.ndarray:
    """Return `images` as a finite array `(B, H, W, channels)`, or raise.

    Args:
        images: Array-like `(B, H, W, channels)`, any real dtype.
        image_shape: The model's `(H, W, channels)`; None accepts any size.
        name: The caller's name for the images.
    """
    if isinstance(images, (list, tuple)) and len(images):
        shapes = {np.shape(x) for x in images if hasattr(x, "shape")}
        if len(shapes) > 1:
            raise ValueError(
                f"`{name}` must have one size; call once for each size, or "
                f"resize them. Received: images of shapes {sorted(shapes)}"
            )
    array = finite_array(name, images)
    check_range(name, array)
    expected = ", ".join("any" if n is None else str(n) for n in image_shape)
    if (
        array.ndim != 4
        or 0 in array.shape
        or any(
            n is not None and n != m
            for n, m in zip(image_shape, array.shape[1:], strict=True)
        )
    ):
        hint = ""
        if array.ndim == 3 and all(
            n in (None, m)
            for n, m in zip(image_shape, array.shape, strict=True)
        ):
            hint = f" For one image, pass {name}[None]."
        if array.ndim == 3 and image_shape[2] == 1:
            hint = f" For gray images, pass {name}[..., None]."
        raise ValueError(
            f"`{name}` must have shape (batch, {expected}), with at least one "
            f"image. Received: images of shape {array.shape}.{hint}"
        )
    return array


def warn_about_range(images: np.ndarray, name: str = "images") -> None:
    """Warn if finite pixels do not look like 0..255."""
    low, high = float(images.min()), float(images.max())
    if low >= 0 and (2 < high <= 255 or high == 0):
        return
    if 0 <= low and high <= 2:
        guess = "Were they scaled to 0..1?"
    elif low < 0:
        guess = "Were they normalized, or is the dtype signed?"
    else:
        guess = "Do they have more than 8 bits?"
    warnings.warn(
        f"`{name}` should be in 0..255, but the smallest value is {low:.3g}, "
        f"the largest is {high:.3g}. {guess} Undo that: the model does its "
        "own scaling, of values in 0..255.",
        stacklevel=callers_stacklevel(),
    )


def warn_about_first_images(x: Any) -> None:
    """Warn if `x`, as passed to Keras' `fit`, is an array not in 0..255.

    It reads only the first images, because an array may be backed by a large
    file. Datasets, and arrays of another shape, are left to Keras.
    """
    if len(getattr(x, "shape", ())) != 4 or not hasattr(x, "__getitem__"):
        return
    first = real_array("x", x[:32])
    if first.size and np.isfinite(first).all():
        warn_about_range(first, "x")


def warn_about_first_labels(y: Any, num_classes: int) -> None:
    """Warn if integer labels, as passed to `fit`, belong to no class.

    PyTorch raises an error for them; other backends train on wrong targets.
    """
    if not isinstance(y, (list, np.ndarray)) or not len(y):
        return
    try:
        first = np.asarray(y[:10_000])
    except ValueError:
        return
    if first.dtype.kind not in "iu" or first.size != len(first):
        return
    # `ignore_class` is usually 255 or below 0.
    first = first[(first >= 0) & (first != 255)]
    if first.size and first.max() >= num_classes:
        warnings.warn(
            f"Labels must be from 0 to {num_classes - 1} for a model of "
            f"{num_classes} classes. Received: {first.max()} in y",
            stacklevel=callers_stacklevel(),
        )
