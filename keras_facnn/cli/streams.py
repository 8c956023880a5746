"""Write results on the standard output and messages on standard error."""

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any
from typing import TextIO

from keras_facnn._checks.text import printable


class ErrorReported(Exception):
    """The command failed, and standard error already says why."""


def open_streams() -> None:
    """Open standard streams that are closed; what is written there is lost.

    Otherwise the next file that is opened gets the number of a closed stream,
    and with it the messages of the backends.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))


def print_result(text: str, end: str = "\n") -> None:
    """Print a result on the standard output and flush it.

    It is flushed so that an error appears after the results before it.
    """
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:
        raise
    except OSError as e:
        silence(sys.stdout)
        raise OSError(
            f"The standard output cannot be written ({e.strerror})"
        ) from e


def print_note(text: str) -> None:
    """Print a line on standard error, or nothing if the disk is full."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        silence(sys.stderr)


@contextlib.contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Print each warning as one line on standard error, without its source."""

    def show(message: Warning | str, *rest: Any, **options: Any) -> None:
        text = " ".join(str(message).split())
        print_note(f"keras_facnn: warning: {printable(text)}")

    with warnings.catch_warnings():
        warnings.showwarning = show
        warnings.filterwarnings("always", category=UserWarning)
        yield


def print_error(error: Exception) -> None:
    """Print an error as one line on standard error."""
    message = " ".join(str(error).split()) or type(error).__name__
    print_note(f"keras_facnn: error: {printable(message)}")


def silence(stream: TextIO) -> None:
    """Discard what is written on a stream that can no longer be written.

    Python flushes its streams as it exits, and would report the error again.
    """
    with contextlib.suppress(OSError), open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())
