"""Draw what each layer adds to the score of a class."""

import numpy as np

from keras_facnn._checks.text import escaped
from keras_facnn.demo.analysis import Analysis
from keras_facnn.demo.analysis import of_kind
from keras_facnn.demo.markup import as_caption
from keras_facnn.demo.markup import number
from keras_facnn.demo.markup import section


def evidence_html(
    seen: Analysis, c: int, layer: int, kind: str, rival: int
) -> str:
    """Return a bar chart of each layer's share of the score.

    Args:
        seen: What the model sees in the photo.
        c: The class.
        layer: The number of the FA layer whose bar is marked.
        kind: A key of `KINDS`.
        rival: The other class, for `"contrast"`.
    """
    values = of_kind(seen.evidence, kind, c, rival)
    name, other = escaped(seen.names[c]), escaped(seen.names[rival])
    score = {
        "raw": f"the score of <b>{name}</b>",
        "centered": f"the score of <b>{name}</b> less the average score",
        "contrast": f"the score of <b>{name}</b> less that of <b>{other}</b>",
    }[kind]
    caption = (
        f"Each bar is what one layer adds; 0 is {seen.source}. Together "
        f"they are {number(float(values.sum()), kind)}, {score}"
    )
    if kind == "raw" and seen.offset:
        caption += f" (and its fixed part, {seen.offset:.2f})"
    return section(
        "Which layers gave the evidence",
        _bar_chart(values, layer, seen.source) + as_caption(f"{caption}."),
    )


# Sizes in the chart, in units of its view box.
_WIDTH, _HEIGHT, _PAD = 600, 150, 24


def _bar_chart(values: np.ndarray, layer: int, source: str) -> str:
    """Return a bar chart of values by layer, in SVG.

    Args:
        values: Array `(L + 1,)`, for the source and for each FA layer.
        layer: The number of the layer whose bar is marked.
        source: Name of what layer 0 is.
    """
    total = float(values.sum())
    count = len(values)
    top, bottom = max(values.max(), 0.0), min(values.min(), 0.0)
    span = max(top - bottom, 1e-30)
    longest = int(np.abs(values).argmax())
    # The numbers of the layers are at the bottom. Above them is room for the
    # label of the longest bar, if that bar points down.
    room = _HEIGHT - 2 * _PAD - (0 if values[longest] >= 0 else 16)
    step = _WIDTH / count
    thickness = min(0.7 * step, 48)
    zero = _PAD + room * top / span
    bars = []
    for i, value in enumerate(values):
        length = room * abs(value) / span
        name = f"layer {i}" if i else source
        x = (i + 0.5) * step - thickness / 2
        y = zero - length if value > 0 else zero
        bars.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{thickness:.1f}" '
            f'height="{max(length, 0.5):.1f}" rx="1.5" '
            f'class="{"fa-for" if value >= 0 else "fa-against"}'
            f'{" fa-here" if i == layer else ""}">'
            f"<title>{name}: {value:.3g}</title></rect>"
        )
    every = max(1, -(-count // 9))
    ticks = "".join(
        f'<text x="{(i + 0.5) * step:.1f}" y="{_HEIGHT - 4}">{i}</text>'
        for i in range(0, count, every)
    )
    end = zero - room * values[longest] / span
    label = _bar_label(values, longest, end)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" class="fa-chart" '
        f'aria-label="Evidence by layer; sum {total:.2f}" '
        f'data-sum="{total:.6g}">'
        f'{"".join(bars)}<line x1="0" x2="{_WIDTH}" y1="{zero:.1f}" '
        f'y2="{zero:.1f}"/>{ticks}{label}</svg>'
    )


def _bar_label(values: np.ndarray, bar: int, end: float) -> str:
    """Return the label of a bar, its value, in SVG.

    Args:
        values: The values of all bars.
        bar: The index of the bar.
        end: The vertical position of the bar's end.
    """
    step = _WIDTH / len(values)
    # Labels are wider than thin bars, so the first and the last bars' labels
    # would stick out of the chart if they were centered.
    anchor, at = "middle", bar + 0.5
    if step < 40 and bar < 2:
        anchor, at = "start", bar
    elif step < 40 and bar > len(values) - 3:
        anchor, at = "end", bar + 1
    y = end - 6 if values[bar] >= 0 else end + 14
    return (
        f'<text x="{at * step:.1f}" y="{y:.1f}" '
        f'style="text-anchor:{anchor}">{values[bar]:.2f}</text>'
    )
