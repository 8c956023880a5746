"""Read and write the files of a preset, as bytes."""

import hashlib
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any
from typing import TypeAlias

# The name, folder or URL of a preset.
Handle: TypeAlias = str | os.PathLike

CONFIG = "config.json"
METADATA = "metadata.json"
WEIGHTS = "model.weights.h5"
ALL = (CONFIG, METADATA, WEIGHTS)

# In bytes.
LARGEST_JSON = 2**24


def parse_json(data: bytes, name: str, handle: Handle) -> dict[str, Any]:
    """Return the object in a JSON file, or raise one clear error.

    Args:
        data: The bytes of the file.
        name: The name of the file.
        handle: Name of the preset in messages.
    """
    where = f"{name} of the preset {str(handle)!r}"
    try:
        value = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as e:
        raise ValueError(f"{where} is not valid JSON: {e}") from None
    if not isinstance(value, dict):
        raise ValueError(
            f"{where} must hold a JSON object. Received: {type(value).__name__}"
        )
    return value


def json_bytes(value: Mapping[str, Any]) -> bytes:
    """Return JSON as presets are written, the same bytes on any system."""
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    return text.encode("ascii")


def sha256_of(path: str | os.PathLike) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sha256(received: str, expected: str, what: str) -> None:
    """Raise if `what` does not have the expected hash."""
    if received != expected:
        raise ValueError(
            f"{what} is damaged or was changed: its sha256 should be "
            f"{expected}. Received: {received}. Get the preset again."
        )


class Folder:
    """A preset in a local folder."""

    def __init__(self, path: pathlib.Path):
        self.path = path

    def read(self, name: str) -> bytes:
        """Return the bytes of a JSON file."""
        path = self._existing(name, LARGEST_JSON)
        return path.read_bytes()

    def weights(self, sha256: str, largest: int) -> pathlib.Path:
        """Return the path of the weights, whose hash was checked."""
        path = self._existing(WEIGHTS, largest)
        check_sha256(sha256_of(path), sha256, str(path))
        return path

    def _existing(self, name: str, largest: int) -> pathlib.Path:
        path = self.path / name
        if not path.is_file():
            raise FileNotFoundError(
                f"The preset {str(self.path)!r} lacks {name}. A preset "
                f"holds {', '.join(ALL)}; "
                "`FACNN.save_to_preset` writes them."
            )
        check_file_size(os.path.getsize(path), largest, path)
        return path


def check_file_size(size: int, largest: int, what: str | os.PathLike) -> None:
    """Raise if `what` has more than `largest` bytes."""
    if size > largest:
        raise ValueError(
            f"{what} is larger than it can be, {largest:,} bytes at most. Get "
            f"the preset again. Received: {size:,} bytes"
        )
