"""Save and restore the two newest checkpoints of a run, and find damage."""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable
from typing import Any

from absl import logging

from zoo.training import record


class Checkpoints:
    """`last.weights.h5`, the one before it, and the SHA-256 of both.

    A kill at any time leaves both of them whole, and their hashes known. If
    something else damages the newest, the steps since the one before are lost.

    Args:
        workdir: Path of the run's folder.
    """

    def __init__(self, workdir: str) -> None:
        self.last = os.path.join(workdir, "last.weights.h5")
        self.before = os.path.join(workdir, "before.weights.h5")
        self.hashes = self.last + ".sha256"
        self.last_is_damaged = False
        # The checkpoint to continue from, or None.
        self.newest: str | None = None

    def exist(self) -> bool:
        return os.path.exists(self.last) or os.path.exists(self.before)

    def save(self, write: Callable[[str], None]) -> None:
        """Save the newest checkpoint with `write(path)`."""
        partial = partial_path(self.last)
        write(partial)
        # Before the file is in place, and with those of the files that are.
        hashes = [sha256(partial), *self._known()][:8]
        with record.replacing(self.hashes) as file:
            file.writelines(f"{hash}\n" for hash in hashes)
        if os.path.exists(self.last) and not self.last_is_damaged:
            link(self.last, self.before)
        os.replace(partial, self.last)
        self.last_is_damaged = False
        self.newest = self.last

    def restore(self, load: Callable[[str], Any]) -> Any:
        """Call `load(path)` with the newest whole checkpoint, if there is one.

        Returns:
            What `load` returned, or None.

        Raises:
            ValueError: If there are checkpoints, and none is whole.
        """
        if not self.exist():
            return None
        known = self._known()
        for path in (self.last, self.before):
            if os.path.exists(path) and sha256(path) in known:
                break
        else:
            raise ValueError(
                f"Neither {self.last} nor {self.before} is as it was saved, by "
                f"the hashes in {self.hashes}. Use a new --workdir; --init "
                "starts from a preset."
            )
        self.last_is_damaged = path == self.before
        if self.last_is_damaged:
            logging.warning(
                "The checkpoint %s is missing or damaged, so the run continues "
                "from the one before it, %s.",
                self.last,
                self.before,
            )
        self.newest = path
        return load(path)

    def _known(self) -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            # A damaged line is a hash that no file has.
            with open(self.hashes, errors="replace") as file:
                return file.read().split()
        return []


def partial_path(path: str) -> str:
    return path.replace(".weights.h5", ".partial.weights.h5")


def sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def link(source: str, target: str) -> None:
    """Put the file `source` at `target` too, in one step."""
    partial = partial_path(target)
    # An earlier kill may have left this file.
    with contextlib.suppress(FileNotFoundError):
        os.remove(partial)
    try:
        os.link(source, partial)
    except OSError:
        # Not every file system has links.
        shutil.copyfile(source, partial)
    os.replace(partial, target)
