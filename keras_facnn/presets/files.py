"""The files of a preset, as bytes: read strictly, written one way."""

import hashlib
import json
import os
import pathlib

CONFIG = "config.json"
METADATA = "metadata.json"
WEIGHTS = "model.weights.h5"
ALL = (CONFIG, METADATA, WEIGHTS)

LARGEST_JSON = 2**24


def parse_json(data: bytes, name: str, handle: object) -> dict:
    """The object in a JSON file, or one clear error for any other content."""
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


def json_bytes(value: dict) -> bytes:
    """JSON in the one form in which presets are written, on any system."""
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    return text.encode("ascii")


def sha256_of(path: str | os.PathLike) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sha256(received: str, expected: str, what: str) -> None:
    if received != expected:
        raise ValueError(
            f"{what} is damaged or was changed: its sha256 should be "
            f"{expected}. Received: {received}. Get the preset again."
        )


class Folder:
    """A preset in a folder of this machine."""

    def __init__(self, path: pathlib.Path):
        self.path = path

    def read(self, name: str) -> bytes:
        path = self._existing(name, LARGEST_JSON)
        return path.read_bytes()

    def weights(self, sha256: str, largest: int) -> pathlib.Path:
        """The path of the weights, whose hash was checked."""
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


def check_file_size(size: int, largest: int, what: object) -> None:
    if size > largest:
        raise ValueError(
            f"{what} is larger than it can be, {largest:,} bytes at most. Get "
            f"the preset again. Received: {size:,} bytes"
        )
