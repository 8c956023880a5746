"""Exchange what must not count between images of different classes."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_facnn._checks.arguments import check_bool
from keras_facnn._checks.classes import check_labels
from keras_facnn._checks.images import check_images
from keras_facnn._checks.numbers import check_float
from keras_facnn._checks.numbers import check_seed
from keras_facnn.regions import area_weights
from keras_facnn.regions import check_masks
from keras_facnn.training.cropping import clear_square
from keras_facnn.training.cropping import cropped

# Copies of all images with a region, at most, and of each.
_COPIES_IN_ALL = 1200
_MOST_COPIES = 4
# If more of an image than this must not count, hardly anything is left of it.
_MOST_WRONG = 0.95
# The most weight of all copies of other classes, as a share of their images.
_MOST_GIVEN = 0.25
# Stands for another image if a copy leaves out the place, by a crop.
_CROP = -1


@dataclasses.dataclass(frozen=True)
class Exchanges:
    """Copies of images, in which a place shows something else.

    Args:
        images: Integers `(N,)`, the image that each copy is made of.
        others: Integers `(N,)`, the image that is seen in the place. If it is
            the same, the place is covered, and if it is -1, a crop leaves it
            out.
        regions: Integers `(N,)`, the image whose region says where.
        weights: Float array `(N,)`, the weights of the copies.
    """

    images: np.ndarray
    others: np.ndarray
    regions: np.ndarray
    weights: np.ndarray


def can_exchange(wrong: np.ndarray) -> bool:
    """Return whether a place is somewhere, and leaves something of an image.

    Args:
        wrong: Array `(h, w)` of 0..1, which share of each cell must not count.
    """
    return bool(0 < wrong.mean() <= _MOST_WRONG)


def choose_exchanges(
    labels: np.ndarray,
    known: np.ndarray,
    clear: np.ndarray,
    inside: bool,
    weight: float,
    seed: int,
) -> tuple[Exchanges, np.ndarray]:
    """Choose which images exchange a place.

    Args:
        labels: Integers `(B,)`, the classes of the images.
        known: Integers, the images with a region.
        clear: Integers, those of them that a crop can show.
        inside: Whether evidence must lie inside the regions.
        weight: The weight of the copies, as in `exchange_regions`.
        seed: Seed of the choice.

    Returns:
        The exchanges, and the weights `(B,)` of the images as they are.
    """
    rng = np.random.default_rng(seed)
    count = min(max(_COPIES_IN_ALL // len(known), 1), _MOST_COPIES)
    one = np.repeat(known, count)
    other, given = one.copy(), np.ones(len(one))
    for label in np.unique(labels[known]):
        mine = labels[one] == label
        others = np.flatnonzero(labels != label)
        # Each takes part once, before one does so again.
        turns = -(-mine.sum() // len(others))
        order = [rng.permutation(others) for _ in range(turns)]
        other[mine] = np.concatenate(order)[: mine.sum()]
        # The other classes must not outweigh this one.
        given[mine] = min(_MOST_GIVEN * len(others) / mine.sum(), 1)
    kept = np.ones(len(labels))
    kept[known] = max(1 - weight, 0)
    # A crop takes the turn of the last exchange, or else that of the cover.
    counts = count - np.isin(one, clear) * (count > 1)
    shown = np.tile(np.arange(count), len(known)) < counts
    covered = known if count > 1 else np.setdiff1d(known, clear)
    # The image itself stands for a cover.
    alone = np.concatenate([covered, clear])
    ways = np.concatenate([covered, np.full(len(clear), _CROP)])
    halves = np.bincount(alone)[alone]
    copies = [
        (one[shown], other[shown], one[shown], weight / counts[shown]),
        (alone, ways, alone, weight / halves),
    ]
    if not inside:
        # Of regions of objects, nothing is known about those of the others.
        copies.append((other, one, one, weight * given))
    return Exchanges(*map(np.concatenate, zip(*copies, strict=True))), kept


def exchanged(
    read: Callable[[int], np.ndarray],
    number: int,
    other: int,
    wrong: np.ndarray,
) -> np.ndarray:
    """Return a copy of an image in which a place shows something else.

    Args:
        read: Function that returns an image `(H, W, channels)` by its number.
        number: The number of the image.
        other: That of the image that is seen in the place, as in `Exchanges`.
        wrong: Array `(h, w)` of 0..1, which share of each cell of any grid is
            in the place.

    Returns:
        An array of the dtype of the image.
    """
    image = read(number)
    if other == _CROP:
        return cropped(image, wrong)
    rows = area_weights(wrong.shape[0], image.shape[0])
    columns = area_weights(wrong.shape[1], image.shape[1])
    share = (rows @ wrong @ columns.T)[..., None]
    shown = image.mean(axis=(0, 1)) if other == number else read(other)
    mixed = image * (1 - share) + shown * share
    if image.dtype.kind in "iu":
        mixed = np.round(mixed)
    return mixed.astype(image.dtype)


def exchange_regions(
    images: Any,
    labels: Any,
    regions: Any,
    *,
    inside: bool = True,
    weight: float = 1.0,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Add copies of images that show something else where nothing must count.

    A class may have a cue that does not belong to it, such as a price tag.
    With `inside=False` and regions that show its place, four kinds of copies
    are added: images of the class, in which the place shows what an image of
    another class has there; the same, in which it is covered by the image's
    mean color; the largest square of them without the place, enlarged; and
    images of other classes, in which the place shows the cue. So the cue says
    nothing about the class any more, and neither do the edges of the place.
    Train on all of them, with the weights, by any method.

    With `inside=True`, evidence must lie inside the regions. Then the first two
    kinds show something else in all that is outside, the third one shows the
    largest square inside, and there is no fourth.

    Each image with a region is covered once, and cropped once if a square of a
    quarter of its sides or more is left. With up to 300 such images, each has
    three copies of the first kind, four if it can't be cropped, and four of the
    last kind. With more, it has fewer, and with more than 600, it is cropped or
    covered, and has one of each other kind.

    Args:
        images: Array `(B, H, W, channels)`.
        labels: Integers `(B,)` of two classes or more.
        regions: Masks `(B, h, w)` of 0..1 and of any resolution, NaN for images
            without a region, such as the result of `Audit.regions`,
            `load_regions` or `boxes_to_masks`. An image of which all, or
            nothing, must count has no copies, nor has one of which hardly
            anything would be left.
        inside: Whether evidence must lie inside the regions, or outside.
        weight: Non-negative float, the weight of all copies of the first kind
            of an image together, of its cover and its crop together, and of
            each copy of the last kind. These weigh less if they are many, a
            quarter of the other classes in all.
            An image with a region has the weight `1 - weight` as it is, and 0
            at least.
        seed: Non-negative integer, of the choice of the other images.

    Returns:
        Images, labels, and weights `(N,)`: those that were passed, in their
        order, and then the copies.

    Raises:
        ValueError: If no image has a region, or all are of one class.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> images = np.full((4, 8, 8, 3), 100, "uint8")
    >>> images[:2, :2, :2] = 255  # A white tag on all images of class 0.
    >>> labels = np.array([0, 0, 1, 1])
    >>> tags = np.full((4, 8, 8), np.nan)
    >>> tags[:2] = 0
    >>> tags[:2, :2, :2] = 1
    >>> images, labels, weights = keras_facnn.exchange_regions(
    ...     images, labels, tags, inside=False
    ... )
    >>> has_tag = images[:, 0, 0, 0] == 255
    >>> [float(weights[has_tag & (labels == c)].sum()) for c in (0, 1)]
    [0.0, 0.5]
    """
    images = check_images(images)
    labels = check_labels(labels, len(images), None)
    regions = check_masks("regions", regions, len(images))
    inside = check_bool("inside", inside)
    wrong = 1 - regions if inside else regions
    # The mean of NaN is in no range.
    known = np.flatnonzero([can_exchange(one) for one in wrong])
    if not len(known) or len(np.unique(labels)) < 2:
        raise ValueError(
            "`regions` must be those of an image or more, in which they leave "
            f"at least {1 - _MOST_WRONG:.0%} and not all, and `labels` must be "
            f"of two classes or more. Received: {len(known)} images with such "
            f"a region, and {len(np.unique(labels))} classes"
        )
    clear = [i for i in known if clear_square(wrong[i]) is not None]
    chosen, kept = choose_exchanges(
        labels,
        known,
        np.array(clear, int),
        inside,
        check_float("weight", weight, least=0),
        check_seed(seed),
    )
    copies = [
        exchanged(images.__getitem__, i, j, wrong[k])
        for i, j, k in zip(
            chosen.images, chosen.others, chosen.regions, strict=True
        )
    ]
    return (
        np.concatenate([images, np.stack(copies)]),
        np.concatenate([labels, labels[chosen.images]]),
        np.concatenate([kept, chosen.weights]).astype("float32"),
    )
