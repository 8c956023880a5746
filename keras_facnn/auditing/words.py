"""Say in words where a reason is, and why it is suspicious."""

import typing

import numpy as np

from keras_facnn.grid import Grid

if typing.TYPE_CHECKING:
    from keras_facnn.auditing.reason import Reason

# Cells that are farther apart than this are in no one place.
_SCATTERED = 0.22


def place_in_words(grid: Grid, cells: np.ndarray) -> str:
    """Return where some cells are, such as "at the lower left"."""
    used = np.unique(cells)
    if len(used) > 0.6 * grid.cells:
        return "all over the image"
    border = grid.zones["border"].ravel()
    counts = np.bincount(cells, minlength=grid.cells)
    if (
        counts[border].sum() > 0.8 * counts.sum()
        and len(used) > border.sum() / 2
    ):
        return "along the border"
    if grid.spread(cells) > _SCATTERED:
        return "in several places"
    y, x = (float(np.median(c[cells])) for c in grid.centers)
    down = "upper" if y < 1 / 3 else "lower" if y > 2 / 3 else ""
    across = "left" if x < 1 / 3 else "right" if x > 2 / 3 else ""
    if down and across:
        return f"at the {down} {across}"
    if down:
        return "at the top" if down == "upper" else "at the bottom"
    return f"at the {across}" if across else "in the middle"


def grounds(reason: "Reason") -> str:
    """Return why a reason is suspicious, or what it is."""
    share, name = f"{reason.share:.0%}", reason.class_name
    if reason.kind == "looks":
        return (
            f"places that look alike, {reason.place}, in {share} of the images "
            f"called {name}, with {reason.evidence:.0%} of the evidence for it"
        )
    what = (
        f"the same thing {reason.place}"
        if reason.kind == "place"
        else "the same sharpness or compression"
    )
    text = f"{what} in {share} of the images called {name}, and in no others"
    if reason.kind == "place":
        text += (
            f"; without the evidence there, {reason.taken['changed']:.0%} of "
            "these answers change"
        )
    return text
