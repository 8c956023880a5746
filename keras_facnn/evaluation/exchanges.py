"""Measure what a place of photos of one class is worth to a classifier."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_facnn._backend.forward import compiled_scores_function
from keras_facnn._backend.forward import progress_bar
from keras_facnn.evaluation.outputs import outputs_of_batch
from keras_facnn.evaluation.photos import Photos
from keras_facnn.evaluation.shares import percent
from keras_facnn.evaluation.shares import span
from keras_facnn.evaluation.statistics import wilson_interval
from keras_facnn.pictures.read_ahead import read_ahead
from keras_facnn.training.exchange import can_exchange
from keras_facnn.training.exchange import exchanged

# Photos of other classes that get a place put into them, for each class. So
# many make an interval of 10 points or less.
_MOST_OTHERS = 400
# Classes that get sentences.
_MOST_CLASSES = 5


def exchange_rows(
    model: Any,
    photos: Photos,
    predicted: np.ndarray,
    inside: bool,
    batch_size: int,
    verbose: int,
) -> list[dict[str, Any]]:
    """Return how good a classifier is if photos exchange what must not count.

    Args:
        model: A classifier.
        photos: Photos with masks, of which all can be read.
        predicted: Integers `(N,)`, the answers for the photos as they are.
        inside: Whether the evidence must lie inside the masks.
        batch_size: Positive integer, images per forward pass.
        verbose: 1 shows a progress bar, 0 does not.

    Returns:
        See `Evaluation.exchanges`.
    """
    assert photos.masks is not None
    shown = {
        i: photos.shown_mask(i)
        for i, mask in enumerate(photos.masks)
        if mask is not None
    }
    banned = {i: 1 - mask if inside else mask for i, mask in shown.items()}
    wrong = {i: mask for i, mask in banned.items() if can_exchange(mask)}
    labels = photos.labels
    # What is measured, and the copies: the photo, the photo that is seen in
    # the place, and the photo whose place it is.
    parts: list[tuple[int, bool, str | None, np.ndarray]] = []
    for c in np.unique(labels[list(wrong)]).tolist():
        rng = np.random.default_rng(0)
        own = np.array([i for i in wrong if labels[i] == c])
        others = np.flatnonzero(labels != c)
        if not len(others):
            continue
        donors = rng.permutation(others)
        parts.append((c, True, None, own))
        parts.append((c, True, "others", _trios(own, donors, own)))
        if inside:
            # Nothing is known about the regions of the others.
            continue
        chosen = rng.permutation(others)[:_MOST_OTHERS]
        parts.append((c, False, None, chosen))
        places = np.resize(rng.permutation(own), len(chosen))
        parts.append((c, False, "class", _trios(chosen, places, places)))
        if len(others) > 1:
            # Any place of another photo disturbs.
            others = np.roll(chosen, 1) if len(chosen) > 1 else donors
            parts.append((c, False, "others", _trios(chosen, others, places)))
    copies = np.concatenate(
        [np.empty((0, 3), int), *(p[3] for p in parts if p[3].ndim == 2)]
    )
    said = iter(_answers(model, photos, wrong, copies, batch_size, verbose))
    rows = []
    for c, is_own, place_of, those in parts:
        if those.ndim == 1:
            images, answers = those, predicted[those]
        else:
            images = those[:, 0]
            answers = np.array([next(said) for _ in images])
        right, count = int((answers == labels[images]).sum()), len(images)
        low, high = wilson_interval(right, count)
        rows.append(
            {
                "class": photos.class_names[c],
                "photos_of": "class" if is_own else "others",
                "place_of": place_of,
                "images": count,
                "right": right,
                "accuracy": right / count,
                "low": low,
                "high": high,
                "said": int((answers == c).sum()),
            }
        )
    return rows


def _trios(
    images: np.ndarray, others: np.ndarray, places: np.ndarray
) -> np.ndarray:
    """Return integers `(N, 3)`, one row per image; the others may be fewer."""
    count = len(images)
    return np.stack(
        [images, np.resize(others, count), np.resize(places, count)], axis=1
    )


def _answers(
    model: Any,
    photos: Photos,
    wrong: dict[int, np.ndarray],
    copies: np.ndarray,
    batch_size: int,
    verbose: int,
) -> list[int]:
    """Return the likeliest class of each copy `(N, 3)`."""
    function = compiled_scores_function(model)
    bar = progress_bar(len(copies), verbose, "photo")
    answers: list[int] = []

    def read(trio: list[int]) -> np.ndarray:
        image, other, place = trio
        return exchanged(photos.read, image, other, wrong[place])

    for some in read_ahead(copies.tolist(), read, batch_size):
        for _, image in some:
            if isinstance(image, Exception):
                raise image
        if some:
            images = np.stack([image for _, image in some])
            outputs = outputs_of_batch(function, images, batch_size)
            answers += outputs.argmax(axis=-1).tolist()
        bar.add(len(some))
    return answers


def exchange_sentences(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the rows of `exchange_rows` in words.

    The classes that lose most come first.
    """
    names = list(dict.fromkeys(row["class"] for row in rows))
    found = []
    for name in names:
        own = {
            (row["photos_of"], row["place_of"]): row
            for row in rows
            if row["class"] == name
        }
        loss = sum(
            own[of, None]["accuracy"] - own[of, place]["accuracy"]
            for of, place in (("others", "class"), ("class", "others"))
            if (of, place) in own
        )
        found.append((-loss, _sentences(name, own)))
    found.sort(key=lambda one: one[0])
    sentences = [s for _, some in found[:_MOST_CLASSES] for s in some]
    if len(found) > _MOST_CLASSES:
        sentences.append(
            f"{len(found) - _MOST_CLASSES} other classes lose less."
        )
    return sentences


def _sentences(
    name: str, rows: dict[tuple[str, str | None], dict[str, Any]]
) -> list[str]:
    """Return the sentences about one class."""
    sentences = []
    if ("others", "class") in rows:
        before, after = rows["others", None], rows["others", "class"]
        text = (
            f"Of {before['images']:,} photos of other classes, "
            f"{_share(before)} are right, and {before['said']:,} are called "
            f"{name}. With the place of a photo of {name} put into them, "
            f"{_share(after)} are right, and {after['said']:,} are called "
            f"{name}."
        )
        control = rows.get(("others", "others"))
        if control is not None:
            text += (
                " With the same place of a photo of another class, "
                f"{_share(control)} are right, and {control['said']:,} are "
                f"called {name}."
            )
        sentences.append(text)
    before, after = rows["class", None], rows["class", "others"]
    sentences.append(
        f"Of {before['images']:,} photos of {name}, {_share(before)} are "
        "right. With the place of photos of other classes put into them, "
        f"{_share(after)} are."
    )
    if after["low"] > before["high"]:
        sentences.append(
            f"So the place of photos of {name} now speaks against {name}: the "
            "model was mended too much. Train with a lower region weight, such "
            "as 0.5."
        )
    return sentences


def _share(row: dict[str, Any]) -> str:
    return f"{percent(row['accuracy'])} ({span(row['low'], row['high'])})"
