"""Pieces of HTML that all parts of the page are made of."""

import numpy as np

from keras_facnn._checks.text import escaped


def section(title: str, body: str) -> str:
    """Return a part of the page with a title."""
    return f'<section class="fa-section"><h3>{title}</h3>{body}</section>'


def figure(title: str, image: str, caption: str) -> str:
    """Return an image with a title and a caption."""
    return (
        f'<figure class="fa-figure"><h3>{title}</h3>{image}'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def as_caption(text: str) -> str:
    """Return a paragraph in small print."""
    return f'<p class="fa-caption">{text}</p>'


def legend(kind: str, least: str, most: str) -> str:
    """Return the color scale over a gray photo, with names of its two ends.

    Args:
        kind: The kind of the maps. Only raw maps have no negative values.
        least: Name of the lower end.
        most: Name of the upper end.
    """
    from keras_facnn.plots import colorize

    values = np.linspace(0 if kind == "raw" else -1, 1, 32)[None]
    gray = np.full((1, 32, 3), 160, "uint8")
    colors = ",".join(
        f"rgb({r},{g},{b})" for r, g, b in colorize(gray, values, 1)[0]
    )
    return (
        f'<div class="fa-legend"><span>{least}</span><span class="fa-colors" '
        f'style="background:linear-gradient(90deg,{colors})"></span>'
        f"<span>{most}</span></div>"
    )


def img(pixels: np.ndarray, alt: str) -> str:
    """Return an `img` element that contains its pixels, as JPEG."""
    from keras_facnn.pictures.encoding import jpeg_uri

    pixels = np.asarray(pixels).round().astype("uint8")
    height, width = pixels.shape[:2]
    return (
        f'<img alt="{escaped(alt)}" width="{width}" height="{height}" '
        f'src="{jpeg_uri(pixels, quality=90)}">'
    )


def percent(p: float) -> str:
    """Return a probability as text."""
    return f"{p:.1%}" if p >= 0.0005 else "< 0.1%"


def number(value: float, kind: str) -> str:
    """Return a score as text, with a sign unless it is of raw maps."""
    return f"{value:.2f}" if kind == "raw" else f"{value:+.2f}"
