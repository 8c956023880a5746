"""The record of one reason."""

import dataclasses
from typing import Any
from typing import Literal
from typing import TypeAlias

import numpy as np

from keras_facnn.auditing.sample import Pick
from keras_facnn.auditing.words import grounds

Kind: TypeAlias = Literal["place", "texture", "looks"]

# Places are one and the same if an image's cells and the usual ones share, on
# average, at least this part of what both cover.
_SAME_PLACE = 0.5
_NUMBERS = (
    "kind",
    "images",
    "alarm",
    "suspicion",
    "grounds",
    "evidence",
    "surplus",
    "place",
    "spread",
    "tightness",
    "alike",
    "taken",
)


@dataclasses.dataclass(frozen=True, eq=False)
class Member:
    """An image of the sample that has a reason.

    Args:
        pick: The image.
        cells: Integers, the cells of the grid where it has the reason, the
            ones of most evidence first.
        share: The share of the image's positive evidence there. For a place,
            this includes the cells around it, which see it, too.
    """

    pick: Pick
    cells: np.ndarray
    share: float


@dataclasses.dataclass(frozen=True, eq=False)
class Reason:
    """What a model goes by in some images of a class.

    There are three kinds. `"place"` is the same thing at the same place in
    images of this class, such as a tag, a border or a backdrop. `"texture"` is
    the same sharpness or compression of the whole image. Of up to about 1,500
    images of other classes, none is as alike, but some may show a similar
    thing, such as a cloth of that color. Both are suspicious, whether or not
    the model uses them. `"looks"` are places of much evidence that look alike
    to the model, which is how a good reason shows, too.

    All shares are of the images of the sample that the model gave this class,
    for `"place"` and `"texture"` of the first 150 of them.

    Args:
        name: The name of the class and a number, such as `"dress 1"`.
        class_name: The name of the class that it speaks for.
        said: The number of that class.
        kind: `"place"`, `"texture"` or `"looks"`.
        members: List of the images that have it, those of most evidence first.
        rest: List of the images of the class that were looked at, and are not
            known to have it.
        evidence: The share of the positive evidence for the class that lies in
            these places, 0..1, the mean over all images of the class.
        surplus: How much more evidence there is in these places, in logits,
            than in the same places of the other images of the class, the mean.
            None if all images have it.
        spread: How far the places are from their median, as a share of the
            image's side, the mean.
        place: Where in the image they are, in words.
        places: Booleans `(h, w)`, the locations of the last maps where at least
            half of its images have it. For a place, this includes the cells
            around it. `FACNN.without(reason=...)` leaves these out.
        taken: What the answers would be without this evidence: a dict, see
            `keras_facnn.auditing.worth.without_evidence`. Empty for a texture,
            which is all over the image.
        suspicion: How much more alike these images are than images of two
            classes, see `keras_facnn.auditing.repeats.likeness`. 0 for looks.
        tightness: For looks, how much the places look alike, 0..1: the length
            of the mean of their features, each of length 1.
        center: For looks, the mean of their features, `(D,)`.
        alike: Names of the reasons of other classes that look the same.
    """

    name: str
    class_name: str
    said: int
    kind: Kind
    members: list[Member]
    rest: list[Pick]
    evidence: float
    surplus: float | None
    spread: float
    place: str
    places: np.ndarray
    taken: dict[str, Any]
    suspicion: float = 0.0
    tightness: float | None = None
    center: np.ndarray | None = None
    alike: list[str] = dataclasses.field(default_factory=list)

    def __repr__(self) -> str:
        return f"<Reason {self.name!r}: {self.grounds}>"

    @property
    def images(self) -> int:
        """How many images of the class were looked at."""
        return len(self.members) + len(self.rest)

    @property
    def usual_cells(self) -> np.ndarray | None:
        """The cells in which at least half of its images have it.

        None if it is in other places in each image, and for a texture.
        """
        if self.kind == "texture":
            return None
        cells, counts = np.unique(
            np.concatenate([m.cells for m in self.members]), return_counts=True
        )
        usual = cells[counts >= len(self.members) / 2]
        shared = [
            np.isin(m.cells, usual).sum() / len(np.union1d(m.cells, usual))
            for m in self.members
        ]
        return usual if np.mean(shared) >= _SAME_PLACE else None

    @property
    def share(self) -> float:
        """The share of the images of the class that have it."""
        return len(self.members) / self.images

    @property
    def alarm(self) -> bool:
        """Whether it is suspicious."""
        return self.kind != "looks"

    @property
    def grounds(self) -> str:
        """Why it is suspicious, or what it is, in words."""
        return grounds(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the reason as a dict that JSON can hold."""
        usual = self.usual_cells
        return {
            "name": self.name,
            "class": self.class_name,
            "share": self.share,
            **{name: getattr(self, name) for name in _NUMBERS},
            "usual_cells": None if usual is None else usual.tolist(),
            "members": [
                {
                    "index": m.pick.index,
                    "path": m.pick.path,
                    "cells": m.cells.tolist(),
                    "share": m.share,
                }
                for m in self.members
            ],
            "rest": [{"index": p.index, "path": p.path} for p in self.rest],
        }
