"""Long work in parts, each of which is stored when it ends."""

from __future__ import annotations

import datetime
import os
import time
import urllib.parse
from collections.abc import Callable
from collections.abc import Iterator

import numpy as np
from absl import logging

from zoo.training import record

# Forward passes per part, which is what a kill can lose: 5 to 80 seconds at 400
# to 25 passes per second, those of the presets on two cores.
PASSES = 2000
# Per image, of a method whose cost is unknown.
UNKNOWN = 100
# Seconds between lines of progress: at most, and, at each tenth, at least.
MOST, LEAST = 60, 10


def run(
    folder: str,
    name: str,
    what: str,
    count: int,
    passes: int,
    work: Callable[[slice], dict[str, np.ndarray]],
) -> dict[str, np.ndarray]:
    """Do some work on images in parts, or read the parts that were done.

    Args:
        folder: Path of the folder of the parts.
        name: Name of the work, which no other in the folder may have.
        what: What is done, for the lines of progress.
        count: Number of images.
        passes: Forward passes per image. They determine the size of a part, so
            that it is the same in each run.
        work: Function of a slice of the images to arrays by name.

    Returns:
        The arrays of all parts, concatenated.
    """
    os.makedirs(folder, exist_ok=True)
    parts, progress = [], Progress(what, count)
    for some, path in _parts(folder, name, count, passes):
        is_done = os.path.exists(path)
        if not is_done:
            arrays = work(some)
            with record.replacing(path, "wb") as file:
                np.savez(file, **arrays)
        with np.load(path) as file:
            parts.append(dict(file))
        progress.update(some.stop, is_done)
    return {
        key: np.concatenate([part[key] for part in parts]) for key in parts[0]
    }


def done(folder: str, name: str, count: int, passes: int) -> int:
    """Return how many images are done of a work; see `run`."""
    return sum(
        some.stop - some.start
        for some, path in _parts(folder, name, count, passes)
        if os.path.exists(path)
    )


def _parts(
    folder: str, name: str, count: int, passes: int
) -> Iterator[tuple[slice, str]]:
    """Return the images of each part, and the path of its file."""
    size = max(1, PASSES // max(1, passes))
    for start in range(0, count, size):
        stop = min(start + size, count)
        yield slice(start, stop), f"{folder}/{name}_{start}_{stop}.npz"


def folder_of(output: str, method: str, layer: int | str | None) -> str:
    """Return the folder of the parts of a method at a layer."""
    name = urllib.parse.quote(f"{method}_{layer}", safe="")
    return os.path.join(output, "unfinished", name)


def passes_of(forward: int | str, backward: int | str) -> int:
    """Return how many forward passes take the time of a method.

    A backward pass takes that of two.
    """
    if isinstance(forward, int) and isinstance(backward, int):
        return forward + 2 * backward
    return UNKNOWN


class Progress:
    """Logs how many images are done and how long the rest will take.

    Args:
        what: What is done.
        count: Number of images.
    """

    def __init__(self, what: str, count: int) -> None:
        self.what, self.count = what, count
        self.start = self.logged = time.monotonic()
        self.found = self.tenth = 0

    def update(self, done: int, was_done_before: bool) -> None:
        """Log a line if it is time for one.

        Args:
            done: Number of images that are done.
            was_done_before: Whether another run did the last of them.
        """
        now = time.monotonic()
        if was_done_before:
            self.found, self.start = done, now
            return
        tenth, waited = 10 * done // self.count, now - self.logged
        if done == self.count or not (
            waited >= MOST or (waited >= LEAST and tenth > self.tenth)
        ):
            return
        self.logged, self.tenth = now, tenth
        seconds = (now - self.start) / (done - self.found)
        left = datetime.timedelta(seconds=round(seconds * (self.count - done)))
        logging.info(
            "%s: %d of %d images, %s left", self.what, done, self.count, left
        )
