"""Files that a kill cannot tear."""

import contextlib
import os


@contextlib.contextmanager
def replacing(path):
    """Opens a text file that takes the place of `path` once it is whole."""
    partial = path + ".partial"
    with open(partial, "w", newline="") as file:
        yield file
    os.replace(partial, path)
