"""Validate numbers and sequences of numbers."""

import math
import numbers
import operator

import numpy as np

from keras_facnn._checks.messages import short_repr

# The most values that one array may be asked to hold: 4 GiB as float32.
LARGEST_ARRAY = 2**30


def is_number(value):
    """Whether `value` is a real number, and not a bool."""
    return isinstance(value, numbers.Real) and not isinstance(
        value, (bool, np.bool_)
    )


def is_integer(value):
    """Whether `value` is an integer, and not a bool or an array."""
    if isinstance(value, (bool, np.bool_)) or "bool" in str(
        getattr(value, "dtype", "")
    ):
        return False
    try:
        # Tensors and arrays of floats have `__index__` too; it raises.
        operator.index(value)
    except (AttributeError, TypeError, ValueError, RuntimeError):
        return False
    return np.ndim(value) == 0


def check_int(name, value, least=1, most=2**31 - 1):
    """Returns `value` as an int in `least..most`, or raises."""
    if not is_integer(value) or not least <= value.__index__() <= most:
        kind = "a positive integer" if least == 1 else "an integer"
        raise ValueError(
            f"`{name}` must be {kind}, {least} to {most}. "
            f"Received: {name}={short_repr(value)}"
        )
    return value.__index__()


def check_ints(name, values):
    """Returns a non-empty sequence of positive integers as a tuple."""
    if not isinstance(values, (list, tuple)) or not values:
        raise ValueError(
            f"`{name}` must be a non-empty sequence of positive integers. "
            f"Received: {name}={short_repr(values)}"
        )
    return tuple(check_int(name, value) for value in values)


def check_float(
    name, value, above=-math.inf, below=math.inf, least=None, most=None
):
    """Returns `value` as a finite float within bounds, or raises.

    Args:
        name: What the caller calls it.
        value: The number.
        above: Bound that the value must exceed.
        below: Bound that it must stay below.
        least: Smallest value, in place of `above`.
        most: Largest value, in place of `below`.
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


def check_seed(seed, name="seed"):
    """Returns a seed as an int of 0..2**64 - 1, or raises."""
    return check_int(name, seed, least=0, most=2**64 - 1)


def check_size(name, size):
    """Returns `size` as `(height, width)`, positive integers, or raises."""
    if (
        not (isinstance(size, (list, tuple)) or getattr(size, "ndim", 0) == 1)
        or len(size) != 2
        or not all(is_integer(n) and n >= 1 for n in size)
    ):
        raise ValueError(
            f"`{name}` must be two positive integers (height, width). "
            f"Received: {name}={short_repr(size)}"
        )
    return tuple(n.__index__() for n in size)


def check_memory(arguments, *shape):
    """Raises if an array of `shape`, which `arguments` ask for, is absurd.

    Args:
        arguments: The names of the arguments, as the message says them.
        *shape: Integers.
    """
    if math.prod(shape) > LARGEST_ARRAY:
        raise ValueError(
            f"{arguments} ask for an array of {math.prod(shape):,} values; the "
            f"most is {LARGEST_ARRAY:,}. Received: shape {shape}"
        )
