"""Text in figures: names of classes and files, drawn as they are, cut to fit.

Names come from users, so no character in them is markup.
"""

import bisect
import typing

from matplotlib import font_manager
from matplotlib.textpath import text_to_path

from keras_facnn._checks.text import printable
from keras_facnn.plots.fonts import drawable_text

if typing.TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.text import Text

# Width of a column of maps in points, the same in every figure.
_COLUMN = 108
# No line of that width has more characters.
_MOST_CHARACTERS = 200


def set_title(
    ax: "Axes", heading: str, name: str = "", number: str = ""
) -> None:
    """Set a title: a heading, and below it a name that is cut to fit.

    Args:
        ax: Axes in a column of maps.
        heading: The first line, or "".
        name: Text that is cut to the width of the column.
        number: Text at the end of the name, which is never cut.
    """
    label = cut_text(name, number)
    lines = "\n".join(part for part in (heading, label) if part)
    set_text(ax.set_title("", fontsize=9), lines)


def set_text(artist: "Text", text: str) -> None:
    """Set the text of a Matplotlib artist, without reading it as markup."""
    text, families = drawable_text(text)
    artist.set_parse_math(False)
    artist.set_fontfamily(families)
    artist.set_text(text)


def draw_legend(
    ax: "Axes",
    lines: "typing.Sequence[Artist]",
    labels: typing.Sequence[str],
    **options: typing.Any,
) -> None:
    """Draw a legend with one label per line, also for labels like "_a"."""
    # Matplotlib leaves out labels that begin with "_".
    legend = ax.legend(lines, ["label"] * len(labels), **options)
    for text, label in zip(legend.get_texts(), labels, strict=True):
        set_text(text, label)


def cut_text(
    text: str, number: str = "", lines: int = 2, size: float = 9
) -> str:
    """Return a text in lines that fit a column.

    Args:
        text: The text. What does not fit is replaced by "…".
        number: Text at the end, which is never cut.
        lines: The largest number of lines.
        size: The font size in points.
    """
    rest = printable(" ".join(str(text).split()))
    end = f" {number}" if number else ""
    cut: list[str] = []
    while rest:
        if len(rest) <= _MOST_CHARACTERS and fits(rest + end, size):
            cut.append(rest + end)
            break
        if len(cut) == lines - 1:
            start = rest[: _longest(rest, f"…{end}", size)].rstrip(" ,")
            cut.append(f"{start}…{end}")
            break
        # Cut at a space. A single word, or a script without spaces, is cut
        # anywhere.
        length = _longest(rest, "", size)
        line = rest[:length]
        if rest[length : length + 1] not in ("", " "):
            line = line.rpartition(" ")[0] or line
        cut.append(line)
        rest = rest[len(line) :].lstrip()
        if not rest and end:
            cut.append(number)
    return "\n".join(cut) or number


def fits(text: str, size: float) -> bool:
    """Return whether a line of text fits a column."""
    text, families = drawable_text(text)
    font = font_manager.FontProperties(family=families, size=size)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, False)
    return bool(width <= _COLUMN)


def _longest(text: str, end: str, size: float) -> int:
    """Return how many characters, at least one, fit a line with this end."""
    lengths = range(1, min(len(text), _MOST_CHARACTERS) + 1)
    # Measuring each length takes a second for a name of hundreds of
    # characters, so search by bisection.
    beyond = bisect.bisect(
        lengths, False, key=lambda n: not fits(text[:n] + end, size)
    )
    return max(1, beyond)
