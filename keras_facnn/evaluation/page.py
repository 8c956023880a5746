"""Pieces of an HTML page that is one file and needs no network."""

import os
import pathlib
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

from keras_facnn._checks.text import escaped

_HERE = pathlib.Path(__file__).parent
# The page can load nothing, and so can't what a name might smuggle in.
_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'"
)


def page(title: str, body: Iterable[str]) -> str:
    """Return a whole page.

    Args:
        title: Text, which is escaped.
        body: Parts in HTML.
    """
    style = (_HERE / "page.css").read_text("utf-8")
    script = (_HERE / "page.js").read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escaped(title)}</title>\n<style>\n{style}</style></head>\n"
        f"<body><main>\n<h1>{escaped(title)}</h1>\n"
        + "\n".join(body)
        + f"\n</main>\n<script>\n{script}</script></body></html>\n"
    )


def save(
    path: str | os.PathLike,
    make_page: Callable[[], str],
    make_json: Callable[[], str],
) -> None:
    """Write a report as HTML or JSON, by the ending of the path.

    Args:
        path: Path of the file, which ends in `.html` or `.json`.
        make_page: Function that returns the page.
        make_json: Function that returns all numbers.
    """
    name = os.fspath(path)
    ending = os.path.splitext(name)[1].lower()
    if ending not in (".html", ".json"):
        raise ValueError(
            f"`path` must end in .html or .json. Received: path={name!r}"
        )
    text = make_page() if ending == ".html" else make_json()
    with open(name, "w", encoding="utf-8") as file:
        file.write(text)


def section(title: str, *parts: str, name: str = "") -> str:
    """Return a section with a heading; empty parts are left out."""
    known = f' id="{name}"' if name else ""
    inside = "\n".join(part for part in parts if part)
    return f"<section{known}><h2>{escaped(title)}</h2>\n{inside}</section>"


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph.

    Args:
        text: Text, which is escaped.
        kind: Optional class in the style sheet, such as `"hint"`.
    """
    known = f' class="{kind}"' if kind else ""
    return f"<p{known}>{escaped(text)}</p>"


def listing(items: Iterable[str]) -> str:
    """Return a list of items, each in HTML."""
    return f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"


def table(
    headings: Sequence[tuple[str, str]],
    rows: Iterable[Sequence[tuple[str, Any]]],
    kind: str = "",
) -> str:
    """Return a table that a click on a heading sorts.

    Args:
        headings: For each column, its text, which is escaped, and its class in
            the style sheet, such as `"number"`.
        rows: For each cell, its HTML, and the value to sort by.
        kind: Optional class of the table.
    """
    head = "".join(
        f'<th scope="col" class="{of}"><button type="button">{escaped(text)}'
        "</button></th>"
        for text, of in headings
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td class="{of}" data-key="{escaped(key)}">{cell}</td>'
            for (cell, key), (_, of) in zip(row, headings, strict=True)
        )
        + "</tr>\n"
        for row in rows
    )
    return (
        f'<div class="scroll"><table class="sortable {kind}"><thead><tr>{head}'
        f"</tr></thead><tbody>\n{body}</tbody></table></div>"
    )


def filters(*menus: str) -> str:
    """Return what chooses among the cards that follow; it needs a script.

    Args:
        *menus: Results of `menu`.
    """
    return (
        f'<div class="filters" hidden>{"".join(menus)}'
        '<output class="hint"></output></div>'
    )


def menu(
    name: str, label: str, first: str, choices: Iterable[tuple[Any, str]]
) -> str:
    """Return a menu of `filters`.

    Args:
        name: The `data-` attribute of the cards to choose by, or `"order"`.
        label: Text, which is escaped.
        first: What the first choice says, which shows all cards or keeps
            their order.
        choices: Pairs of a value of the attribute and a text, both escaped. An
            order is the attribute to sort by, with a minus for largest first,
            or `"reverse"`.
    """
    listed = "".join(
        f'<option value="{escaped(value)}">{escaped(text)}</option>'
        for value, text in choices
    )
    return (
        f'<label>{escaped(label)} <select name="{name}"><option value="">'
        f"{escaped(first)}</option>{listed}</select></label>"
    )


def zoomed(pixels: Any, alt: str, caption: str) -> str:
    """Return an image that a click shows large, with a caption.

    Args:
        pixels: As in `image`.
        alt: As in `image`.
        caption: Text, which is escaped.
    """
    return (
        f'<button type="button" class="zoom" title="{escaped(caption)}" '
        f'data-caption="{escaped(caption)}">{image(pixels, alt, 75)}</button>'
    )


def image(pixels: Any, alt: str, quality: int = 85) -> str:
    """Return an `img` element that holds its pixels, as JPEG.

    Args:
        pixels: uint8 array `(H, W, 1 or 3)`.
        alt: What it shows; it is escaped.
        quality: Integer up to 95, of the JPEG file.
    """
    from keras_facnn.pictures.encoding import jpeg_uri

    height, width = pixels.shape[:2]
    return (
        f'<img alt="{escaped(alt)}" width="{width}" height="{height}" '
        f'loading="lazy" src="{jpeg_uri(pixels, quality)}">'
    )
