"""Find what repeats in the images of one class more than in others."""

import dataclasses
from collections.abc import Mapping

import numpy as np

# So many images of a class are compared with each other, and so many of all
# other classes.
COMPARED = 150
_COMPARED_OTHERS = 1500
# Of the images of a class, at least this share must show the same.
_SHARE = 0.06
_FEWEST = 4
# Distances in units of the standard deviation of each number: below this, the
# noise of cameras and of JPEG files decides.
_NOISE = 0.05
# Images with a lower score may be alike by chance, see `zoo/results/audit.md`.
THRESHOLD = 0.5
_MOST_PER_CLASS = 5


@dataclasses.dataclass(frozen=True, eq=False)
class Repeat:
    """Something that repeats in one class.

    Args:
        class_index: The class.
        score: The log of a ratio, see `likeness`; the larger, the more alike.
        members: Dict from the position of each image in its class to the cells
            where it shows this.
    """

    class_index: int
    score: float
    members: dict[int, np.ndarray]


def likeness(
    own: np.ndarray, others: np.ndarray, count: int, tight: bool
) -> np.ndarray:
    """Return how much more alike vectors are in a class than across classes.

    For each vector, it is the log of a ratio: its distance from the nearest
    vector of another class, to its distance from the `count`-th nearest of its
    own class. It is above 0 where `count` vectors of the class are nearer than
    any of another class.

    Args:
        own: Floats `(N, D)` of one class, in standard deviations.
        others: Floats `(M, D)` of all other classes.
        count: Positive integer below N.
        tight: Whether the first distance counts only up to half of what is
            usual between vectors of the other classes. Otherwise, a class of
            varied images is alike if the other classes are far from it.

    Returns:
        Floats `(N,)`.
    """
    noise = _NOISE * own.shape[1] ** 0.5
    within = np.partition(_distances(own, own), count, axis=1)[:, count]
    across = _distances(own, others).min(axis=1)
    if tight:
        between = np.linalg.norm(others - np.roll(others, 1, axis=0), axis=1)
        across = np.minimum(across, np.median(between) / 2)
    return np.log((across + noise) / (within + noise))


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    squares = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2 * (a @ b.T)
    return np.sqrt(np.maximum(squares, 0))


def find_repeats(
    descriptions: Mapping[int, np.ndarray],
    labels: Mapping[int, np.ndarray],
    tight: bool,
) -> list[Repeat]:
    """Return what repeats in one class much more than in others.

    Args:
        descriptions: For each class, floats `(N, cells, D)` that describe what
            its images show in each cell.
        labels: For each class, integers `(N,)`, the right class of its images,
            or -1. Images that a model calls another class by mistake are not
            compared with those of their own class.
        tight: As in `likeness`.
    """
    used = {c: d[:COMPARED] for c, d in descriptions.items()}
    if len(used) < 2:
        return []
    every = np.concatenate(list(used.values())).astype("float32")
    mean, deviation = every.mean(axis=(0, 1)), every.std(axis=(0, 1)) + 1e-6
    scaled = {c: (d - mean) / deviation for c, d in used.items()}
    per_class = max(_COMPARED_OTHERS // (len(scaled) - 1), 1)
    found = []
    for c, own in scaled.items():
        count = max(_FEWEST, int(_SHARE * len(own)))
        if len(own) <= count + 1:
            continue
        # A mistake does not make it a thing of another class.
        others = np.concatenate(
            [
                d[:per_class][labels[o][: len(d[:per_class])] != c]
                for o, d in scaled.items()
                if o != c
            ]
        )
        if len(others) < 2:
            continue
        ratios = np.stack(
            [
                likeness(own[:, cell], others[:, cell], count, tight)
                for cell in range(own.shape[1])
            ],
            axis=1,
        )
        found += _repeats(c, ratios, count)
    return found


def _repeats(c: int, ratios: np.ndarray, count: int) -> list[Repeat]:
    """Return the repeats of one class, by `likeness` `(N, cells)`."""
    found: list[Repeat] = []
    left = ratios.copy()
    while len(found) < _MOST_PER_CLASS:
        # The score that more than `count` images reach, in each cell.
        reached = np.sort(left, axis=0)[-count - 1]
        seed = int(reached.argmax())
        score = float(reached[seed])
        if score < THRESHOLD:
            break
        those = np.flatnonzero(left[:, seed] >= THRESHOLD)
        hot = left[those] >= THRESHOLD
        # Cells that most of the same images repeat, too, belong to it.
        joint = hot.mean(axis=0) >= 0.5
        members = {
            int(i): np.flatnonzero(row)
            for i, row in zip(those, hot & joint, strict=True)
        }
        whole = next((r for r in found if _is_part(members, r)), None)
        if whole is None:
            found.append(Repeat(c, score, members))
        else:
            for i in members.keys() & whole.members.keys():
                whole.members[i] = np.union1d(whole.members[i], members[i])
        left[np.ix_(those, np.flatnonzero(joint))] = -np.inf
        left[those, seed] = -np.inf
    return found


def _is_part(members: Mapping[int, np.ndarray], whole: Repeat) -> bool:
    """Return whether some images repeat more of what is found already."""
    return len(members.keys() & whole.members.keys()) >= 0.8 * len(members)
