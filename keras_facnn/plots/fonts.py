"""Fonts for any text."""

import functools
import warnings

import matplotlib
from matplotlib import font_manager

from keras_facnn._checks.messages import callers_stacklevel


def drawable_text(text: str) -> tuple[str, list[str]]:
    """Return a text, and the font families that have its characters.

    A box replaces each character that no installed font has. Otherwise,
    Matplotlib would warn about it each time the figure is drawn.
    """
    families = list(matplotlib.rcParams["font.family"])
    default = font_manager.findfont(font_manager.FontProperties())
    missing = {c for c in text if c != "\n"} - characters(default)
    if missing:
        for font in font_manager.fontManager.ttflist:
            # These have every character, but as a box or as a color picture.
            if "Last Resort" in font.name or "Emoji" in font.name:
                continue
            if missing & characters(font.fname):
                families.append(font.name)
                missing -= characters(font.fname)
            if not missing:
                break
    if missing:
        warnings.warn(
            "No installed font has all characters of the names. Missing "
            "characters are drawn as boxes. Noto Sans CJK has most of them.",
            stacklevel=callers_stacklevel(),
        )
        text = "".join("\u25a1" if c in missing else c for c in text)
    return text, families


@functools.cache
def characters(path: str) -> frozenset[str]:
    """Return the characters that a font file has."""
    return frozenset(map(chr, font_manager.get_font(path).get_charmap()))
