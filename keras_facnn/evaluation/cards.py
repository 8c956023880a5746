"""Cards of a report: a photo, why it got its class, and what is right."""

import pathlib
import typing
from collections.abc import Sequence

import numpy as np

from keras_facnn._checks.text import escaped
from keras_facnn.evaluation import page as html
from keras_facnn.evaluation.examples import Example
from keras_facnn.evaluation.page import image
from keras_facnn.evaluation.shares import percent

if typing.TYPE_CHECKING:
    from keras_facnn.evaluation.evaluation import Evaluation


def cards(evaluation: "Evaluation", examples: Sequence[Example]) -> str:
    """Return a card for each example."""
    listed = "\n".join(_card(evaluation, example) for example in examples)
    return f'<div class="cards">\n{listed}\n</div>'


def filters(evaluation: "Evaluation", examples: Sequence[Example]) -> str:
    """Return what chooses among the cards that follow."""
    names = evaluation.class_names
    menus = [
        html.menu(
            name,
            label,
            "any class",
            [(c, names[c]) for c in sorted(numbers, key=lambda c: names[c])],
        )
        for name, label, numbers in (
            ("is", "It is", {x.label for x in examples}),
            ("said", "Said", {x.said for x in examples}),
        )
    ]
    orders = [("reverse", "surest last"), ("is", "by class")]
    return html.filters(
        *menus, html.menu("order", "Order", "surest first", orders)
    )


def legend() -> str:
    """Return the colors of maps and contrasts."""
    from keras_facnn import plots

    gray = np.full((1, 64, 1), 128, "uint8")
    ramp = np.linspace(0, 1, 64)[None]
    stops = [
        [f"rgb({r},{g},{b})" for r, g, b in plots.colorize(gray, m)[0, ::9]]
        for m in (ramp, -ramp)
    ]
    return (
        '<p class="legend">'
        + "".join(
            '<i style="background:linear-gradient(90deg,'
            f'{",".join(colors)})"></i>{text}'
            for colors, text in zip(
                stops,
                ("speaks for what the model said", "speaks against it"),
                strict=True,
            )
        )
        + "</p>"
    )


def _card(evaluation: "Evaluation", example: Example) -> str:
    names = evaluation.class_names
    said, other = names[example.said], names[example.other]
    right = example.said == example.label
    lines = [
        _line("said", said, example.said_probability, "right" if right else ""),
        _line(
            "is" if example.other == example.label else "or",
            other,
            example.other_probability,
        ),
    ]
    if example.label not in (example.said, example.other):
        lines.append(_line("is", names[example.label]))
    figures = _figures(example, said, other)
    columns = "" if len(figures) > 1 else " one"
    parts = pathlib.PurePath(example.path or "").parts[-2:]
    path = f'<p class="path">{escaped("/".join(parts))}</p>' if parts else ""
    return (
        f'<article class="card" data-is="{example.label}" '
        f'data-said="{example.said}"><h3>{"".join(lines)}</h3>'
        f'<div class="images{columns}">{"".join(figures)}</div>{path}'
        "</article>"
    )


def _line(
    verb: str, name: str, probability: float | None = None, note: str = ""
) -> str:
    number = "" if probability is None else percent(probability)
    return (
        f"<span>{verb} <b>{escaped(name)}</b> <small>{escaped(number)} {note}"
        "</small></span>"
    )


def _figures(example: Example, said: str, other: str) -> list[str]:
    """Return the photo, and what explains it, with captions."""
    drawn = [(example.photo, "the photo", f"photo that was called {said}")]
    if example.said_map is not None and example.contrast is not None:
        from keras_facnn import plots

        drawn += [
            (
                plots.colorize(example.photo, np.maximum(example.said_map, 0)),
                f"why {said}",
                f"the same photo; bright where it speaks for {said}",
            ),
            (
                plots.colorize(example.photo, example.contrast),
                f"{said} (yellow) or {other} (blue)",
                f"the same photo; yellow where it speaks for {said} rather "
                f"than {other}, blue where it speaks for {other}",
            ),
        ]
    return [
        f"<figure>{image(pixels, alt)}<figcaption>{escaped(caption)}"
        "</figcaption></figure>"
        for pixels, caption, alt in drawn
    ]
