"""What the command line needs while Keras, which takes seconds, is imported."""

import contextlib
import itertools
import os
import pathlib
import signal
import sys

INTERRUPTED = "keras_facnn: interrupted"


def start_command() -> None:
    """Prepares this process if it is the command line; else does nothing.

    Python imports the package before `__main__`, so that Ctrl-C would end in a
    traceback of whatever is being imported.
    """
    if not _is_command():
        return
    open_streams()
    # A shell that starts a command in the background has SIGINT ignored.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupted)


def end_start() -> None:
    """Makes Ctrl-C an exception again, after which files can be put away."""
    if signal.getsignal(signal.SIGINT) is _interrupted:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def open_streams() -> None:
    """Opens standard streams that are closed; what is written there is lost.

    The next file to be opened would get the number of a closed one, and the
    backends' messages.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))


def note(text: str) -> None:
    """Prints a line on standard error; a full disk there stops no work."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        silence(sys.stderr)


def silence(stream) -> None:
    """Loses what is written on a stream whose writing has failed.

    So Python, which writes what is left at the end, has nothing to complain of.
    """
    with contextlib.suppress(OSError), open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


def _is_command():
    """Whether this is `python -m keras_facnn` or the script `keras-facnn`."""
    if sys.argv[0] == "-m":
        return ("-m", "keras_facnn") in itertools.pairwise(sys.orig_argv)
    return pathlib.Path(sys.argv[0]).stem == "keras-facnn"


def _interrupted(number, frame):
    # There is nothing yet that an exception would have to put away, and an
    # import may turn one into an error of its own.
    note(INTERRUPTED)
    os._exit(130)
