"""Shorten values for messages, and find the caller's line for warnings."""

import sys
from types import FrameType
from typing import Any


def short_repr(value: Any) -> str:
    """Return the `repr` of a value on one line, cut at 200 characters."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # A broken `__repr__` must not hide the message.
        text = type(value).__name__
    return text if len(text) <= 200 else f"{text[:200]}..."


def callers_stacklevel() -> int:
    """Return the `stacklevel` of the first caller outside the package."""
    stacklevel = 1
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").startswith(
        "keras_facnn"
    ):
        stacklevel, frame = stacklevel + 1, frame.f_back
    return stacklevel
