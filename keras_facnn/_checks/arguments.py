"""Validate the names, options and flags of a call."""

import difflib
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_facnn._checks.messages import short_repr
from keras_facnn._checks.numbers import is_integer


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


def check_callable(name: str, value: Any) -> Callable[..., Any]:
    """Return `value` if it can be called, or raise."""
    if not callable(value):
        raise ValueError(
            f"`{name}` must be a function. Received: {name}={short_repr(value)}"
        )
    return value
