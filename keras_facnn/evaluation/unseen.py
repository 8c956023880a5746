"""Leave out photos that a model was trained on."""

import warnings
from typing import Any

import numpy as np

from keras_facnn._checks.messages import callers_stacklevel
from keras_facnn.evaluation.photos import Photos
from keras_facnn.pictures.copies import recorded_digests
from keras_facnn.pictures.image_folder import ImageFolder
from keras_facnn.pictures.image_folder import with_digests


def leave_out_trained(
    model: Any, photos: Photos, folder: ImageFolder | None, include: bool
) -> tuple[Photos, list[str]]:
    """Return the photos that a model may be judged by.

    Args:
        model: A classifier.
        photos: The photos.
        folder: The same photos as an `ImageFolder`, or None.
        include: Whether photos that the model was trained on stay.

    Returns:
        The photos, and sentences about them.
    """
    record = getattr(model, "preset_metadata", None) or {}
    if folder is not None and "trained_on" in record:
        folder = with_digests(folder)
    seen = None if folder is None else folder.seen_by(model)
    if folder is None or seen is None:
        return photos, [
            "The model has no record of the photos that it was trained on, so "
            "some of these may be among them. The numbers hold for new photos "
            "only if none is."
        ]
    known, count = int(seen.sum()), len(photos)
    if not known:
        return photos, [
            "The model was trained on none of these photos.",
            *_validated(record, folder),
        ]
    if include:
        return photos, [
            f"The model was trained on {known:,} of these {count:,} photos, so "
            "the numbers are too good for new photos."
        ]
    if known == count:
        raise ValueError(
            f"The model was trained on all {count:,} photos of `photos`, which "
            "say nothing about new photos. Give photos that it has not seen, "
            "or pass include_training_photos=True"
        )
    rest = np.flatnonzero(~seen)
    note = (
        f"{known:,} of {count:,} photos were left out, because the model was "
        "trained on them."
    )
    gone = set(photos.labels.tolist()) - set(photos.labels[rest].tolist())
    if gone:
        names = ", ".join(repr(photos.class_names[c]) for c in sorted(gone))
        note += f" No photo is left of {names}."
    warnings.warn(note, stacklevel=callers_stacklevel())
    notes = [note, *_validated(record, folder.select(rest))]
    return photos.select(rest), notes


def _validated(record: dict[str, Any], folder: ImageFolder) -> list[str]:
    """Return a sentence on photos that a training was judged by, if any."""
    if "validated_on" not in record:
        return []
    known = recorded_digests(record["validated_on"])
    count = sum(digest in known for digest in folder.digests or [])
    if not count:
        return []
    return [
        f"{count:,} of these {len(folder.paths):,} photos were held out from "
        "the training. They chose the penalty of the fit, or the best round of "
        "a thorough training, so the numbers may be slightly too good for new "
        "photos."
    ]
