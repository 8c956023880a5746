"""Parts of messages: values, shortened, and the caller's line."""

import sys


def short_repr(value):
    """A value as messages show it, on one line and not for ever."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # A broken `__repr__` must not hide the message.
        text = type(value).__name__
    return text if len(text) <= 200 else f"{text[:200]}..."


def callers_stacklevel():
    """How many frames up a warning's first caller outside the package is."""
    level, frame = 1, sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").startswith(
        "keras_facnn"
    ):
        level, frame = level + 1, frame.f_back
    return level
