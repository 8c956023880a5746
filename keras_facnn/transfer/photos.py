"""List the photographs to train on, and split them."""

import dataclasses
import os
import pathlib
import warnings
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_facnn._checks.messages import callers_stacklevel
from keras_facnn._checks.text import join_first
from keras_facnn.pictures.copies import recorded_digests
from keras_facnn.pictures.copies import warn_about_copies
from keras_facnn.pictures.image_folder import ImageFolder
from keras_facnn.pictures.image_folder import load_folder


def check_apart(
    target: pathlib.Path,
    work: pathlib.Path,
    folder: str | os.PathLike[str],
) -> None:
    """Raise if a preset, or its features, would be written among photos."""
    root = pathlib.Path(os.path.realpath(folder))
    if target == root or root in target.parents:
        raise ValueError(
            "`output` must not be within `folder`, where it would be a class. "
            f"Received: output={str(target)!r}"
        )
    work = pathlib.Path(os.path.realpath(work))
    if work == root or root in work.parents or work in root.parents:
        raise ValueError(
            "`output` + '.training', which holds the features until the end, "
            "must be apart from `folder`. Choose another `output`. "
            f"Received: output={str(target)!r}, folder={str(root)!r}"
        )


def list_photos(folder: str | os.PathLike[str]) -> ImageFolder:
    """List the photos of a folder that has a folder for each class."""
    photos = load_folder(folder, read=False)
    if len(photos.names) < 2:
        raise ValueError(
            "`folder` must hold a folder for each of two classes or more. "
            f"Received: only {photos.names[0]!r}"
        )
    _check_counts(photos)
    return photos


def split_photos(
    photos: ImageFolder,
    digests: Sequence[bytes],
    unreadable: Mapping[int, str],
    share: float,
    seed: int,
) -> tuple[ImageFolder, ImageFolder]:
    """Split the photos that can be read, each class by the same share.

    Args:
        photos: Result of `list_photos`.
        digests: The `file_digest` of each photo; of unreadable ones, any bytes.
        unreadable: Dict from the index of each photo that cannot be read to the
            reason.
        share: The share to hold out, above 0 and below 1.
        seed: Seed of the split.

    Returns:
        The photos to train on, and those that are held out.
    """
    if unreadable:
        warnings.warn(
            f"Left out {len(unreadable)} of {len(photos.paths)} photos: "
            f"{join_first(unreadable.values(), 20)}",
            stacklevel=callers_stacklevel(),
        )
    readable = [i for i in range(len(photos.paths)) if i not in unreadable]
    kept = dataclasses.replace(photos, digests=list(digests)).select(readable)
    _check_counts(kept)
    warn_about_copies(
        kept.paths, kept.digests or [], kept.labels, "in several classes"
    )
    return kept.split(share, seed)


def recorded_split(
    photos: ImageFolder, metadata: Mapping[str, Any]
) -> tuple[ImageFolder, ImageFolder]:
    """Return the photos on both sides of the split of an earlier call.

    A warning counts the photos that are on neither side.

    Args:
        photos: Photos with their digests.
        metadata: The metadata of the preset.

    Returns:
        The photos to train on, and those that are held out.
    """
    sides = []
    for entry in ("trained_on", "validated_on"):
        known = recorded_digests(metadata[entry])
        sides.append(np.array([d in known for d in photos.digests or []]))
    for side in sides:
        _check_present(photos.select(side))
    new = int((~sides[0] & ~sides[1]).sum())
    if new:
        warnings.warn(
            f"Left out {new:,} of {len(photos.paths):,} photos of `folder`, "
            "because they were not there, or could not be read, when `output` "
            "was trained first. To train on them, too, choose another `output`",
            stacklevel=callers_stacklevel(),
        )
    return photos.select(sides[0]), photos.select(sides[1])


def _check_present(side: ImageFolder) -> None:
    """Raise if a class has no photo on a side of an earlier split."""
    counts = np.bincount(side.labels, minlength=len(side.names))
    gone = [side.names[i] for i in np.flatnonzero(counts == 0)]
    if gone:
        raise ValueError(
            "`folder` must hold photos of each class that `output` was trained "
            "on, and photos that were held out, to go on with it. Put them "
            "back, or choose another `output`. Received: other photos of "
            f"{join_first(map(repr, gone))}"
        )


def check_unseen(held_out: ImageFolder, base: Any) -> None:
    """Raise if the preset of the backbone was trained on photos held out."""
    seen = held_out.seen_by(base)
    if seen is not None and seen.any():
        raise ValueError(
            "`base` was trained on some of these photos, so that those held "
            "out would say nothing about new ones. Choose another `base`. "
            f"Received: {seen.sum()} of {len(seen)} photos held out, such as "
            f"{held_out.paths[int(seen.argmax())]!r}"
        )


def class_weights(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Return weights by which rare classes count more, of mean 1 per photo.

    A class of a fourth of the photos has twice the weight. With the full
    inverse of its count, few photos would decide about much.
    """
    counts = np.bincount(labels, minlength=num_classes)
    weights = 1 / np.sqrt(counts)
    return weights * len(labels) / (weights @ counts)


def _check_counts(photos: ImageFolder) -> None:
    """Raise if a class has no two photos."""
    counts = np.bincount(photos.labels, minlength=len(photos.names))
    few = [
        f"{name!r} with {count}"
        for name, count in zip(photos.names, counts, strict=True)
        if count < 2
    ]
    if few:
        raise ValueError(
            "Each class of `folder` needs at least 2 photos that can be read, "
            "one to train on and one to judge by. Add photos, or move the "
            f"folder of the class away. Received: {join_first(few)}"
        )
