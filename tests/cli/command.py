"""Run the command line in this process."""

import pathlib

from keras_facnn.cli.main import main

ROOT = pathlib.Path(__file__).parents[2]
SAMPLES = sorted((ROOT / "samples").glob("*.jpg"))


def run(*arguments):
    """Return the exit status of a command."""
    return main([str(a) for a in arguments])
