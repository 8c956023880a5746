"""Leave out photos that a model was trained on."""

import warnings
from typing import Any

import numpy as np

from keras_facnn._checks.messages import callers_stacklevel
from keras_facnn.evaluation.photos import Photos
from keras_facnn.pictures.image_folder import ImageFolder


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
    seen = None if folder is None else folder.seen_by(model)
    if seen is None:
        return photos, [
            "The model has no record of the photos that it was trained on, so "
            "some of these may be among them. The numbers hold for new photos "
            "only if none is."
        ]
    known, count = int(seen.sum()), len(photos)
    if not known:
        return photos, ["The model was trained on none of these photos."]
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
    return photos.select(rest), [note]
