"""Validate numbers and sequences of numbers."""

import math
import numbers
import operator
from typing import Any
from typing import TypeGuard

import numpy as np

from keras_facnn._checks.messages import short_repr

# The largest number of values in one array: 4 GiB as float32.
LARGEST_ARRAY = 2**30


def is_number(value: Any) -> TypeGuard[float]:
    """Return whether `value` is a real number, and not a bool."""
    return isinstance(value, numbers.Real) and not isinstance(
        value, (bool, np.bool_)
    )


def is_integer(value: Any) -> TypeGuard[int]:
    """Return whether `value` is an integer, and not a bool or an array."""
    if isinstance(value, (bool, np.bool_)) or "bool" in str(
        getattr(value, "dtype", "")
    ):
        return False
    try:
        # Tensors and arrays of floats also have `__index__`, which raises.
        operator.index(value)
    except (AttributeError, TypeError, ValueError, RuntimeError):
        return False
    return np.ndim(value) == 0


def check_int(
    name: str, value: Any, least: int = 1, most: int = 2**31 - 1
) -> int:
    """Return `value` as an int in `least..most`, or raise."""
    if not is_integer(value) or not least <= value.__index__() <= most:
        kind = "a positive integer" if least == 1 else "an integer"
        raise ValueError(
            f"`{name}` must be {kind}, {least} to {most}. "
            f"Received: {name}={short_repr(value)}"
        )
    return value.__index__()


def check_ints(name: str, values: Any, least: int = 1) -> tuple[int, ...]:
    """Return a non-empty sequence of integers as a tuple, or raise."""
    if not isinstance(values, (list, tuple)) or not values:
        kind = "positive" if least == 1 else "non-negative"
        raise ValueError(
            f"`{name}` must be a non-empty sequence of {kind} integers. "
            f"Received: {name}={short_repr(values)}"
        )
    return tuple(check_int(name, value, least) for value in values)


def check_float(
    name: str,
    value: Any,
    above: float = -math.inf,
    below: float = math.inf,
    least: float | None = None,
    most: float | None = None,
) -> float:
    """Return `value` as a finite float within bounds, or raise.

    Args:
        name: The caller's name for the value.
        value: The number.
        above: Exclusive lower bound.
        below: Exclusive upper bound.
        least: Inclusive lower bound, which replaces `above`.
        most: Inclusive upper bound, which replaces `below`.
    """
    try:
        good = is_number(value) and math.isfinite(value)
    except OverflowError:  # An integer beyond all floats.
        good = False
    if good:
        good = (value > above) if least is None else (value >= least)
        good = good and ((value < below) if most is None else (value <= most))
    if not good:
        bounds = [
            f"{word} {bound:g}"
            for word, bound in (
                ("at least", least),
                ("above", above if least is None else None),
                ("at most", most),
                ("below", below if most is None else None),
            )
            if bound is not None and math.isfinite(bound)
        ]
        raise ValueError(
            f"`{name}` must be a finite number"
            + (f", {' and '.join(bounds)}. " if bounds else ". ")
            + f"Received: {name}={short_repr(value)}"
        )
    return float(value)


def check_seed(seed: Any, name: str = "seed") -> int:
    """Return a seed as an int in 0..2**64 - 1, or raise."""
    return check_int(name, seed, least=0, most=2**64 - 1)


def check_size(name: str, size: Any) -> tuple[int, int]:
    """Return `size` as `(height, width)`, positive integers, or raise."""
    if (
        not (isinstance(size, (list, tuple)) or getattr(size, "ndim", 0) == 1)
        or len(size) != 2
        or not all(is_integer(n) and n >= 1 for n in size)
    ):
        raise ValueError(
            f"`{name}` must be two positive integers (height, width). "
            f"Received: {name}={short_repr(size)}"
        )
    height, width = size
    return height.__index__(), width.__index__()


def check_memory(arguments: str, *shape: int) -> None:
    """Raise if an array would be absurdly large.

    Args:
        arguments: The names of the arguments that ask for the array, as they
            stand in the message.
        *shape: Integers, the shape of the array.
    """
    if math.prod(shape) > LARGEST_ARRAY:
        raise ValueError(
            f"{arguments} ask for an array of {math.prod(shape):,} values; the "
            f"most is {LARGEST_ARRAY:,}. Received: shape {shape}"
        )
