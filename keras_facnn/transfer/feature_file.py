"""Keep the features of photographs in a file, which grows photo by photo."""

import json
import os
import pathlib
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np

# What identifies a file without reading it: its path, its size in bytes, and
# the time of its last change in nanoseconds.
PhotoKey = tuple[str, int, int]


def photo_key(path: str) -> PhotoKey:
    """Return what identifies a file without reading it."""
    found = os.stat(path)
    return os.path.abspath(path), found.st_size, found.st_mtime_ns


class FeatureFile:
    """The features of photographs on disk, also after the process was killed.

    `NAME.float16` holds one row per photo. `NAME.jsonl` says in its first line
    what the features were made with, and in each further line to which photo
    the next row belongs. If the features were made with something else, the
    files are started anew.

    Args:
        folder: An existing folder.
        made_with: JSON object: whatever the features depend on.
        shape: The shape of the features of one photo.
        name: The name of both files.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        made_with: Mapping[str, Any],
        shape: Sequence[int],
        name: str = "features",
    ) -> None:
        self.folder = folder
        self._rows_path = folder / f"{name}.float16"
        self._index_path = folder / f"{name}.jsonl"
        self._header = {**made_with, "shape": list(shape)}
        self.shape = tuple(shape)
        self._row_bytes = 2 * int(np.prod(shape))
        self.row_of: dict[PhotoKey, int] = {}
        self.digest_of: dict[PhotoKey, bytes] = {}
        if not self._read():
            self._index_path.write_bytes(_line(self._header))
            self._rows_path.write_bytes(b"")

    def __contains__(self, key: PhotoKey) -> bool:
        return key in self.row_of

    def add(
        self,
        keys: Sequence[PhotoKey],
        digests: Sequence[bytes],
        rows: np.ndarray,
    ) -> None:
        """Add photos to the end.

        Args:
            keys: Keys of the photos.
            digests: Their `file_digest`.
            rows: Their features.
        """
        with open(self._rows_path, "ab") as file:
            file.write(np.ascontiguousarray(rows, "float16").tobytes())
        # Only now, so that each line has its row if the process is killed.
        with open(self._index_path, "ab") as file:
            for key, digest in zip(keys, digests, strict=True):
                file.write(_line({"photo": key, "digest": digest.hex()}))
                self._note_row(key, digest)

    def rows(self) -> np.ndarray:
        """Return all rows, as an array that stays on disk."""
        return np.memmap(
            self._rows_path,
            "float16",
            "r",
            shape=(len(self.row_of), *self.shape),
        )

    def _note_row(self, key: PhotoKey, digest: bytes) -> None:
        assert key not in self.row_of, key
        self.row_of[key] = len(self.row_of)
        self.digest_of[key] = digest

    def _read(self) -> bool:
        """Read the index, and cut off what a killed process left half."""
        try:
            data = self._index_path.read_bytes()
            stored = os.path.getsize(self._rows_path) // self._row_bytes
        except FileNotFoundError:
            return False
        header, *lines = data.splitlines(keepends=True) or [b""]
        if header != _line(self._header):
            return False
        length = len(header)
        for line in lines:
            if not line.endswith(b"\n") or len(self.row_of) == stored:
                break
            entry = json.loads(line)
            path, size, changed = entry["photo"]
            digest = bytes.fromhex(entry["digest"])
            self._note_row((path, size, changed), digest)
            length += len(line)
        os.truncate(self._index_path, length)
        os.truncate(self._rows_path, len(self.row_of) * self._row_bytes)
        return True


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True).encode("ascii") + b"\n"
