"""Import Keras once a command needs it, which takes seconds."""

import importlib
import itertools
import os
import pathlib
import signal
import sys
import types

from keras_facnn._progress import say_stage
from keras_facnn.cli.backend_messages import hide_chatter
from keras_facnn.cli.streams import open_streams
from keras_facnn.cli.streams import print_note

INTERRUPTED = "keras_facnn: interrupted"
# These commands run an exported file, also where Keras is not installed.
WITHOUT_KERAS = {"batch", "serve", "watch"}
# If this variable is set, the package does not import Keras. Processes inherit
# it from commands that run an exported file.
_SKIPS_KERAS = "KERAS_FACNN_SKIPS_KERAS"
_started = False


def start_command() -> None:
    """Prepare this process if it runs the command line; else do nothing.

    Python imports the package before `__main__`. So Keras is left out until
    `import_keras`: help and errors of the command line appear at once. And
    without this function, Ctrl-C would show a traceback of the module that is
    being imported.
    """
    global _started
    if _started or not _is_command():
        return
    _started = True
    open_streams()
    os.environ[_SKIPS_KERAS] = "1"
    # A shell that starts a command in the background has SIGINT ignored.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _exit_at_once)


def import_keras() -> None:
    """Import what `start_command` left out, if it did."""
    if not (_started and skips_keras()):
        return
    del os.environ[_SKIPS_KERAS]
    say_stage("Starting Keras ...")
    with hide_chatter():
        importlib.reload(sys.modules["keras_facnn"])


def skips_keras() -> bool:
    """Whether this process shall not import Keras, which takes seconds."""
    return bool(os.environ.get(_SKIPS_KERAS))


def end_start() -> None:
    """Make Ctrl-C raise `KeyboardInterrupt` again, so that files are closed."""
    if signal.getsignal(signal.SIGINT) is _exit_at_once:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_command() -> bool:
    """Whether this is `python -m keras_facnn` or the script `keras-facnn`."""
    if sys.argv[0] == "-m":
        return ("-m", "keras_facnn") in itertools.pairwise(sys.orig_argv)
    return pathlib.Path(sys.argv[0]).stem == "keras-facnn"


def _exit_at_once(number: int, frame: types.FrameType | None) -> None:
    # Nothing is open yet that has to be closed. An exception would not do: a
    # module that is being imported may replace it by an error of its own.
    print_note(INTERRUPTED)
    os._exit(130)
