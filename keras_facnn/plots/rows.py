"""Rows of photographs and maps, which `explanation` and `why` draw."""

import textwrap
import typing

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle

from keras_facnn.explaining.explanation import Explanation
from keras_facnn.plots.images import Extent
from keras_facnn.plots.images import draw_image

if typing.TYPE_CHECKING:
    from matplotlib.axes import Axes


def make_figure(
    width: float, size: tuple[int, int], count: int, margin: float
) -> Figure:
    """Return an empty figure for rows of images.

    Args:
        width: Width of the figure in inches.
        size: A pair `(H, W)`, the size of the images.
        count: The number of rows.
        margin: Height in inches besides the rows, for titles and labels.
    """
    row = 1.65 * min(max(size[0] / size[1], 0.5), 2) + 0.4
    return Figure(
        figsize=(width, row * count + margin),
        # With less padding, titles of three lines are clipped.
        layout=ConstrainedLayoutEngine(h_pad=0.1),
    )


def draw_view(ax: "Axes", photo: np.ndarray, size: tuple[int, int]) -> None:
    """Draw a photo so that the model's view of it is at the origin.

    Args:
        ax: Axes to draw on.
        photo: Array `(H, W, 1 or 3)`, 0..255.
        size: A pair `(H, W)`, the size of the view in pixels.
    """
    draw_image(ax, photo, _extent_around(photo, size))


def draw_photo(ax: "Axes", photo: np.ndarray, size: tuple[int, int]) -> bool:
    """Draw a whole photo, pale outside the model's view.

    Args:
        ax: Axes to draw on.
        photo: Array `(H, W, 1 or 3)`, 0..255.
        size: A pair `(H, W)`, the size of the view in pixels.

    Returns:
        Whether a part of the photo is pale.
    """
    height, width = size
    left, right, bottom, top = _extent_around(photo, size)
    draw_view(ax, photo, size)
    for x, y, w, h in (
        (left, top, -0.5 - left, bottom - top),
        (width - 0.5, top, right - width + 0.5, bottom - top),
        (left, top, right - left, -0.5 - top),
        (left, height - 0.5, right - left, bottom - height + 0.5),
    ):
        if min(w, h) > 0.5:
            ax.add_patch(
                Rectangle((x, y), w, h, color="white", alpha=0.65, linewidth=0)
            )
    # A tall photo gets no more height than the maps beside it.
    aside = max(0, ((bottom - top) * width / height - (right - left)) / 2)
    ax.set(xlim=(left - aside, right + aside), ylim=(bottom, top))
    ax.spines["left"].set_position(("data", left))
    ax.spines["right"].set_position(("data", right))
    for side in ("top", "bottom"):
        ax.spines[side].set_bounds(left, right)
    return bool(ax.patches)


def _extent_around(photo: np.ndarray, size: tuple[int, int]) -> Extent:
    """Return where a photo lies around the view that is its center.

    The values are in pixels of the view: left, right, bottom, top.
    """
    height, width = size
    scale = min(photo.shape[0] / height, photo.shape[1] / width)
    half_height, half_width = (
        photo.shape[0] / scale / 2,
        photo.shape[1] / scale / 2,
    )
    x, y = width / 2 - 0.5, height / 2 - 0.5
    return x - half_width, x + half_width, y + half_height, y - half_height


def add_caption(
    figure: Figure, explanation: Explanation, pale: bool, brief: bool = False
) -> None:
    """Add a caption for readers who have never seen such a figure.

    Args:
        figure: The figure, which becomes higher by the caption.
        explanation: What the figure shows.
        pale: Whether a part of a photograph is pale.
        brief: Whether the figure has one map per row, and no layers.
    """
    scale = "" if brief else ", on one scale per row"
    if explanation.centered and not brief:
        scale += ", in shares of all evidence for the first class"
    sentences = (
        [
            "The yellower a part of the picture, the more it makes the model "
            f"prefer the class above to the average class{scale}.",
            "Parts in their own colors hardly matter, or speak against it.",
        ]
        if explanation.centered
        else [
            "The yellower a part of the picture, the more it adds to the score "
            f"that the model gives the class above{scale}.",
            "Parts in their own colors add next to nothing.",
            "All parts together make up the score.",
        ]
    )
    sentences += ["The number beside a class is its probability."]
    if explanation.several_labels:
        sentences += [
            "Each class has its own: several may be there, or none.",
        ]
    if not brief:
        sentences += ["Later layers are nearer to the answer."]
    if pale:
        sentences += ["The model does not see the pale sides of a photograph."]
    # An inch has room for about 16 letters of this size.
    lines = textwrap.wrap(" ".join(sentences), int(16 * figure.get_figwidth()))
    figure.set_figheight(figure.get_figheight() + 0.15 * len(lines))
    figure.supxlabel("\n".join(lines), fontsize=8)
