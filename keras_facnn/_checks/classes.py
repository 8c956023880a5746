"""Validate classes and labels."""

from collections.abc import Sequence
from typing import Any
from typing import TypeAlias

import numpy as np

from keras_facnn._checks.messages import short_repr

# The result of `check_classes`: None for the predicted classes, "all", or an
# int array `(B,)`.
CheckedClasses: TypeAlias = np.ndarray | str | None


def check_classes(
    classes: Any,
    batch: int,
    num_classes: int,
    names: Sequence[str] | None = None,
    name: str = "classes",
) -> CheckedClasses:
    """Return `classes` as None, "all" or an int array `(batch,)`, or raise.

    Args:
        classes: None (the predicted class of each image), an int, the name of a
            class, a sequence of `batch` ints or names, or "all".
        batch: The number of images.
        num_classes: The number of classes.
        names: The names of the classes, if they are known.
        name: The caller's name for the classes.
    """
    if classes is None or (isinstance(classes, str) and classes == "all"):
        return classes
    numbers_ = _class_numbers(classes, names, name)
    if numbers_.dtype.kind in "iu" and numbers_.shape in ((), (batch,)):
        if (numbers_ >= 0).all() and (numbers_ < num_classes).all():
            return np.broadcast_to(numbers_, (batch,)).astype(int)
    raise ValueError(
        f'`{name}` must be None, "all", an integer from 0 to '
        f"{num_classes - 1}{', a name' if names else ''}, or {batch} of them, "
        f"one per image. Received: {name}={short_repr(classes)}"
    )


def check_classes_for(
    model: Any, classes: Any, batch: int, name: str = "classes"
) -> CheckedClasses:
    """Return `classes` as `check_classes` does, by the classes of an FA-CNN.

    Args:
        model: A `FACNN`.
        classes: As in `check_classes`. Names are those of `class_names`.
        batch: The number of images.
        name: The caller's name for the classes.
    """
    return check_classes(
        classes, batch, model.num_classes, model.class_names, name
    )


def check_one_class_per_image(
    classes: CheckedClasses, name: str = "classes"
) -> np.ndarray | None:
    """Return what `check_classes` returned, or raise if that is "all"."""
    if isinstance(classes, str):
        raise ValueError(
            f"`{name}` must be None, an integer, or one integer per image. "
            f"Received: {name}={classes!r}"
        )
    return classes


def check_labels(
    labels: Any,
    batch: int,
    num_classes: int | None,
    names: Sequence[str] | None = None,
) -> np.ndarray:
    """Return labels as an int array `(batch,)`, or raise."""
    classes = labels if isinstance(labels, str) else _listed(labels)
    array = _class_numbers(classes, names, "labels")
    if (
        array.shape != (batch,)
        or array.dtype.kind not in "iu"
        or (array < 0).any()
        or (num_classes is not None and (array >= num_classes).any())
    ):
        last = "" if num_classes is None else f" from 0 to {num_classes - 1}"
        raise ValueError(
            f"`labels` must be {batch} integers{last}, one per image. "
            f"Received: labels={short_repr(labels)}"
        )
    return array.astype(int)


def _class_numbers(
    classes: Any, names: Sequence[str] | None, name: str
) -> np.ndarray:
    """Replace names by numbers, and return an array.

    If the result is not an array of numbers, it is an array of objects.
    """
    none = np.asarray(None, object)
    if isinstance(classes, np.ma.MaskedArray) and np.ma.is_masked(classes):
        return none
    found = _class_number(classes, names, name)
    try:
        return np.asarray(found)
    except (TypeError, ValueError, RuntimeError):
        return none


def _class_number(classes: Any, names: Sequence[str] | None, name: str) -> Any:
    """Replace names by numbers, and keep the nesting."""
    classes = _listed(classes)
    if isinstance(classes, str):
        if not names:
            raise ValueError(
                f"`{name}` must be numbers, since the model knows no names of "
                f"its classes. Received: {name}={classes!r}"
            )
        if list(names).count(classes) != 1:
            close = [n for n in names if classes.lower() in n.lower()]
            raise ValueError(
                f"`{name}` must be among the model's class names: "
                f"{', '.join(close or names[:20])}"
                f"{', ...' if not close and len(names) > 20 else ''}. "
                f"Received: {name}={classes!r}"
            )
        return list(names).index(classes)
    if isinstance(classes, list):
        return [_class_number(one, names, name) for one in classes]
    return classes


def _listed(classes: Any) -> Any:
    """Return the contents of arrays and tensors as lists and strings."""
    # A tensor on the device `meta` has no values.
    if getattr(classes, "is_meta", False):
        return None
    # An open file also has a `detach`, which would take it from the caller.
    if hasattr(classes, "detach") and not hasattr(classes, "read"):
        classes = classes.detach().cpu()
    if isinstance(classes, (tuple, np.ndarray)) or hasattr(classes, "tolist"):
        try:
            if np.asarray(classes).dtype.kind in "USO":
                return np.asarray(classes).tolist()
        except (TypeError, ValueError):
            return list(classes)
    return list(classes) if isinstance(classes, tuple) else classes
