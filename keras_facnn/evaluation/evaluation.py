"""The record of an evaluation."""

import dataclasses
import functools
import json
import os
from collections.abc import Sequence
from typing import Any
from typing import Literal
from typing import Self

import numpy as np

from keras_facnn._checks.arguments import check_bool
from keras_facnn._checks.arguments import check_option
from keras_facnn._checks.arrays import finite_array
from keras_facnn._checks.classes import check_labels
from keras_facnn.evaluation import report
from keras_facnn.evaluation import statistics
from keras_facnn.evaluation import tables
from keras_facnn.evaluation.examples import Example
from keras_facnn.evaluation.names import names_of_classes
from keras_facnn.evaluation.page import save
from keras_facnn.evaluation.scores import Scores
from keras_facnn.evaluation.scores import score


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """How good a classifier is on some photos; the result of `evaluate`.

    `print(evaluation)` shows it as text, and `save("report.html")` writes a
    page with photos that opens in any browser. All intervals are 95 % ones:
    those of an accuracy are Wilson's.

    Args:
        scores: The `Scores` of each photo, such as `scores.predicted`.
        class_names: List of the C names of the classes.
        paths: List of the paths of the N photos, or None.
        mistakes: List of examples: photos that got a wrong class, the surest
            first.
        unsure: List of examples: photos whose two likeliest classes are about
            as likely, the closest first.
        several_labels: Whether each class has a probability of its own.
        exchanges: How good the classifier is if photos exchange a place, a list
            of dicts, if `evaluate` was given regions. Each has the `class`
            whose photos have the place; `photos_of`, whose photos were
            answered: of the `"class"`, or `"others"`; `place_of`, what they
            show in the place: what a photo of the `"class"` or of the
            `"others"` has there, or None for their own; how many `images` they
            are, and how many of them are `right`; the `accuracy`, with its
            interval `low` to `high`; and how many were `said` to be of the
            class.
        facts: Dict of what was measured, such as the name of the model.
        notes: List of sentences that a reader of the numbers must know.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> evaluation = keras_facnn.Evaluation.from_logits(
    ...     np.array([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]]),
    ...     labels=[0, 1, 1],
    ...     class_names=["ant", "bee"],
    ... )
    >>> evaluation
    <Evaluation of 3 photos: accuracy 66.7% (20.8% to 93.9%)>
    >>> evaluation.confusions
    [{'class': 'bee', 'said': 'ant', 'images': 1}]
    """

    scores: Scores
    class_names: list[str]
    paths: list[str] | None = None
    mistakes: list[Example] = dataclasses.field(default_factory=list)
    unsure: list[Example] = dataclasses.field(default_factory=list)
    several_labels: bool = False
    exchanges: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)

    @classmethod
    def from_logits(
        cls,
        logits: Any,
        labels: Any,
        class_names: Sequence[str] | None = None,
        several_labels: bool = False,
    ) -> Self:
        """Return the evaluation of logits that are already there.

        Args:
            logits: Array `(N, C)`.
            labels: The right class of each image: N integers, or names.
            class_names: Optional sequence of C names.
            several_labels: Whether each class has a probability of its own, by
                a sigmoid.

        Returns:
            An `Evaluation` without examples.
        """
        array = finite_array("logits", logits)
        if array.ndim != 2 or array.shape[1] < 2 or not len(array):
            raise ValueError(
                "`logits` must have shape (N, C), of at least 2 classes. "
                f"Received: shape {array.shape}"
            )
        names = names_of_classes(class_names, array.shape[1])
        numbers = check_labels(labels, len(array), array.shape[1], names)
        several = check_bool("several_labels", several_labels)
        return cls(
            score(array, numbers, several), names, several_labels=several
        )

    def __repr__(self) -> str:
        low, high = self.interval
        return (
            f"<Evaluation of {self.images} photos: accuracy "
            f"{self.accuracy:.1%} ({low:.1%} to {high:.1%})>"
        )

    def __str__(self) -> str:
        return tables.as_text(self)

    # --- Numbers ---

    @property
    def images(self) -> int:
        """How many photos were scored."""
        return len(self.scores.label)

    @property
    def is_right(self) -> np.ndarray:
        """Whether each photo got the right class, booleans `(N,)`."""
        return self.scores.rank == 0

    @property
    def accuracy(self) -> float:
        """Share of the photos that got the right class."""
        return float(self.is_right.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of `accuracy`, by Wilson."""
        return statistics.wilson_interval(self.is_right.sum(), self.images)

    @property
    def top_5_accuracy(self) -> float:
        """Share of the photos whose class is among the five likeliest."""
        return float((self.scores.rank < 5).mean())

    @property
    def top_5_interval(self) -> tuple[float, float]:
        """The 95 % interval of `top_5_accuracy`, by Wilson."""
        among = int((self.scores.rank < 5).sum())
        return statistics.wilson_interval(among, self.images)

    @property
    def balanced_accuracy(self) -> float:
        """The mean of the accuracies of the classes that have photos."""
        return float(np.mean([c["accuracy"] for c in self.classes]))

    @property
    def balanced_interval(self) -> tuple[float, float]:
        """A 95 % interval of `balanced_accuracy`."""
        return statistics.balanced_interval(
            [c["right"] for c in self.classes],
            [c["images"] for c in self.classes],
        )

    @property
    def cross_entropy(self) -> float:
        """The mean cross-entropy of the photos' classes."""
        return float(self.scores.cross_entropy.mean())

    @functools.cached_property
    def confusion_matrix(self) -> np.ndarray:
        """Counts `(C, C)`: a row for each class, a column for each answer."""
        return statistics.confusion_matrix(
            self.scores.label, self.scores.predicted, len(self.class_names)
        )

    @functools.cached_property
    def classes(self) -> list[dict[str, Any]]:
        """How good the classifier is for each class that has photos.

        Each dict has the `class`; how many `images` it has, and how many are
        `right`; the `accuracy`, with its interval `low` to `high`; and how many
        photos of any class were `said` to be of this one, with the share of
        these that are of it, the `precision` (None if there are none).
        """
        return statistics.class_rows(self.confusion_matrix, self.class_names)

    @functools.cached_property
    def confusions(self) -> list[dict[str, Any]]:
        """How often which class was taken for which, the most frequent first.

        Each dict has the right `class`, what was `said`, and how many `images`.
        """
        return statistics.confusion_rows(
            self.confusion_matrix, self.class_names
        )

    @functools.cached_property
    def calibration(self) -> dict[str, Any]:
        """Whether the classifier is as often right as its probabilities say.

        Returns:
            A dict of the `expected_calibration_error` (ECE): the mean distance
            of the probability of the likeliest class from the accuracy, in 15
            `bins` of equal width. `by_chance` is what it would be, on average,
            for a perfectly calibrated classifier on so many photos.
        """
        bins = statistics.calibration_bins(
            self.scores.probability, self.is_right
        )
        return {
            "expected_calibration_error": (
                statistics.expected_calibration_error(bins)
            ),
            "by_chance": statistics.calibration_error_by_chance(bins),
            "bins": bins,
        }

    # --- Ways out ---

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers as a dict that JSON can hold."""
        return {
            **self.facts,
            "images": self.images,
            "right": int(self.is_right.sum()),
            "accuracy": self.accuracy,
            "interval": list(self.interval),
            "balanced_accuracy": self.balanced_accuracy,
            "balanced_interval": list(self.balanced_interval),
            "top_5_accuracy": self.top_5_accuracy,
            "top_5_interval": list(self.top_5_interval),
            "cross_entropy": self.cross_entropy,
            "several_labels": self.several_labels,
            "calibration": self.calibration,
            "classes": self.classes,
            "confusions": self.confusions,
            "exchanges": self.exchanges,
            "mistakes": [x.to_dict(self.class_names) for x in self.mistakes],
            "unsure": [x.to_dict(self.class_names) for x in self.unsure],
            "notes": self.notes,
        }

    def to_json(self) -> str:
        """Return all numbers as JSON."""
        return json.dumps(self.to_dict(), indent=1)

    def to_dataframe(
        self, table: Literal["classes", "confusions", "photos"] = "classes"
    ) -> Any:
        """Return a table as a `pandas.DataFrame`. This needs pandas.

        Args:
            table: `"classes"` has a row for each class, and `"confusions"` a
                row for each pair of classes that were mixed up. `"photos"` has
                a row for each photo: its path, its class, the likeliest two
                classes and their probabilities.
        """
        import pandas

        check_option("table", table, ("classes", "confusions", "photos"))
        if table == "photos":
            return pandas.DataFrame(self._photos())
        columns = {
            "classes": "class images right accuracy low high said precision",
            "confusions": "class said images",
        }[table].split()
        return pandas.DataFrame(getattr(self, table), columns=columns)

    def save(self, path: str | os.PathLike) -> None:
        """Write the evaluation to a file.

        Args:
            path: Path of the file. It ends in `.html` for a page that needs no
                other file and no network, or in `.json` for all numbers.

        Raises:
            ValueError: If the path has another ending.
        """
        save(path, lambda: report.page(self), self.to_json)

    def _photos(self) -> dict[str, Any]:
        names, scores = np.asarray(self.class_names, object), self.scores
        return {
            **({} if self.paths is None else {"path": self.paths}),
            "class": names[scores.label],
            "said": names[scores.predicted],
            "probability": scores.probability,
            "second": names[scores.rival],
            "probability_of_second": scores.rival_probability,
            "probability_of_class": scores.label_probability,
            "right": self.is_right,
        }
