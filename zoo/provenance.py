"""Where numbers come from: the commit and the command."""

import os
import pathlib
import shlex
import subprocess
import sys


def commit():
    """The commit of this code, "+" if it was changed, or None."""

    def git(*args):
        return subprocess.run(
            ["git", *args],
            capture_output=True,
            text=True,
            check=True,
            cwd=pathlib.Path(__file__).parent,
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def command():
    """The command that runs, with the last part alone of each path."""
    import keras

    def word(argument):
        flag, equals, value = argument.rpartition("=")
        if os.sep in value and "://" not in value:
            value = "./" + os.path.basename(os.path.normpath(value))
        return flag + equals + value

    module = sys.modules["__main__"].__spec__.name
    words = shlex.join(["python", "-m", module, *map(word, sys.argv[1:])])
    return f"KERAS_BACKEND={keras.backend.backend()} {words}"
