"""Regions of images in training: masks, beside the labels in `y`."""

from typing import Any

import numpy as np
from keras import ops

from keras_facnn.regions import check_masks

# Reading more of an array on disk would take long.
_FIRST = 1000


def has_regions(y: Any) -> bool:
    """Return whether `y`, as `fit` takes it, has regions."""
    return isinstance(y, dict) and "regions" in y


def split_regions(y: Any) -> tuple[Any, Any]:
    """Return the labels and the regions of `y`; the regions may be None.

    Raises:
        ValueError: If `y` has regions, and other entries than labels.
    """
    if not has_regions(y):
        return y, None
    if set(y) != {"labels", "regions"}:
        raise ValueError(
            '`y` with regions must be {"labels": labels, "regions": masks}. '
            f"Received: a dict of {sorted(map(str, y))}"
        )
    return y["labels"], y["regions"]


def weights_of_labels(sample_weight: Any) -> Any:
    """Return the weights of the images; Keras repeats them for each entry."""
    if isinstance(sample_weight, dict) and "labels" in sample_weight:
        return sample_weight["labels"]
    return sample_weight


def check_first_regions(y: Any) -> None:
    """Raise if the regions that `fit` takes as an array are no masks.

    Only the first ones are read. Datasets are not read at all.
    """
    _, regions = split_regions(y)
    if not isinstance(regions, (list, np.ndarray)) or not len(regions):
        return
    check_masks("regions", regions[:_FIRST])


def check_rank(masks: Any) -> None:
    """Raise if masks are not of shape `(B, H, W)`."""
    if len(masks.shape) != 3:
        raise ValueError(
            "`regions` must be masks of shape (batch, height, width). "
            f"Received: regions of shape {tuple(masks.shape)}"
        )


def resize_by_area(masks: Any, size: tuple[Any, Any]) -> Any:
    """Return the share of each cell that lies in a region.

    Args:
        masks: Float tensor `(B, H, W)`, of any size.
        size: `(h, w)` of the result.

    Returns:
        A float32 tensor `(B, h, w)`.
    """
    _, height, width = ops.shape(masks)
    rows = _shares(height, size[0])
    columns = ops.transpose(_shares(width, size[1]))
    return ops.matmul(ops.matmul(rows, masks), columns)


def _shares(pixels: Any, cells: Any) -> Any:
    """Return which share of each cell each pixel takes, in one dimension.

    Args:
        pixels, cells: Integers, or scalar tensors if TensorFlow does not know
            the size yet.

    Returns:
        A float32 tensor `(cells, pixels)`, whose rows sum to 1.
    """
    start = ops.cast(ops.arange(pixels), "float32")
    side = ops.cast(pixels, "float32") / ops.cast(cells, "float32")
    low = ops.cast(ops.arange(cells), "float32")[:, None] * side
    overlap = ops.minimum(low + side, start + 1) - ops.maximum(low, start)
    return ops.relu(overlap) / side


def widen(shares: Any, margin: int) -> Any:
    """Return `(B, h, w)` in which each cell has the most of its neighbors.

    Args:
        shares: Tensor `(B, h, w)`.
        margin: Non-negative integer, how many cells away a neighbor may be.
    """
    if margin == 0:
        return shares
    pooled = ops.max_pool(
        shares[..., None],
        2 * margin + 1,
        strides=1,
        padding="same",
        data_format="channels_last",
    )
    return pooled[..., 0]
