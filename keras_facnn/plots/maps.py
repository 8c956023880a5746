"""Maps in figures, drawn over images."""

import typing

import numpy as np

from keras_facnn.maps import resize_maps
from keras_facnn.plots.color_map import COLOR_MAP
from keras_facnn.plots.color_map import LEAST_VMAX
from keras_facnn.plots.color_map import fading_color_map

if typing.TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

# A map whose largest value is below this share of the brightest color can
# hardly be seen.
_FAINT = 0.5


def draw_map(
    ax: "Axes",
    pixels: np.ndarray,
    vmax: float | None,
    opacity: float,
    fading: bool,
) -> "AxesImage":
    """Draw a map, of the size of its image, over that image.

    Args:
        ax: Axes that show the image.
        pixels: Array `(H, W)`.
        vmax: Value of the brightest color; None is the map's largest.
        opacity: Float in [0, 1], the opacity of the map.
        fading: Whether the map is transparent where it is 0.

    Returns:
        The Matplotlib image of the map.
    """
    vmax = pixels.max() if vmax is None else vmax
    return ax.imshow(
        pixels,
        cmap=fading_color_map(opacity) if fading else COLOR_MAP,
        vmin=0,
        vmax=max(vmax, LEAST_VMAX),
        alpha=None if fading else opacity,
        interpolation="bilinear",
    )


def draw_evidence(
    ax: "Axes",
    map_: np.ndarray,
    size: tuple[int, int],
    vmax: float,
    total: float,
) -> "AxesImage":
    """Draw a map of evidence, and say so if it is too faint to be seen.

    Args:
        ax: Axes that show the image.
        map_: Array `(h, w)`.
        size: A pair `(H, W)`, the size of the image.
        vmax: Value of the brightest color.
        total: The sum of the evidence. Faint maps show shares of it.

    Returns:
        The Matplotlib image of the map.
    """
    height, width = size
    (pixels,) = resize_maps(map_[None], size)
    drawn = draw_map(ax, pixels, vmax, 0.85, fading=True)
    ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    most = map_.max()
    note = ""
    if most <= 0:
        note = "no evidence"
    elif total > 0 and most < _FAINT * vmax:
        note = f"faint: nowhere above {100 * most / total:.2g}%"
    if note:
        draw_note(ax, note, 0.5, 0.03, fontsize=7, horizontalalignment="center")
    return drawn


def draw_note(
    ax: "Axes", text: str, x: float, y: float, **options: typing.Any
) -> None:
    """Draw white text on a dark box over a map.

    Args:
        ax: Axes that show the map.
        text: The text.
        x: Float in [0, 1], from the left to the right of the axes.
        y: Float in [0, 1], from the bottom to the top of the axes.
        **options: Options of `ax.text`.
    """
    ax.text(
        x,
        y,
        text,
        transform=ax.transAxes,
        color="white",
        bbox={"facecolor": "black", "alpha": 0.6, "pad": 1.5},
        **options,
    )


def sum_of_evidence(map_: np.ndarray) -> float:
    """Return the sum of the positive values of a map."""
    return float(np.maximum(map_, 0).sum())
