"""The reliability curve, as an SVG image in a page."""

import math
from collections.abc import Sequence
from typing import Any

# The plot area in the image: left, top, side.
_LEFT, _TOP, _SIDE = 44, 10, 260


def reliability_curve(bins: Sequence[dict[str, Any]]) -> str:
    """Return a plot of accuracy against confidence.

    Args:
        bins: Result of `calibration_bins`.
    """
    most = max(b["images"] for b in bins)
    ticks = "".join(_tick(share) for share in (0, 0.25, 0.5, 0.75, 1))
    points = " ".join(
        f"{_x(b['confidence']):.1f},{_y(b['accuracy']):.1f}" for b in bins
    )
    dots = "".join(_dot(b, most) for b in bins)
    bottom, right = _TOP + _SIDE, _LEFT + _SIDE
    label = "; ".join(
        f"{b['confidence']:.0%} sure, right for "
        f"{b['accuracy']:.0%} of {b['images']}"
        for b in bins
    )
    return (
        f'<svg viewBox="0 0 {right + 24} {bottom + 46}" role="img" '
        f'aria-label="Reliability curve: {label}">{ticks}'
        f'<path class="axis" d="M{_LEFT} {_TOP}V{bottom}H{right}"/>'
        f'<line class="ideal" x1="{_LEFT}" y1="{bottom}" x2="{right}" '
        f'y2="{_TOP}"/><polyline class="curve" points="{points}"/>{dots}'
        f'<text x="{_LEFT + _SIDE / 2}" y="{bottom + 38}" '
        'text-anchor="middle">how sure the model is</text>'
        f'<text transform="translate(11 {_TOP + _SIDE / 2}) rotate(-90)" '
        'text-anchor="middle">how often it is right</text></svg>'
    )


def _x(share: float) -> float:
    return _LEFT + _SIDE * share


def _y(share: float) -> float:
    return _TOP + _SIDE * (1 - share)


def _tick(share: float) -> str:
    text = f"{share:.0%}"
    return (
        f'<text x="{_x(share):.0f}" y="{_TOP + _SIDE + 18}" '
        f'text-anchor="middle">{text}</text>'
        f'<text x="{_LEFT - 5}" y="{_y(share) + 4:.0f}" text-anchor="end">'
        f"{text}</text>"
    )


def _dot(b: dict[str, Any], most: int) -> str:
    x, radius = _x(b["confidence"]), 3 + 6 * math.sqrt(b["images"] / most)
    title = (
        f"{b['images']} photos: {b['confidence']:.1%} sure, right for "
        f"{b['accuracy']:.1%}"
    )
    return (
        f'<g><title>{title}</title><line class="range" x1="{x:.1f}" '
        f'y1="{_y(b["low"]):.1f}" x2="{x:.1f}" y2="{_y(b["high"]):.1f}"/>'
        f'<circle class="dot" cx="{x:.1f}" cy="{_y(b["accuracy"]):.1f}" '
        f'r="{radius:.1f}"/></g>'
    )
