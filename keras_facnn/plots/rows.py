"""Rows of photographs and maps, which `explanation` draws."""

import typing

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from keras_facnn.colors import dim_image
from keras_facnn.explaining.explanation import Explanation
from keras_facnn.plots.images import Extent
from keras_facnn.plots.images import draw_image
from keras_facnn.plots.text import COLUMN
from keras_facnn.plots.text import set_text
from keras_facnn.plots.text import set_title
from keras_facnn.plots.text import wrap_text

if typing.TYPE_CHECKING:
    from matplotlib.axes import Axes

# Inches of a line of a title. Points of the letters of a sentence and of the
# caption, and inches of their lines.
_TITLE, _SENTENCE, _CAPTION = 0.16, (9.5, 0.17), (8, 0.145)
# Pixels of the model's view from which on a side of a photo is drawn pale.
_VISIBLE = 0.5
# Inches between things, and between a sentence and the next row.
_PAD, _GAP = 0.08, 0.2


class Column(typing.NamedTuple):
    """A column of axes, in points.

    Args:
        width: Width of the axes.
        before: Room for labels on the left.
        after: Room for labels on the right.
    """

    width: float = COLUMN
    before: float = 0
    after: float = 0


def make_rows(
    columns: typing.Sequence[Column],
    size: tuple[int, int],
    titles: typing.Sequence[typing.Sequence[str]],
    sentences: typing.Sequence[str],
    caption: str,
) -> tuple[Figure, np.ndarray]:
    """Return a figure of rows of axes, and all text around them.

    All sizes are known, so no layout engine is needed. Those are slow for many
    rows, and do not know texts that are as wide as the figure.

    Args:
        columns: The columns.
        size: A pair `(H, W)`, the size of the images.
        titles: A sequence per row, of one title per column.
        sentences: A string per row, to be drawn below it.
        caption: Text to be drawn below all rows.

    Returns:
        The figure, and its axes, an array `(rows, columns)`.
    """
    lefts, x = [], _PAD
    for column in columns:
        lefts.append(x + column.before / 72)
        x = lefts[-1] + (column.width + column.after) / 72 + _PAD
    room = 72 * (x - 2 * _PAD)
    lines = [wrap_text(text, _SENTENCE[0], room) for text in sentences]
    footer = wrap_text(caption, _CAPTION[0], room)
    panel = columns[0].width / 72 * min(max(size[0] / size[1], 0.5), 2)
    bottoms, y = [], _PAD
    for above, below in zip(titles, lines, strict=True):
        y += _TITLE * max(len(title.splitlines()) for title in above)
        y += _PAD + panel
        bottoms.append(y)
        y += _PAD + _SENTENCE[1] * len(below) + _GAP
    height = y + _CAPTION[1] * len(footer) + _PAD
    figure = Figure(figsize=(x, height))
    for bottom, above, below in zip(bottoms, titles, lines, strict=True):
        for left, column, title in zip(lefts, columns, above, strict=True):
            ax = figure.add_axes(
                (
                    left / x,
                    1 - bottom / height,
                    column.width / 72 / x,
                    panel / height,
                )
            )
            set_title(ax, title)
        _add_text(figure, below, _SENTENCE[0], bottom + _PAD)
    _add_text(figure, footer, _CAPTION[0], y)
    return figure, np.array(figure.axes).reshape(len(lines), len(columns))


def _add_text(
    figure: Figure, lines: typing.Sequence[str], size: float, top: float
) -> None:
    """Add lines of text to a figure, some inches below its top."""
    width, height = figure.get_size_inches()
    text = figure.text(
        _PAD / width,
        1 - top / height,
        "",
        fontsize=size,
        verticalalignment="top",
    )
    set_text(text, "\n".join(lines))


def draw_view(ax: "Axes", photo: np.ndarray, size: tuple[int, int]) -> None:
    """Draw a photo, dark and gray, with the model's view at the origin.

    Args:
        ax: Axes to draw a map on.
        photo: Array `(H, W, 1 or 3)`, 0..255.
        size: A pair `(H, W)`, the size of the view in pixels.
    """
    draw_image(ax, dim_image(photo), _extent_around(photo, size))


def draw_photo(ax: "Axes", photo: np.ndarray, size: tuple[int, int]) -> None:
    """Draw a whole photo, pale outside the model's view.

    Args:
        ax: Axes to draw on.
        photo: Array `(H, W, 1 or 3)`, 0..255.
        size: A pair `(H, W)`, the size of the view in pixels.
    """
    height, width = size
    left, right, bottom, top = _extent_around(photo, size)
    draw_image(ax, photo, (left, right, bottom, top))
    for x, y, w, h in (
        (left, top, -0.5 - left, bottom - top),
        (width - 0.5, top, right - width + 0.5, bottom - top),
        (left, top, right - left, -0.5 - top),
        (left, height - 0.5, right - left, bottom - height + 0.5),
    ):
        if min(w, h) > _VISIBLE:
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


def has_sides(photo: np.ndarray, size: tuple[int, int]) -> bool:
    """Return whether a photo has sides outside the model's view."""
    left, _, _, top = _extent_around(photo, size)
    return -0.5 - min(left, top) > _VISIBLE


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


def caption_of(
    explanation: Explanation, pale: bool, outlined: bool, layers: bool
) -> str:
    """Return a caption for readers who have never seen such a figure.

    Args:
        explanation: What the figure shows.
        pale: Whether a part of a photograph is pale.
        outlined: Whether a region is outlined.
        layers: Whether the figure has the columns of `layers=True`.
    """
    sentences = (
        [
            "The yellower a part of a picture, the more it makes the model "
            "prefer the explained class to the average class.",
            "Gray parts hardly matter, or speak against it.",
        ]
        if explanation.centered
        else [
            "The yellower a part of a picture, the more it adds to the score "
            "of the explained class.",
            "Gray parts add next to nothing.",
        ]
    )
    if outlined:
        sentences += ["Inside the line is half of all evidence for it."]
    if layers:
        sentences += [
            "All maps of a row are on one scale, in shares of that evidence."
        ]
        if explanation.layer_probabilities.shape[1] > 1:
            sentences += ["Later layers are nearer to the answer."]
    sentences += ["The number beside a class is its probability."]
    if explanation.several_labels:
        sentences += [
            "Each class has its own: several may be there, or none.",
        ]
    if pale:
        sentences += ["The model does not see the pale sides of a photograph."]
    return " ".join(sentences)
