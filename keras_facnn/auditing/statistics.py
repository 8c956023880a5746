"""Running sums over a data set, which merge."""

import numpy as np

from keras_facnn.auditing.observing import Observations
from keras_facnn.grid import Grid
from keras_facnn.maps import positive_share


class Statistics:
    """Where evidence lies, summed over the images of each class.

    An image counts for the class that the model gave it.

    Args:
        num_classes: Positive integer, C.
        grid: The `Grid`.
        several_labels: Whether each class has a probability of its own. Then
            what all classes share decides, too.
    """

    def __init__(
        self, num_classes: int, grid: Grid, several_labels: bool
    ) -> None:
        self.num_classes = num_classes
        self.grid = grid
        self.several_labels = several_labels
        # Of all images, those that were called each class.
        self.said = np.zeros(num_classes, "int64")
        # Of these, those with a label, and those whose label it is.
        self.labelled = np.zeros(num_classes, "int64")
        self.right = np.zeros(num_classes, "int64")
        # Sums over images of the share of the positive evidence in each cell.
        self.share = np.zeros((num_classes, grid.cells))
        # Sums of the share inside the regions, over the images that have some.
        self.inside = np.zeros(num_classes)
        self.inside_area = np.zeros(num_classes)
        self.with_regions = np.zeros(num_classes, "int64")
        # (label, said) -> count and summed evidence of said minus label.
        self.confused: dict[tuple[int, int], tuple[int, np.ndarray]] = {}

    @property
    def images(self) -> int:
        """How many images there were."""
        return int(self.said.sum())

    def add(
        self,
        seen: Observations,
        labels: np.ndarray,
        regions: np.ndarray | None = None,
    ) -> None:
        """Add a batch.

        Args:
            seen: The observations of N images.
            labels: Integers `(N,)`, -1 where they are not known.
            regions: Floats `(N, cells)`, the share of each cell that is inside
                the image's regions, NaN for images without any. None if no
                image has one.
        """
        said = seen.classes[:, 0]
        decides = deciding(
            seen.evidence[:, 0], seen.mean_evidence, self.several_labels
        ).astype("float64")
        share = positive_share(decides)
        np.add.at(self.said, said, 1)
        np.add.at(self.share, said, share)
        if regions is not None:
            known = ~np.isnan(regions).any(axis=-1)
            inside = (share[known] * regions[known]).sum(axis=-1)
            area = regions[known].mean(axis=-1)
            np.add.at(self.inside, said[known], inside)
            np.add.at(self.inside_area, said[known], area)
            np.add.at(self.with_regions, said[known], 1)
        known = labels >= 0
        np.add.at(self.labelled, said[known], 1)
        np.add.at(self.right, said[labels == said], 1)
        for i in np.flatnonzero(known & (labels != said)):
            self._add_confusion(seen, int(i), int(labels[i]))

    def _add_confusion(self, seen: Observations, i: int, label: int) -> None:
        # Beyond the likeliest classes, the evidence of a label is not kept.
        rank = np.flatnonzero(seen.classes[i] == label)
        if not len(rank):
            return
        pair = label, int(seen.classes[i, 0])
        contrast = seen.evidence[i, 0] - seen.evidence[i, rank[0]]
        count, total = self.confused.get(pair, (0, 0.0))
        self.confused[pair] = count + 1, total + contrast.astype("float64")

    def __add__(self, other: "Statistics") -> "Statistics":
        merged = Statistics(self.num_classes, self.grid, self.several_labels)
        for name, value in vars(merged).items():
            if isinstance(value, np.ndarray):
                setattr(
                    merged, name, getattr(self, name) + getattr(other, name)
                )
        for part in (self, other):
            for pair, (count, total) in part.confused.items():
                before = merged.confused.get(pair, (0, 0.0))
                merged.confused[pair] = before[0] + count, before[1] + total
        return merged


def deciding(
    evidence: np.ndarray, mean_evidence: np.ndarray, several_labels: bool
) -> np.ndarray:
    """Return the evidence of a class that decides about it.

    A softmax ignores what all classes share, a sigmoid does not.
    """
    return evidence if several_labels else evidence - mean_evidence
