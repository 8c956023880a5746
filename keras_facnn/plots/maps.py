"""Maps in figures, drawn over images."""

import typing

import numpy as np
from matplotlib.patheffects import withStroke

from keras_facnn.colors import LEAST_VMAX
from keras_facnn.colors import OPACITY
from keras_facnn.maps import resize_maps
from keras_facnn.plots.color_map import fading_color_map

if typing.TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

# A map whose largest value is below this share of the brightest color can
# hardly be seen.
_FAINT = 0.5
# If half of the evidence fills more of the picture than this, no region stands
# out. It fills half of the picture if all places have the same.
_SCATTERED = 0.4


def draw_map(
    ax: "Axes",
    pixels: np.ndarray,
    vmax: float | None = None,
    opacity: float = OPACITY,
) -> "AxesImage":
    """Draw a map, of the size of its image, over that image.

    Args:
        ax: Axes that show the image.
        pixels: Array `(H, W)`.
        vmax: Value of the brightest color; None is the map's largest.
        opacity: Float in [0, 1], the opacity of the brightest color.

    Returns:
        The Matplotlib image of the map.
    """
    vmax = pixels.max() if vmax is None else vmax
    return ax.imshow(
        pixels,
        cmap=fading_color_map(opacity),
        vmin=0,
        vmax=max(vmax, LEAST_VMAX),
        interpolation="bilinear",
    )


def draw_evidence(
    ax: "Axes",
    map_: np.ndarray,
    size: tuple[int, int],
    vmax: float | None = None,
    total: float = 0,
) -> "AxesImage":
    """Draw a map of evidence, and say so if it is too faint to be seen.

    Args:
        ax: Axes that show the image.
        map_: Array `(h, w)`.
        size: A pair `(H, W)`, the size of the image.
        vmax: Value of the brightest color; None is the map's largest.
        total: The sum of the evidence, of which faint maps say the shares.

    Returns:
        The Matplotlib image of the map.
    """
    height, width = size
    (pixels,) = resize_maps(map_[None], size)
    drawn = draw_map(ax, pixels, map_.max() if vmax is None else vmax)
    ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    most = map_.max()
    note = ""
    if most <= 0:
        note = "no evidence"
    elif total > 0 and vmax is not None and most < _FAINT * vmax:
        note = f"faint: nowhere above {100 * most / total:.2g}%"
    if note:
        draw_note(ax, note, 0.5, 0.03, fontsize=7, horizontalalignment="center")
    return drawn


def half_of_evidence(pixels: np.ndarray) -> float | None:
    """Return the value from which on a map's pixels have half of its evidence.

    Args:
        pixels: Array `(H, W)`. Its positive values are evidence.

    Returns:
        The largest such value, so that the region is the smallest. None if
        there is no evidence, or if the region is nearly half of the picture,
        because then no region stands out.
    """
    values = np.sort(np.maximum(pixels, 0), axis=None)[::-1]
    sums = np.cumsum(values, dtype="float64")
    if sums[-1] <= 0:
        return None
    least = float(values[np.searchsorted(sums, sums[-1] / 2)])
    return least if (pixels >= least).mean() <= _SCATTERED else None


def draw_outline(ax: "Axes", pixels: np.ndarray, least: float) -> None:
    """Draw a white line with dark edges around the large values of a map.

    Args:
        ax: Axes that show the image.
        pixels: Array `(H, W)`.
        least: The smallest value inside the line.
    """
    height, width = pixels.shape
    ax.contour(
        # Zeros around the picture close lines at its border.
        np.clip(np.arange(-1, width + 1), -0.5, width - 0.5),
        np.clip(np.arange(-1, height + 1), -0.5, height - 0.5),
        np.pad(np.maximum(pixels, 0) / least, 1),
        # A little less than 1: Matplotlib leaves out what equals the level.
        levels=[1 - 1e-4],
        colors="white",
        linewidths=1.2,
    ).set_path_effects([withStroke(linewidth=2.6, foreground="black")])


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
        # Axes never shrink to make room for what is inside of them.
        in_layout=False,
        **options,
    )


def sum_of_evidence(map_: np.ndarray) -> float:
    """Return the sum of the positive values of a map."""
    return float(np.maximum(map_, 0).sum())
