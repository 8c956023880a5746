"""Validate the names, options and flags of a call."""

import difflib
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_facnn._checks.messages import short_repr
from keras_facnn._checks.numbers import is_integer

# The dtypes that weights may have, and that layers may compute in.
_FLOATS = {"float16", "bfloat16", "float32", "float64"}


def check_argument_names(
    where: str, received: Mapping[str, Any], known: Collection[str]
) -> None:
    """Raise if a dict of keyword arguments holds an unknown one.

    Args:
        where: Name of the function or class, such as `"FACNN"`.
        received: Dict of the received arguments by name.
        known: The known names.
    """
    for name, value in received.items():
        if name not in known:
            near = difflib.get_close_matches(name, known)
            hint = (
                f"Did you mean {' or '.join(f'`{n}`' for n in near)}?"
                if near
                else f"It takes {', '.join(known)}."
            )
            raise TypeError(
                f"{where} takes no argument `{name}`. {hint} "
                f"Received: {name}={short_repr(value)}"
            )


def check_option(name: str, value: Any, options: Collection[str]) -> Any:
    """Return `value` if it is one of the strings `options`, or raise.

    Its type is `Any`, so that it fits a parameter of a `Literal` type.
    """
    if not isinstance(value, str) or value not in options:
        raise ValueError(
            f"`{name}` must be one of {', '.join(options)}. "
            f"Received: {name}={short_repr(value)}"
        )
    return value


def check_bool(name: str, value: Any) -> bool:
    """Return `value` as a bool, or raise if it is anything else."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(
            f"`{name}` must be True or False. "
            f"Received: {name}={short_repr(value)}"
        )
    return bool(value)


def check_verbose(verbose: Any) -> int:
    """Return Keras' `verbose` as 0, 1 or 2, or raise."""
    if isinstance(verbose, (bool, np.bool_)):
        return int(verbose)
    if not is_integer(verbose) or not 0 <= verbose.__index__() <= 2:
        raise ValueError(
            "`verbose` must be 0 or False (silent), 1 or True, or 2. "
            f"Received: verbose={short_repr(verbose)}"
        )
    return verbose.__index__()


def check_policy(dtype: Any) -> keras.dtype_policies.DTypePolicy:
    """Return Keras' policy for a floating-point `dtype`, or raise."""
    try:
        policy = (
            keras.config.dtype_policy()
            if dtype is None
            else keras.dtype_policies.get(dtype)
        )
    except (AttributeError, TypeError, ValueError):
        policy = None
    # Keras accepts others too, and fails when a layer computes.
    if (
        policy is None
        or policy.quantization_mode is not None
        or not {policy.compute_dtype, policy.variable_dtype} <= _FLOATS
    ):
        raise ValueError(
            "`dtype` must be a dtype policy of Keras that computes in floats, "
            'such as "float32" or "mixed_bfloat16"; `model.quantize` turns a '
            "trained model into one of integers. "
            f"Received: dtype={short_repr(policy if dtype is None else dtype)}"
        )
    return policy


def check_callable(name: str, value: Any) -> Callable[..., Any]:
    """Return `value` if it can be called, or raise."""
    if not callable(value):
        raise ValueError(
            f"`{name}` must be a function. Received: {name}={short_repr(value)}"
        )
    return value
