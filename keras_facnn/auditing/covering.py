"""What a model answers if some places are covered."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_facnn._backend.forward import compute_scores
from keras_facnn.attribution._imputation import impute
from keras_facnn.auditing.reason import Member
from keras_facnn.auditing.sample import Pick
from keras_facnn.grid import Grid


def cover_places(
    model: Any,
    members: Sequence[Member],
    grid: Grid,
    read: Callable[[Pick], np.ndarray],
    seed: int = 0,
) -> dict[str, Any]:
    """Return what a model answers if the places of a reason are covered.

    The places are filled with the colors around them, as ROAD does. As a
    control, equally large places elsewhere in the same images are filled.

    Args:
        model: The model that was audited.
        members: The images to cover.
        grid: The grid of the audit.
        read: Function that returns the pixels of an image `(H, W, channels)`.
        seed: Seed of the control.

    Returns:
        A dict: how many `images`; `changed`, the share that gets another class
        than before; `control_changed`, the same for the control; and `lost`
        and `control_lost`, by how much the logit of the class falls, less the
        mean fall of all classes, the mean.
    """
    rng = np.random.default_rng(seed)
    whole, covered, control = [], [], []
    for member in members:
        pixels = read(member.pick).astype("float32")
        places = grid.pixels(member.cells, *pixels.shape[:2])
        whole.append(pixels)
        covered.append(_filled(pixels, places))
        control.append(_filled(pixels, _elsewhere(places, rng)))
    said = members[0].pick.said
    before, after, other = (
        compute_scores(model, np.stack(images))
        for images in (whole, covered, control)
    )

    def lost(scores: np.ndarray) -> float:
        fall = before - scores
        return float((fall[:, said] - fall.mean(axis=-1)).mean())

    return {
        "images": len(members),
        "changed": float((after.argmax(-1) != before.argmax(-1)).mean()),
        "control_changed": float(
            (other.argmax(-1) != before.argmax(-1)).mean()
        ),
        "lost": lost(after),
        "control_lost": lost(other),
    }


def _elsewhere(places: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the same places, moved; of ten moves, the one that overlaps least.

    What leaves the image on one side comes back on the other.
    """
    height, width = places.shape
    moves = rng.integers(0, (height, width), (10, 2))
    moved = [np.roll(places, move, (0, 1)) for move in moves]
    return min(moved, key=lambda m: (m & places).sum())


def _filled(pixels: np.ndarray, places: np.ndarray) -> np.ndarray:
    filled = impute(
        pixels, np.flatnonzero(places), 0.0, np.random.default_rng(0)
    )
    return np.clip(filled, 0, 255).astype("float32")
