"""Grids of images and maps, which `compare` and `maps_by_layer` draw."""

import typing

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from keras_facnn.colors import drawable_images
from keras_facnn.plots._overlay import overlay
from keras_facnn.plots.images import draw_image
from keras_facnn.types import Images


def draw_grid(
    images: Images,
    columns: typing.Iterable[np.ndarray],
    from_smallest: bool = False,
) -> tuple[Figure, np.ndarray]:
    """Draw images and, beside each, its maps.

    Each map is scaled to its own largest value.

    Args:
        images: Array `(B, H, W, 1 or 3)`, 0..255.
        columns: Arrays `(B, h, w)`, the maps of each column.
        from_smallest: Whether a map's smallest non-negative value is black,
            and not 0.

    Returns:
        The figure, and its axes, an array `(B, 1 + columns)`.
    """
    images = drawable_images(images)
    columns = list(columns)
    figure = Figure(
        figsize=(1.6 * (1 + len(columns)) + 0.8, 1.65 * len(images) + 0.6),
        # With less padding, the titles of a single row are clipped.
        layout=ConstrainedLayoutEngine(h_pad=0.08),
    )
    grid = figure.subplots(len(images), 1 + len(columns), squeeze=False)
    rows = zip(*columns, strict=True)
    for image, axes, maps in zip(images, grid, rows, strict=True):
        draw_image(axes[0], image)
        for ax, values in zip(axes[1:], maps, strict=True):
            map_ = np.maximum(np.asarray(values, "float32"), 0)
            if from_smallest:
                map_ = map_ - map_.min()
            overlay(ax, image, map_ / max(map_.max(), 1e-30), vmax=1)
    return figure, grid
