"""Text in figures: names of classes and files, drawn as they are, cut to fit.

Names come from users, so no character in them is markup.
"""

import bisect
import typing
import unicodedata

from matplotlib import font_manager
from matplotlib.textpath import text_to_path

from keras_facnn._checks.text import printable
from keras_facnn.plots.fonts import drawable_text

if typing.TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.text import Text

# Width of a column of maps in points, in figures of many columns.
COLUMN = 116
# No line in a figure has more characters.
_MOST_CHARACTERS = 200


def make_title(
    heading: str, name: str = "", number: str = "", width: float = COLUMN
) -> str:
    """Return a title: a heading, and below it a name that is cut to fit.

    Args:
        heading: The first line, or "".
        name: Text that is cut to the width of the column.
        number: Text at the end of the name, which is never cut.
        width: Width of the column in points.
    """
    label = cut_text(name, number, width=width)
    return "\n".join(part for part in (heading, label) if part)


def set_title(ax: "Axes", title: str) -> None:
    """Set the title of axes, without reading it as markup."""
    set_text(ax.set_title("", fontsize=9), title)


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


def percent(probability: float) -> str:
    """Return a probability for readers, which is never rounded to 0 or 1."""
    if 0 < probability < 0.0005:
        return "<0.1%"
    if 0.9995 <= probability < 1:
        return ">99.9%"
    return f"{probability:.1%}"


def cut_text(
    text: str,
    number: str = "",
    lines: int = 2,
    size: float = 9,
    width: float = COLUMN,
) -> str:
    """Return a text in lines that fit a column.

    Args:
        text: The text. What does not fit is replaced by "…".
        number: Text at the end, which is never cut.
        lines: The largest number of lines.
        size: The font size in points.
        width: Width of the column in points.
    """
    rest = directed(printable(" ".join(str(text).split())))
    end = f" {number}" if number else ""
    cut: list[str] = []
    while rest:
        if len(rest) <= _MOST_CHARACTERS and fits(rest + end, size, width):
            cut.append(rest + end)
            break
        if len(cut) == lines - 1:
            length = _longest(rest, f"…{end}", size, width)
            cut.append(f"{directed(rest[:length].rstrip(' ,'))}…{end}")
            break
        line = _first_line(rest, size, width)
        cut.append(line)
        rest = rest[len(line) :].lstrip()
        if not rest and end:
            cut.append(number)
    return "\n".join(cut) or number


def wrap_text(text: str, size: float, width: float) -> list[str]:
    """Return a text in as many lines of some width as it takes.

    Args:
        text: The text. It is drawn as it is: names in it are `printable`.
        size: The font size in points.
        width: The width in points.
    """
    lines = []
    while text:
        lines.append(_first_line(text, size, width))
        text = text[len(lines[-1]) :].lstrip()
    return lines


def directed(text: str) -> str:
    """Return a name after which a line goes on from left to right.

    Matplotlib would draw a number that follows a word in Hebrew or Arabic
    before the word.
    """
    right_to_left = any(
        unicodedata.bidirectional(c) in ("R", "AL") for c in text
    )
    mark = "\N{LEFT-TO-RIGHT MARK}"
    return text + mark if right_to_left and text[-1:] != mark else text


def fits(text: str, size: float, width: float = COLUMN) -> bool:
    """Return whether a line of text fits a column."""
    text, families = drawable_text(text)
    font = font_manager.FontProperties(family=families, size=size)
    length, _, _ = text_to_path.get_text_width_height_descent(text, font, False)
    # On a screen, letters are up to 7% wider than these outlines.
    return bool(length <= 0.93 * width)


def _first_line(text: str, size: float, width: float) -> str:
    """Return the characters of a text that fit a line.

    It is cut at a space. A single word, or a script without spaces, is cut
    anywhere.
    """
    length = _longest(text, "", size, width)
    line = text[:length]
    if text[length : length + 1] not in ("", " "):
        line = line.rpartition(" ")[0] or line
    return line


def _longest(text: str, end: str, size: float, width: float) -> int:
    """Return how many characters, at least one, fit a line with this end."""
    lengths = range(1, min(len(text), _MOST_CHARACTERS) + 1)
    # Measuring each length takes a second for a name of hundreds of
    # characters, so search by bisection.
    beyond = bisect.bisect(
        lengths, False, key=lambda n: not fits(text[:n] + end, size, width)
    )
    return max(1, beyond)
