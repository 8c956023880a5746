"""Make text safe to print, and shorten lists of names."""

import html
import unicodedata
from collections.abc import Iterable
from typing import Any

# Unicode categories of characters that are not shown: control characters;
# format characters, such as those that reverse the direction of a line;
# surrogates; separators of lines and of paragraphs.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Some writing systems and emoji need these format characters.
_JOINERS = frozenset("\u200c\u200d")


def printable(text: str) -> str:
    r"""Return text with its invisible characters written as escapes.

    File names, class names of a downloaded preset and answers of a server may
    contain characters that move a terminal's cursor, set its title or reverse
    the direction of a line, so that a reader sees another text. This function
    makes them visible: `"\x1b"` becomes `"\\x1b"`, a newline `"\\n"`. All other
    characters stay as they are, including the letters of every script.

    Args:
        text: String.

    Returns:
        A string of one line.

    Example:

    >>> import keras_facnn
    >>> print(keras_facnn.printable("cat\x1b[2K\rdog"))
    cat\x1b[2K\rdog
    """
    return "".join(
        c.encode("unicode_escape").decode("ascii")
        if unicodedata.category(c) in _UNSEEN and c not in _JOINERS
        else c
        for c in text
    )


def escaped(text: Any) -> str:
    """Return text from outside in which HTML has no markup."""
    return html.escape(printable(str(text)))


def join_first(items: Iterable, most: int = 5) -> str:
    """Return the first few items of a list, and how many more there are."""
    items = list(items)
    more = f", and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(map(str, items[:most])) + more
