"""Find out which reasons are at the place of a suspicious one."""

from collections.abc import Sequence

import numpy as np

from keras_facnn.auditing.reason import Reason
from keras_facnn.grid import Grid

# Below this share of its places, a reason is somewhere else.
_LEAST = 0.25


def overlapped(
    reason: Reason, reasons: Sequence[Reason], grid: Grid
) -> tuple[Reason, float] | None:
    """Return the suspicious reason whose place a reason shares, and how far.

    Args:
        reason: A reason.
        reasons: All reasons, the most suspicious first. Only those before
            `reason` count.
        grid: The grid of the audit.

    Returns:
        The suspicious reason of the same class that overlaps it most, and the
        share of its cells that lie in or beside the place of that one, in the
        images that were compared for both. None if this is less than a quarter.
    """
    best: tuple[Reason, float] | None = None
    for other in reasons[: reasons.index(reason)]:
        if other.kind != "place" or other.said != reason.said:
            continue
        share = _share(reason, other, grid)
        if share >= _LEAST and (best is None or share > best[1]):
            best = other, share
    return best


def _share(reason: Reason, other: Reason, grid: Grid) -> float:
    """Return the share of the cells of a reason in or beside another's."""
    cells = {m.pick.key: grid.grown(m.cells) for m in other.members}
    inside = total = 0
    for member in reason.members:
        if member.pick.key in cells:
            inside += int(np.isin(member.cells, cells[member.pick.key]).sum())
            total += len(member.cells)
    # A few images in common say nothing of the others.
    if total < len(reason.members) / 4:
        return 0.0
    return inside / total
