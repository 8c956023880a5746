"""Measure how well boxes around the bright parts of maps fit an object."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy

from keras_facnn._checks.arrays import check_boxes
from keras_facnn._checks.arrays import check_maps
from keras_facnn._checks.numbers import check_float
from keras_facnn._checks.numbers import check_size
from keras_facnn.maps import are_constant
from keras_facnn.maps import resize_maps
from keras_facnn.metrics._result import Result
from keras_facnn.metrics._result import mean_without_nan
from keras_facnn.types import Boxes
from keras_facnn.types import Maps

# A map is scaled to 0..LEVELS and rounded down, as wsolevaluation does, so
# these are all thresholds that give different boxes.
LEVELS = 255
# Pixels that touch at a corner are connected.
NEIGHBORS = np.ones((3, 3))


@dataclasses.dataclass(eq=False, kw_only=True)
class MaxBoxAccuracy(Result):
    """How often a box of a map fits a box of the object.

    The `values`, `(B, len(ious))`, are 1 or 0: whether an image has a box that
    fits, at the best threshold. They are NaN where a map is constant. The
    `mean` over images and `ious` is MaxBoxAccV2. The `interval` does not know
    that the thresholds were chosen on the same images.

    Attributes:
        ious: The least intersection over union of a box that fits.
        thresholds: The best threshold for each of `ious`, as a share of the
            range of a map.

    Example:

    >>> from keras_facnn.metrics import MaxBoxAccuracy
    >>> MaxBoxAccuracy(
    ...     values=[[1.0], [0.0]],
    ...     metric="max_box_accuracy",
    ...     ious=[0.5],
    ...     thresholds=[0.2],
    ... ).mean
    0.5
    """

    ious: list[float]
    thresholds: list[float]

    @property
    def accuracies(self) -> list[float]:
        """For each of `ious`, the share of images with a box that fits."""
        return mean_without_nan(self.values, axis=0).tolist()


def max_box_accuracy(
    maps: Maps,
    boxes: Boxes,
    size: tuple[int, int],
    ious: Sequence[float] = (0.3, 0.5, 0.7),
) -> MaxBoxAccuracy:
    """Return how often a box around a bright part of a map fits the object.

    Each threshold cuts each map into bright parts, and each part has a box. An
    image counts as right if any of them fits any box of the object. The
    threshold is the same for all images, and the best one counts. With the
    default `ious`, the mean is MaxBoxAccV2.

    Source: Choe et al., "Evaluating Weakly Supervised Object Localization
    Methods Right", arXiv 2001.07437, and its extension, arXiv 2007.04178; the
    code is wsolevaluation's `BoxEvaluator` with `multi_contour_eval`.

    Args:
        maps: Array `(B, h, w)`, the maps of the labels, of any range. They are
            resized to `size` one at a time.
        boxes: As in `pointing_game`.
        size: `(height, width)` of the images, in pixels.
        ious: The least intersection over union of a box that fits, each in
            0..1.

    Returns:
        A `MaxBoxAccuracy`. Images whose map is constant are left out.

    Raises:
        ValueError: If all maps are constant, or an argument is wrong.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> maps = np.zeros((1, 8, 8))
    >>> maps[0, :4, :4] = 1
    >>> result = keras_facnn.metrics.max_box_accuracy(
    ...     maps, [[0, 0, 5, 5]], (8, 8)
    ... )
    >>> result.mean
    1.0
    """
    array = check_maps(maps)
    size = check_size("size", size)
    of_images = check_boxes(boxes, len(array), size)
    least = [check_float("ious", iou, least=0, most=1) for iou in ious]
    if not least:
        raise ValueError(
            f"`ious` must have at least one number. Received: ious={ious}"
        )
    constant = are_constant(array)[:, 0, 0]
    if constant.all():
        raise ValueError("`maps` must not all be constant.")
    # The best intersection over union at each threshold.
    best = np.stack(
        [
            _best_ious(one, some, size)
            for one, some in zip(
                array[~constant],
                [b for b, c in zip(of_images, constant, strict=True) if not c],
                strict=True,
            )
        ]
    )
    hits = best >= np.array(least)[:, None, None]
    levels = hits.mean(axis=1).argmax(axis=1)
    values = np.full((len(array), len(least)), np.nan)
    for one, of_level, level in zip(values.T, hits, levels, strict=True):
        one[~constant] = of_level[:, level]
    return MaxBoxAccuracy(
        values=values,
        metric="max_box_accuracy",
        higher_is_better=True,
        definition="whether a box around a bright part of the map fits a box "
        "of the object",
        source="Choe et al. 2020, arXiv 2001.07437 and 2007.04178",
        ious=least,
        thresholds=(levels / LEVELS).tolist(),
    )


def _best_ious(
    one: np.ndarray, boxes: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Return the largest intersection over union at each threshold.

    Args:
        one: Array `(h, w)`, which is not constant.
        boxes: Array `(N, 4)`.
        size: `(height, width)` of the image.
    """
    if one.shape != size:
        one = resize_maps(one[None], size)[0].astype("float64")
    level = (one - one.min()) / np.ptp(one) * LEVELS
    level = level.astype("uint8")
    return np.array(
        [_ious(_part_boxes(level > k), boxes).max() for k in range(LEVELS)]
    )


def _part_boxes(mask: np.ndarray) -> np.ndarray:
    """Return the boxes of all connected parts of a mask, and of their holes.

    They are those of `cv2.findContours(..., cv2.RETR_TREE)` in wsolevaluation,
    where right and bottom are one pixel further than the last pixel and count
    as included.
    """
    height, width = mask.shape
    # Only where the mask is, which is faster.
    rows, columns = (
        slice(where[0], where[-1] + 1)
        for where in (np.flatnonzero(mask.any(axis=i)) for i in (1, 0))
    )
    inside = mask[rows, columns]
    parts = scipy.ndimage.find_objects(
        scipy.ndimage.label(inside, NEIGHBORS)[0]
    )
    found = np.array(
        [(x.start, y.start, x.stop, y.stop) for y, x in parts], "float64"
    )
    if len(parts) > _euler_number(inside):
        holes = scipy.ndimage.find_objects(scipy.ndimage.label(~inside)[0])
        # The contour of a hole runs through the pixels around it. What touches
        # the edge is no hole.
        around = np.array(
            [(x.start, y.start, x.stop, y.stop) for y, x in holes], "float64"
        ) + (-1, -1, 1, 1)
        edge = (0, 0, inside.shape[1], inside.shape[0])
        is_hole = ((around[:, :2] >= 0) & (around[:, 2:] <= edge[2:])).all(1)
        found = np.concatenate([found, around[is_hole]])
    found += (columns.start, rows.start) * 2
    found[:, 2:] = np.minimum(found[:, 2:] + 1, (width, height))
    return found


def _euler_number(mask: np.ndarray) -> int:
    """Return how many more parts than holes a mask has.

    Source: Gray, "Local Properties of Binary Images in Two Dimensions", IEEE
    Transactions on Computers C-20(5), 1971. It is faster than to label holes.
    """
    padded = np.pad(mask, 1)
    a, b, c, d = (
        padded[i : i + mask.shape[0] + 1, j : j + mask.shape[1] + 1]
        for i in (0, 1)
        for j in (0, 1)
    )
    count = a.astype("int8") + b + c + d
    across = (a == d) & (b == c) & (a != b)
    ends = np.count_nonzero(count == 1) - np.count_nonzero(count == 3)
    return int(ends - 2 * np.count_nonzero(across)) // 4


def _ious(found: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return the intersections over unions of boxes, `(len(found), N)`."""

    def areas(corners: np.ndarray) -> np.ndarray:
        return np.maximum(corners[..., 2:] - corners[..., :2], 0).prod(-1)

    found = found[:, None]
    common = np.concatenate(
        [
            np.maximum(found[..., :2], boxes[:, :2]),
            np.minimum(found[..., 2:], boxes[:, 2:]),
        ],
        axis=-1,
    )
    both = areas(common)
    return both / (areas(found) + areas(boxes) - both)
