"""Text of other people, made safe to print; lists of names, shortened."""

import unicodedata
from collections.abc import Iterable

# Control characters; characters that show nothing, such as those that turn the
# direction of a line; halves of a pair; separators of lines and of paragraphs.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Writing systems and emoji need these.
_JOINERS = frozenset("\u200c\u200d")


def printable(text: str) -> str:
    r"""Returns text whose unseen characters are written as escapes.

    File names, class names of a downloaded preset and answers of a server may
    hold characters that move a terminal's cursor, set its title or turn the
    direction of a line, so that what is read is not what was written. Here
    they are seen: `"\x1b"` becomes `"\\x1b"`, a newline `"\\n"`. All else stays
    as it is, letters of every script included.

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


def join_first(items: Iterable, most: int = 5) -> str:
    """The first few of many, and how many more there are."""
    items = list(items)
    more = f", and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(map(str, items[:most])) + more
