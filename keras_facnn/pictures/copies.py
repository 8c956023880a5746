"""Recognize pictures by the contents of their files."""

import base64
import hashlib
import os
import warnings
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

from keras_facnn._checks.messages import callers_stacklevel
from keras_facnn._checks.text import join_first

# Bytes of SHA-256 that identify a picture. The chance that two of 100,000
# different pictures have the same ones is 1 in 56,000.
_DIGEST_BYTES = 6


def group_copies(
    index: Iterable[int], digests: Sequence[bytes]
) -> dict[bytes | int, list[int]]:
    """Group the pictures at `index` by their contents.

    Returns:
        A dict from a digest to the pictures that have it. A picture that can't
        be read is the only one under its own index.
    """
    copies: dict[bytes | int, list[int]] = {}
    for i in index:
        copies.setdefault(digests[i] or i, []).append(i)
    return copies


def warn_about_copies(
    paths: Sequence[str],
    digests: Sequence[bytes],
    sides: Any,
    where: str,
) -> None:
    """Warn of equal pictures on different sides.

    Args:
        paths: The paths of the pictures.
        digests: Results of `file_digest`, one for each.
        sides: Array `(B,)` with the side of each picture, such as its class.
        where: Where such pictures are, for the message.
    """
    copies = group_copies(range(len(paths)), digests)
    groups = [
        f"({join_first((repr(paths[i]) for i in index), 3)})"
        for index in copies.values()
        if len({sides[i] for i in index}) > 1
    ]
    if groups:
        warnings.warn(
            f"{len(groups)} pictures lie {where}: {join_first(groups)}",
            stacklevel=callers_stacklevel(),
        )


def file_digest(path: str) -> bytes:
    """Return the first bytes of a file's SHA-256; none if it can't be read."""
    # A pipe, for example, might never end.
    if not os.path.isfile(path):
        return b""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()[:_DIGEST_BYTES]
    except OSError:
        return b""


def digest_record(digests: Iterable[bytes]) -> str:
    """Return digests as text, for `recorded_digests`."""
    return base64.b64encode(b"".join(sorted(set(digests)))).decode("ascii")


def recorded_digests(record: Any) -> set[bytes]:
    """Return the digests in an entry of a preset's metadata.

    Args:
        record: The entry, such as `trained_on` of `ImageFolder.metadata`.
    """
    try:
        data = base64.b64decode(record["sha256"], validate=True)
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            "`trained_on` in the metadata of a preset must be what "
            "`ImageFolder.metadata` gives. Received: "
            f"{repr(record)[:200]}"
        ) from None
    return {
        data[i : i + _DIGEST_BYTES] for i in range(0, len(data), _DIGEST_BYTES)
    }


def digests_of_training(record: Any) -> set[bytes]:
    """Return the digests in a preset's metadata, also of earlier trainings."""
    known: set[bytes] = set()
    while isinstance(record, dict):
        own = record.get("trained_on")
        if own is not None:
            known |= recorded_digests(own)
        record = record.get("transferred_from")
    return known
