"""Measure whether maps point into boxes, or into cells of a mosaic."""

import numpy as np

from keras_facnn._checks.arrays import check_boxes
from keras_facnn._checks.arrays import check_maps
from keras_facnn._checks.classes import check_labels
from keras_facnn._checks.images import check_images
from keras_facnn._checks.numbers import check_float
from keras_facnn._checks.numbers import check_int
from keras_facnn._checks.numbers import check_memory
from keras_facnn._checks.numbers import check_seed
from keras_facnn._checks.numbers import check_size
from keras_facnn.maps import are_constant
from keras_facnn.maps import locations_by_value
from keras_facnn.maps import resize_maps
from keras_facnn.metrics._result import Result
from keras_facnn.types import Boxes
from keras_facnn.types import Images
from keras_facnn.types import Labels
from keras_facnn.types import Maps


def pointing_game(
    maps: Maps, boxes: Boxes, size: tuple[int, int], tolerance: float = 0
) -> Result:
    """Return whether a map's largest value lies in a box of its object.

    Source: Zhang et al., "Top-down Neural Attention by Excitation Backprop",
    arXiv 1608.00507, section 4.2 (whose tolerance is 15 pixels).

    Args:
        maps: Array `(B, h, w)`.
        boxes: Array `(B, 4)` of `(left, top, right, bottom)` in pixels of the
            image. Right and bottom are not included. For images with several
            objects, pass a sequence of B arrays `(N, 4)`. Then a point in any
            of the boxes counts.
        size: `(height, width)` of the images, in pixels.
        tolerance: Non-negative number of pixels around the box that count too.

    Returns:
        A `Result` whose values `(B,)` are 1 or 0; their mean is the score. They
        are NaN where a map is constant and points nowhere. Among equal values,
        the first one, row by row, counts as the largest.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> maps = np.eye(4)[None] * np.arange(4)
    >>> boxes = [[2, 2, 4, 4]]
    >>> keras_facnn.metrics.pointing_game(maps, boxes, (4, 4)).mean
    1.0
    """
    tolerance = check_float("tolerance", tolerance, least=0)
    maps, boxes, constant = _check(maps, boxes, size)
    y, x = np.divmod(locations_by_value(maps)[:, 0], maps.shape[2])
    hits = []
    for (left, top, right, bottom), column, row in zip(
        (b.T for b in boxes), x, y, strict=True
    ):
        inside = (
            (column >= left - tolerance)
            & (column < right + tolerance)
            & (row >= top - tolerance)
            & (row < bottom + tolerance)
        )
        hits.append(inside.any())
    return Result(
        values=np.where(constant, np.nan, hits),
        metric="pointing_game",
        higher_is_better=True,
        definition="1 if a map's largest value lies in a box of its object",
        source="Zhang et al. 2016, arXiv 1608.00507, section 4.2",
        settings={"tolerance": tolerance},
    )


def energy_pointing_game(
    maps: Maps, boxes: Boxes, size: tuple[int, int]
) -> Result:
    """Return the share of a map's positive values that lies in the boxes.

    Source: Wang et al., "Score-CAM", arXiv 1910.01279, section 4.3.

    Args:
        maps: Array `(B, h, w)`. Negative values count as 0.
        boxes: As in `pointing_game`. They are rounded to whole pixels, and
            halves are rounded up. If an image has several boxes, the locations
            in any of them count.
        size: `(height, width)` of the images, in pixels.

    Returns:
        A `Result` whose values `(B,)` are in 0..1. They are NaN where a map is
        constant, or where no value is positive.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> maps = np.eye(4)[None]
    >>> boxes = [[0, 0, 2, 4]]
    >>> keras_facnn.metrics.energy_pointing_game(maps, boxes, (4, 4)).mean
    0.5
    """
    maps, boxes, constant = _check(maps, boxes, size)
    inside = _inside(maps, boxes)
    return Result(
        values=np.where(constant, np.nan, _share(maps, inside)),
        metric="energy_pointing_game",
        higher_is_better=True,
        definition="the share of a map's positive values that is in the boxes",
        source="Wang et al. 2020, arXiv 1910.01279, section 4.3",
    )


def relevance_rank_accuracy(
    maps: Maps, boxes: Boxes, size: tuple[int, int]
) -> Result:
    """Return the share of a map's largest values that lies in the boxes.

    As many locations count as there are pixels in the boxes. The mass accuracy
    of the same source is `energy_pointing_game`.

    Source: Arras et al., "CLEVR-XAI", arXiv 2003.07258, section 3.2.

    Args:
        maps: Array `(B, h, w)`.
        boxes: As in `energy_pointing_game`.
        size: `(height, width)` of the images, in pixels.

    Returns:
        A `Result` whose values `(B,)` are in 0..1. They are NaN where a map is
        constant. Among equal values, earlier locations count first.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> maps = np.arange(16.0).reshape(1, 4, 4)
    >>> keras_facnn.metrics.relevance_rank_accuracy(
    ...     maps, [[0, 2, 4, 4]], (4, 4)
    ... ).mean
    1.0
    """
    maps, boxes, constant = _check(maps, boxes, size)
    inside = _inside(maps, boxes).reshape(len(maps), -1)
    counts = inside.sum(axis=1)
    ranked = np.take_along_axis(inside, locations_by_value(maps), axis=1)
    first = np.arange(inside.shape[1]) < counts[:, None]
    return Result(
        values=np.where(constant, np.nan, (ranked & first).sum(1) / counts),
        metric="relevance_rank_accuracy",
        higher_is_better=True,
        definition="the share of a map's largest values that is in the boxes",
        source="Arras et al. 2022, arXiv 2003.07258, section 3.2",
    )


def make_grids(
    images: Images, labels: Labels, count: int, cells: int = 2, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Make mosaics of images of different classes, for `grid_pointing_game`.

    Args:
        images: Array `(B, H, W, channels)`. The metric's authors use images
            about which the model is most confident.
        labels: B non-negative integers.
        count: Positive integer, how many mosaics to make.
        cells: Positive integer, images per side.
        seed: Non-negative integer.

    Returns:
        Mosaics `(count, cells * H, cells * W, channels)`, and the classes in
        their cells, int `(count, cells ** 2)`, row by row.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> images = np.zeros((6, 8, 8, 3))
    >>> mosaics, classes = keras_facnn.metrics.make_grids(
    ...     images, [0, 1, 2, 3, 4, 5], count=2
    ... )
    >>> mosaics.shape, classes.shape
    ((2, 16, 16, 3), (2, 4))
    """
    images = check_images(images)
    labels = check_labels(labels, len(images), None)
    count = check_int("count", count)
    cells = check_int("cells", cells)
    _, height, width, channels = images.shape
    shape = (count, cells * height, cells * width, channels)
    check_memory("`count`, `cells` and `images`", *shape)
    names = np.unique(labels)
    if len(names) < cells**2:
        raise ValueError(
            f"`labels` must have at least cells ** 2 = {cells**2} classes. "
            f"Received: {len(names)}"
        )
    rng = np.random.default_rng(check_seed(seed))
    classes = np.stack(
        [rng.choice(names, cells**2, replace=False) for _ in range(count)]
    )
    mosaics = np.empty(shape, images.dtype)
    for mosaic, row in zip(mosaics, classes, strict=True):
        for k, c in enumerate(row):
            image = images[rng.choice(np.flatnonzero(labels == c))]
            top, left = (k // cells) * height, (k % cells) * width
            mosaic[top : top + height, left : left + width] = image
    return mosaics, classes


def grid_pointing_game(maps: Maps, cells: int = 2) -> Result:
    """Return the share of positive attribution that lies in a class' own cell.

    A random or constant map scores `1 / cells ** 2`.

    Source: Böhle et al., "Convolutional Dynamic Alignment Networks" and
    "B-cos Networks", arXiv 2205.10268, section 4 (localization metric).

    Args:
        maps: Array `(B, cells ** 2, h, w)`: for each mosaic, the maps of the
            classes in its cells, row by row. `h` and `w` must be multiples of
            `cells`; if they are not, use `resize_maps`.
        cells: Positive integer, images per side.

    Returns:
        A `Result` whose values `(B, cells ** 2)` are in 0..1; NaN where no
        value is positive. The value of a mosaic is the mean of its cells.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> maps = np.ones((1, 4, 2, 2))
    >>> keras_facnn.metrics.grid_pointing_game(maps).mean
    0.25
    """
    cells = check_int("cells", cells)
    maps = check_maps(maps, ndim=(4,))
    if (
        maps.shape[1] != cells**2
        or maps.shape[2] % cells
        or maps.shape[3] % cells
    ):
        raise ValueError(
            f"`maps` must have shape (B, {cells**2}, h, w), with h and w "
            f"multiples of cells={cells}. Received: {maps.shape}"
        )
    height, width = (n // cells for n in maps.shape[2:])
    inside = np.zeros(maps.shape, bool)
    for k in range(cells**2):
        top, left = (k // cells) * height, (k % cells) * width
        inside[:, k, top : top + height, left : left + width] = True
    flat = (-1, *maps.shape[2:])
    shares = _share(maps.reshape(flat), inside.reshape(flat))
    return Result(
        values=shares.reshape(maps.shape[:2]),
        metric="grid_pointing_game",
        higher_is_better=True,
        definition="the share of positive values in the class' own cell",
        source="Böhle et al. 2022, arXiv 2205.10268, section 4",
        settings={"cells": cells},
    )


def _inside(maps: np.ndarray, boxes: list[np.ndarray]) -> np.ndarray:
    """Return which locations of maps `(B, H, W)` lie in boxes, as bools."""
    inside = np.zeros(maps.shape, bool)
    for one, several in zip(inside, boxes, strict=True):
        # Halves are not rounded to even numbers, because the same box at
        # another location would get another size.
        whole = np.clip(np.floor(several + 0.5), 0, max(one.shape)).astype(int)
        if (whole[:, 2:] - whole[:, :2] < 1).any():
            raise ValueError(
                "`boxes` must hold at least one whole pixel, after rounding. "
                f"Received: boxes={several.tolist()}"
            )
        for left, top, right, bottom in whole:
            one[top:bottom, left:right] = True
    return inside


def _share(maps: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return the share of the maps' positive values that is inside."""
    positive = np.maximum(maps, 0)
    total = positive.sum(axis=(1, 2))
    part = np.where(inside, positive, 0).sum(axis=(1, 2))
    return np.divide(
        part, total, out=np.full(len(maps), np.nan), where=total > 0
    )


def _check(
    maps: Maps, boxes: Boxes, size: tuple[int, int]
) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Return maps of `size`, boxes, and which maps are constant."""
    array = check_maps(maps)
    constant = are_constant(array)[:, 0, 0]
    size = check_size("size", size)
    boxes = check_boxes(boxes, len(array), size)
    if array.shape[1:] != size:
        array = resize_maps(array, size).astype("float64")
    return array, boxes, constant
