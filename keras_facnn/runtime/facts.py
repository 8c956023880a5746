"""What a file of `export` says about itself."""

import dataclasses
import hashlib
import json
import pathlib
import typing
from collections.abc import Mapping
from typing import Any

from keras_facnn._checks.numbers import is_integer
from keras_facnn._checks.numbers import is_number
from keras_facnn._checks.text import printable
from keras_facnn.types import Fit


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
    """What `export` writes into a file about its model.

    Attributes:
        class_names: The names of the classes, or None.
        image_shape: `(H, W, channels)`.
        fit: As in `load_images`, for pictures of another aspect ratio.
        layers: The numbers of the layers whose maps are in the file. The last
            is the last layer of the model.
        centered: Whether the maps are centered.
        several_labels: Whether an image may have several labels.
        scale: The mean of a raw map, times this number, is the logit plus
            `offset`.
        offset: None if the file does not say it, which older ones do not.
    """

    class_names: tuple[str, ...] | None
    image_shape: tuple[int, int, int]
    fit: Fit
    layers: tuple[int, ...]
    centered: bool
    several_labels: bool
    scale: float
    offset: float | None


def parse_facts(texts: Mapping[str, str], path: pathlib.Path) -> Facts:
    """Return the facts of a file, or raise if it holds none.

    Args:
        texts: The properties of the file, as `export` wrote them.
        path: The path of the file, for messages.
    """
    if "keras_facnn" not in texts:
        raise ValueError(
            f"{_name(path)} must be a file that `FACNN.export` wrote. It lacks "
            "the facts that `export` writes into it, such as `class_names`"
        )
    values = {key: _parse(text) for key, text in texts.items()}
    facts: dict[str, Any] = {
        "class_names": _as_tuple(values.get("class_names")),
        "image_shape": _as_tuple(values.get("image_shape")),
        "fit": values.get("fit"),
        "layers": _as_tuple(values.get("layers")),
        "centered": _either(values, "maps", "centered", "raw"),
        "several_labels": _either(
            values, "probabilities", "sigmoid", "softmax"
        ),
        "scale": values.get("scale"),
        # Older files lack the offset, which is 0 without a threshold.
        "offset": values.get("offset"),
    }
    if facts["several_labels"] is False:
        facts["offset"] = 0.0
    for key, is_good in _GOOD.items():
        if not is_good(facts[key]):
            raise ValueError(
                f"{_name(path)}: its fact `{key}` cannot be used; export the "
                f"model again. Received: {key}={facts[key]!r:.200}"
            )
    return Facts(**facts)


def check_facts_beside(path: pathlib.Path, sha256: str) -> None:
    """Raise if the JSON beside a file is of another file.

    Args:
        path: The path of the file.
        sha256: The hash of the file.
    """
    beside = path.with_name(path.name + ".json")
    try:
        facts = json.loads(beside.read_bytes())
    except FileNotFoundError:
        return
    except (OSError, ValueError) as e:
        raise ValueError(f"{_name(beside)} cannot be read: {e}") from e
    if not isinstance(facts, dict) or facts.get("sha256") != sha256:
        raise ValueError(
            f"{_name(beside)} is not of {_name(path)}: it names a file of "
            "another SHA-256. One of the two was replaced or is incomplete. "
            "Export the model again, or copy both files again"
        )


def hash_model(path: pathlib.Path) -> str:
    """Return the SHA-256 of a model's file, in hexadecimal digits.

    The weights of an OpenVINO `.xml` are in the `.bin` beside it. The hash is
    that of both, one after the other.

    Args:
        path: The path of the file.

    Raises:
        FileNotFoundError: If one of the files is missing.
    """
    files = [path]
    if path.suffix.lower() == ".xml":
        files.append(path.with_suffix(".bin"))
    digest = hashlib.sha256()
    for part in files:
        if not part.is_file():
            raise FileNotFoundError(f"There is no file {_name(part)}")
        with open(part, "rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()


def _name(path: pathlib.Path) -> str:
    return printable(str(path))


def _parse(text: str) -> Any:
    """Return a fact, which is JSON unless it is text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _either(
    values: Mapping[str, Any], key: str, yes: str, no: str
) -> bool | None:
    """Return whether a fact is one text rather than another; else None."""
    value = values.get(key)
    return value == yes if value in (yes, no) else None


def _are_names(value: Any) -> bool:
    return value is None or (
        isinstance(value, tuple) and all(isinstance(n, str) for n in value)
    )


def _are_integers(value: Any) -> bool:
    return isinstance(value, tuple) and all(map(is_integer, value))


_GOOD = {
    "class_names": _are_names,
    "image_shape": lambda value: (
        _are_integers(value) and len(value) == 3 and min(value) > 0
    ),
    "fit": lambda value: value in typing.get_args(Fit),
    "layers": lambda value: _are_integers(value) and len(value) > 0,
    "centered": lambda value: isinstance(value, bool),
    "several_labels": lambda value: isinstance(value, bool),
    "scale": lambda value: is_number(value) and value > 0,
    "offset": lambda value: value is None or is_number(value),
}
