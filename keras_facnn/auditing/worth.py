"""What the evidence of a reason is worth."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_facnn.auditing.reason import Member
from keras_facnn.grid import Grid


def without_evidence(
    members: Sequence[Member], grid: Grid, grow: bool, seed: int = 0
) -> dict[str, Any]:
    """Return what the answers would be without the evidence of some places.

    A logit is the sum of its evidence over the cells. So without the evidence
    of some cells, for all classes, it is the rest of that sum: no forward pass
    is needed. This says what the evidence at these places adds. It does not say
    what the model would answer if nothing were to be seen there: a neighboring
    place can see the same thing, because it sees more than itself.

    As a control, as many other cells of the same image are taken away, at
    random, or all others if there are fewer.

    Args:
        members: The images that have the reason.
        grid: The grid of the maps.
        grow: Whether to take away the cells around, too.
        seed: Seed of the control.

    Returns:
        A dict: `changed`, the share of the images whose likeliest class would
        be another one; `accuracy_before` and `accuracy_after`, for the images
        with a label, or None; `control_changed` and `control_accuracy_after`,
        the same for the control. Among many classes, only the 16 likeliest of
        each image are compared.
    """
    rng = np.random.default_rng(seed)
    answers: dict[str, list[int]] = {"before": [], "after": [], "control": []}
    labels = []
    for member in members:
        pick = member.pick
        those = grid.grown(member.cells) if grow else member.cells
        others = np.setdiff1d(np.arange(grid.cells), those)
        taken = {
            "before": np.empty(0, int),
            "after": those,
            "control": rng.choice(
                others, min(len(those), len(others)), replace=False
            ),
        }
        for name, cells in taken.items():
            rest = pick.logits - pick.evidence[:, cells].sum(axis=1)
            answers[name].append(int(pick.classes[rest.argmax()]))
        labels.append(pick.label)
    before, after, control = (np.array(v) for v in answers.values())
    known = np.array(labels) >= 0
    label = np.array(labels)[known]

    def accuracy(values: np.ndarray) -> float | None:
        return float((values[known] == label).mean()) if known.any() else None

    return {
        "changed": float((after != before).mean()),
        "accuracy_before": accuracy(before),
        "accuracy_after": accuracy(after),
        "control_changed": float((control != before).mean()),
        "control_accuracy_after": accuracy(control),
    }
