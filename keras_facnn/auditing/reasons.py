"""Find the reasons of a sample."""

import dataclasses
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from keras_facnn.auditing.clusters import k_means
from keras_facnn.auditing.clusters import unit_rows
from keras_facnn.auditing.reason import Kind
from keras_facnn.auditing.reason import Member
from keras_facnn.auditing.reason import Reason
from keras_facnn.auditing.repeats import COMPARED
from keras_facnn.auditing.repeats import find_repeats
from keras_facnn.auditing.sample import Pick
from keras_facnn.auditing.sample import Sample
from keras_facnn.auditing.sample import stack
from keras_facnn.auditing.statistics import deciding
from keras_facnn.auditing.worth import without_evidence
from keras_facnn.grid import Grid
from keras_facnn.maps import positive_share

# A pattern in fewer images may be chance.
FEWEST_IMAGES = 12
# A reason has at least so many images, and so large a share of its class.
_FEWEST_MEMBERS = 6
_LEAST_SHARE = 0.03
_CLUSTERS = 8
# Reasons of two classes whose mean looks have at least this cosine are alike.
_ALIKE = 0.8


@dataclasses.dataclass(frozen=True, eq=False)
class _Class:
    """The sample of one class.

    Args:
        index: The number of the class.
        picks: Its images.
        evidence: Floats `(N, cells)`, the evidence that decides for it.
        share: Floats `(N, cells)`, the share of the positive evidence.
        looks: Floats `(N, places, D)` of length 1, the features at the places.
    """

    index: int
    picks: list[Pick]
    evidence: np.ndarray
    share: np.ndarray
    looks: np.ndarray

    def first(self, count: int) -> "_Class":
        """Return the class with its first images only."""
        return _Class(
            self.index,
            self.picks[:count],
            self.evidence[:count],
            self.share[:count],
            self.looks[:count],
        )


def find_reasons(
    sample: Sample,
    grid: Grid,
    class_names: Sequence[str],
    several_labels: bool,
) -> list[Reason]:
    """Return the reasons of all classes, the most suspicious first.

    Args:
        sample: The sample of an audit.
        grid: The grid of its maps.
        class_names: The C names.
        several_labels: Whether each class has a probability of its own.
    """
    classes = _classes(sample, len(class_names), several_labels)
    drafts = [
        *_repeated(classes, "place", "thumbnail", grid),
        *_repeated(classes, "texture", "texture", grid),
    ]
    drafts.sort(key=lambda d: -d.suspicion)
    looks = [d for c in classes.values() for d in _by_looks(c, grid)]
    looks.sort(key=lambda d: -d.evidence)
    numbers = dict.fromkeys(classes, 0)
    reasons = []
    for draft in [*drafts, *looks]:
        numbers[draft.said] += 1
        name = class_names[draft.said]
        reasons.append(
            dataclasses.replace(
                draft,
                name=f"{name} {numbers[draft.said]}",
                class_name=name,
                alike=[],
            )
        )
    return _with_alike(reasons)


def _classes(
    sample: Sample, num_classes: int, several_labels: bool
) -> dict[int, _Class]:
    """Return the classes of which the sample has enough images."""
    picks = {
        c: found
        for c in range(num_classes)
        if len(found := sample.of_class(c)) >= FEWEST_IMAGES
    }
    if not picks:
        return {}
    mean = mean_features(sample)
    result = {}
    for c, of_class in picks.items():
        evidence = deciding(
            stack(of_class, "evidence")[:, 0],
            stack(of_class, "mean_evidence"),
            several_labels,
        )
        result[c] = _Class(
            c,
            of_class,
            evidence,
            positive_share(evidence),
            unit_rows(stack(of_class, "features").astype("float32") - mean),
        )
    return result


def mean_features(sample: Sample) -> np.ndarray:
    """Return what the looks of all classes have in common `(D,)`.

    It tells nothing about a place, so it is subtracted from all features. It
    is the mean over the classes of which there are enough images.
    """
    means = [
        stack(picks, "features").astype("float32").mean(axis=(0, 1))
        for c in range(sample.num_classes)
        if len(picks := sample.of_class(c)) >= FEWEST_IMAGES
    ]
    return np.mean(means, axis=0)


def _repeated(
    classes: Mapping[int, _Class], kind: Kind, field: str, grid: Grid
) -> list[Reason]:
    """Return what repeats in one class much more, as reasons without names."""
    described = {
        c: colors_of_cells(stack(of_class.picks, field), grid)
        if kind == "place"
        else stack(of_class.picks, field)[:, None]
        for c, of_class in classes.items()
    }
    labels = {c: stack(x.picks, "label") for c, x in classes.items()}
    found = []
    for repeat in find_repeats(described, labels, tight=kind == "place"):
        # The others of the class may have it, too.
        of_class = classes[repeat.class_index].first(COMPARED)
        every = np.arange(grid.cells)
        cells = {
            i: shown if kind == "place" else every
            for i, shown in repeat.members.items()
        }
        found.append(_reason(of_class, kind, cells, grid, repeat.score))
    return found


def colors_of_cells(thumbnails: np.ndarray, grid: Grid) -> np.ndarray:
    """Return thumbnails as the colors of each cell `(N, cells, D)`."""
    count, height, width, channels = thumbnails.shape
    rows, columns = grid.shape
    parts = thumbnails.reshape(
        count, rows, height // rows, columns, width // columns, channels
    ).transpose(0, 1, 3, 2, 4, 5)
    return parts.reshape(count, grid.cells, -1) / np.float32(255)


def _by_looks(of_class: _Class, grid: Grid) -> list[Reason]:
    """Return groups of places of evidence that look alike."""
    places = stack(of_class.picks, "places")
    count, per_image = places.shape
    # Places without evidence for the class are no reason for it.
    at = np.take_along_axis(of_class.evidence, places, axis=1) > 0
    image, place = np.nonzero(at)
    looks = of_class.looks[image, place]
    if len(looks) < _FEWEST_MEMBERS:
        return []
    clusters = k_means(looks, _CLUSTERS, seed=0)
    found = []
    for number in np.unique(clusters):
        those = clusters == number
        cells: dict[int, np.ndarray] = {
            int(i): places[i, place[those & (image == i)]]
            for i in np.unique(image[those])
        }
        least = max(_FEWEST_MEMBERS, _LEAST_SHARE * count)
        if len(cells) >= least:
            center = looks[those].mean(axis=0)
            found.append(_reason(of_class, "looks", cells, grid, 0.0, center))
    return found


def _reason(
    of_class: _Class,
    kind: Kind,
    cells: Mapping[int, np.ndarray],
    grid: Grid,
    suspicion: float,
    center: np.ndarray | None = None,
) -> Reason:
    """Return a reason that has no name yet."""
    members, surplus = [], []
    counts = np.zeros(grid.cells, int)
    rest = np.setdiff1d(np.arange(len(of_class.picks)), list(cells))
    for i, shown in cells.items():
        near = shown if kind == "looks" else grid.grown(shown)
        counts[near] += 1
        members.append(
            Member(
                of_class.picks[i],
                shown[np.argsort(-of_class.evidence[i, shown])],
                float(of_class.share[i, near].sum()),
            )
        )
        usual = (
            of_class.evidence[rest][:, near].sum(axis=1).mean()
            if len(rest)
            else np.nan
        )
        surplus.append(of_class.evidence[i, near].sum() - usual)
    members.sort(key=lambda m: -m.share)
    every = np.concatenate([m.cells for m in members])
    return Reason(
        name="",
        class_name="",
        said=of_class.index,
        kind=kind,
        members=members,
        rest=[of_class.picks[i] for i in rest],
        evidence=sum(m.share for m in members) / len(of_class.picks),
        surplus=float(np.mean(surplus)) if len(rest) else None,
        spread=grid.spread(every),
        place=grid.in_words(every),
        places=grid.locations(np.flatnonzero(counts >= len(members) / 2)),
        tightness=None if center is None else float(np.linalg.norm(center)),
        # Without the whole image, nothing would be left.
        taken={}
        if kind == "texture"
        else without_evidence(members, grid, grow=kind == "place"),
        suspicion=suspicion,
        center=center,
    )


def _with_alike(reasons: list[Reason]) -> list[Reason]:
    """Name, for each reason, those of other classes that look the same."""
    known = [r for r in reasons if r.center is not None]
    if not known:
        return reasons
    centers = unit_rows(np.array([r.center for r in known]))
    alike = centers @ centers.T >= _ALIKE
    names = {
        r.name: [
            o.name
            for o, same in zip(known, row, strict=True)
            if same and o.said != r.said
        ]
        for r, row in zip(known, alike, strict=True)
    }
    return [
        dataclasses.replace(r, alike=names.get(r.name, [])) for r in reasons
    ]
