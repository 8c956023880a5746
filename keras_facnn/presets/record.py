"""Read and write `metadata.json`, which describes a preset and is signed."""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_facnn.presets import files

# Older presets have neither `format` nor `sha256`. They are read all the same,
# because their config and weights are signed.
FORMAT = 2
# Keys that only `save_to_preset` writes.
RESERVED = frozenset(
    {
        "format",
        "keras_version",
        "keras_facnn_version",
        "parameters",
        "input",
        "config",
        "weights",
        "sha256",
    }
)
# How many levels metadata may have.
_DEEPEST = 64


def signed_bytes(record: Mapping[str, Any]) -> bytes:
    """Return the file of a record, whose `sha256` is the hash of the rest.

    The rest is hashed as JSON with sorted keys and the separators `,` and `:`,
    in which all characters but ASCII are escaped.
    """
    rest = {k: v for k, v in record.items() if k != "sha256"}
    canonical = json.dumps(
        rest, sort_keys=True, separators=(",", ":"), allow_nan=False
    )
    sha256 = hashlib.sha256(canonical.encode("ascii")).hexdigest()
    return files.json_bytes({**rest, "sha256": sha256})


def parse_record(
    data: bytes, config_data: bytes, num_classes: int, handle: files.Handle
) -> dict[str, Any]:
    """Return the record of a preset, or raise if it or the config is damaged.

    Args:
        data: The bytes of `metadata.json`.
        config_data: The bytes of `config.json`.
        num_classes: The number of classes in the config.
        handle: Name of the preset in messages.
    """
    record = files.parse_json(data, files.METADATA, handle)
    where = f"{files.METADATA} of the preset {str(handle)!r}"
    if {"format", "sha256"} & set(record):
        _check_signature(record, data, where)
    for part in ("config", "weights"):
        entry = record.get(part)
        sha256 = entry.get("sha256") if isinstance(entry, dict) else None
        if (
            not isinstance(sha256, str)
            or len(sha256) != 64
            or set(sha256) - set("0123456789abcdef")
        ):
            raise ValueError(
                f'{where} must hold the SHA-256 of the {part}, {{"{part}": '
                f'{{"sha256": ...}}}}. Received: {part}={entry!r}'
            )
    files.check_sha256(
        hashlib.sha256(config_data).hexdigest(),
        record["config"]["sha256"],
        f"{files.CONFIG} of the preset {str(handle)!r}",
    )
    if record.get("class_names") is not None:
        check_class_names(record["class_names"], num_classes, where)
    return record


def _check_signature(record: dict[str, Any], data: bytes, where: str) -> None:
    """Raise if a record is of a newer format, or if its hash does not fit."""
    if isinstance(record.get("format"), int) and record["format"] > FORMAT:
        raise ValueError(
            f"{where} is of format {record['format']}, but this version of "
            f"keras_facnn reads formats up to {FORMAT}. Get a newer version."
        )
    try:
        expected = signed_bytes(record)
    except (ValueError, RecursionError):
        expected = None
    # The record, written again, must be the same bytes, so that no bit can
    # differ, even where the value would be the same. Git may change the ends of
    # lines.
    if record.get("format") != FORMAT or expected != data.replace(
        b"\r\n", b"\n"
    ):
        raise ValueError(
            f"{where} is damaged or was changed: its sha256 does not fit. Get "
            "the preset again, or save it again by `save_to_preset` with "
            "`metadata`."
        )


def check_class_names(names: Any, num_classes: int, where: str) -> None:
    """Raise if names cannot tell the classes apart.

    Args:
        names: Any value, which should be a list of names.
        num_classes: The number of classes.
        where: Name of the argument or file with the names, for the message.
    """
    problem = None
    if not isinstance(names, list) or not all(
        isinstance(n, str) for n in names
    ):
        problem = "not a list of strings"
    elif len(names) != num_classes:
        problem = f"{len(names)} names"
    elif not all(n.strip() for n in names):
        problem = (
            f"an empty name, of class {[*map(str.strip, names)].index('')}"
        )
    elif len(set(names)) != num_classes:
        twice = next(n for n in names if names.count(n) > 1)
        problem = f"{twice!r} more than once"
    elif not all(_is_text(n) for n in names):
        problem = f"{next(n for n in names if not _is_text(n))!r}, not text"
    if problem:
        shown = repr(names)
        shown = shown if len(shown) <= 500 else f"{shown[:500]}..."
        raise ValueError(
            f"`class_names` in {where} must be {num_classes} strings, unique, "
            f"non-empty and of valid Unicode. Received: {problem}: {shown}"
        )


def check_metadata(metadata: Any, num_classes: int) -> dict[str, Any] | None:
    """Return a copy of a model's metadata that JSON can hold, or raise.

    Args:
        metadata: The user's mapping, or None.
        num_classes: The number of classes that its `class_names` must name.
    """
    if metadata is None:
        return None
    if not isinstance(metadata, dict):
        raise ValueError(
            "`preset_metadata` must be None or a dict that JSON can hold. "
            f"Received: {metadata!r} of type {type(metadata).__name__}"
        )
    metadata = _as_json(metadata, "metadata", _DEEPEST)
    if metadata.get("class_names") is not None:
        check_class_names(
            metadata["class_names"], num_classes, "`preset_metadata`"
        )
    return metadata


def described(
    metadata: Any, previous: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return a copy of a user's metadata that JSON can hold, or raise.

    Args:
        metadata: The user's mapping, or None.
        previous: The record of the preset that the model came from, or None.
            The user may pass its reserved values, which are left out.
    """
    if metadata is None:
        return {}
    if not isinstance(metadata, dict):
        raise ValueError(
            "`metadata` must be a dict that JSON can hold. "
            f"Received: {metadata!r} of type {type(metadata).__name__}"
        )
    converted = _as_json(metadata, "metadata", _DEEPEST)
    reserved = RESERVED & set(converted)
    foreign = sorted(
        k for k in reserved if converted[k] != (previous or {}).get(k)
    )
    if foreign:
        raise ValueError(
            f"`metadata` must leave {', '.join(sorted(RESERVED))} to "
            f"`save_to_preset`, which writes them. Received: {foreign}"
        )
    return {k: v for k, v in converted.items() if k not in RESERVED}


def _as_json(value: Any, path: str, depth: int) -> Any:
    """Return a copy of a value that consists of JSON's types, or raise.

    Args:
        value: Any value.
        path: Name of the value in errors.
        depth: How many levels the value may have.
    """
    if depth == 0:
        raise ValueError(
            f"`metadata` must be a dict that JSON can hold, of at most "
            f"{_DEEPEST} levels. Received: a deeper one (does it hold "
            f"itself?), at {_shortened(path)}"
        )
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str) or not _is_text(key):
                raise ValueError(
                    "`metadata` must be a dict that JSON can hold, with "
                    f"strings as keys. Received: {path}[{key!r}]"
                )
        return {
            str(k): _as_json(v, f"{path}[{k!r}]", depth - 1)
            for k, v in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [
            _as_json(v, f"{path}[{i}]", depth - 1) for i, v in enumerate(value)
        ]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and _is_text(value):
        return str(value)
    if isinstance(value, int) and value.bit_length() <= 64:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    # Python refuses to print an integer of thousands of digits.
    shown = "a large one" if isinstance(value, int) else ascii(value)
    raise ValueError(
        "`metadata` must be a dict that JSON can hold: text, finite numbers, "
        f"booleans, None, lists, dicts. Received: {_shortened(path)} = "
        f"{_shortened(shown)} of type {type(value).__name__}"
    )


def _shortened(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}..."


def _is_text(value: str) -> bool:
    """Whether a string can be written as UTF-8, without lone surrogates."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
