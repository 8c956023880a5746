"""The record of an audit."""

import dataclasses
import functools
import json
import os
from typing import Any
from typing import Literal

import numpy as np

from keras_facnn._checks.arguments import check_bool
from keras_facnn._checks.arguments import check_option
from keras_facnn._checks.classes import check_labels
from keras_facnn._checks.numbers import check_int
from keras_facnn.auditing import outputs
from keras_facnn.auditing import report
from keras_facnn.auditing.covering import cover_places
from keras_facnn.auditing.reason import Reason
from keras_facnn.auditing.reasons import find_reasons
from keras_facnn.auditing.rows import class_rows
from keras_facnn.auditing.rows import confusion_rows
from keras_facnn.auditing.sample import Pick
from keras_facnn.auditing.sample import Sample
from keras_facnn.auditing.statistics import Statistics
from keras_facnn.auditing.text import as_text
from keras_facnn.auditing.unlike import find_unlike
from keras_facnn.evaluation.page import save
from keras_facnn.pictures.reading import read_picture
from keras_facnn.regions import widened


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Audit:
    """For which reasons a model gives its answers; the result of `audit`.

    `print(audit)` shows it as text, and `save("audit.html")` writes a page with
    pictures that opens in any browser.

    `a + b` is the audit of both parts of a data set, which may have been made
    by different processes: an audit can be pickled.

    Args:
        statistics: The sums over all images.
        sample: The sample of images of each class.
        class_names: List of the C names.
        image_shape: `(height, width, channels)` of the images.
        facts: Dict of what was audited.
        notes: List of sentences that a reader must know.
        coverings: What `cover` measured, by the names of the reasons.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(2, depths=(2,), maps_per_class=(1,))
    >>> rng = np.random.default_rng(0)
    >>> parts = rng.uniform(0, 255, (2, 8, 32, 32, 3))
    >>> one, other = (keras_facnn.audit(model, images) for images in parts)
    >>> whole = one + other
    >>> whole.images, sum(row["images"] for row in whole.classes)
    (16, 16)
    """

    statistics: Statistics
    sample: Sample
    class_names: list[str]
    image_shape: tuple[int, int, int]
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)
    coverings: dict[str, dict[str, Any]] = dataclasses.field(
        default_factory=dict
    )

    def __repr__(self) -> str:
        alarms = sum(r.alarm for r in self.reasons)
        return (
            f"<Audit of {self.images:,} images: {len(self.reasons)} reasons, "
            f"{alarms} suspicious>"
        )

    def __str__(self) -> str:
        return as_text(self)

    def __add__(self, other: "Audit") -> "Audit":
        for name, mine, theirs in (
            ("class_names", self.class_names, other.class_names),
            ("image_shape", self.image_shape, other.image_shape),
            ("grid", self.statistics.grid, other.statistics.grid),
            ("fit", self.facts.get("fit"), other.facts.get("fit")),
        ):
            if mine != theirs:
                raise ValueError(
                    "Audits can be added only if they are of the same model "
                    f"and image size. Received: {name} {mine} and {theirs}"
                )
        return Audit(
            statistics=self.statistics + other.statistics,
            sample=self.sample + other.sample,
            class_names=self.class_names,
            image_shape=self.image_shape,
            facts={
                **self.facts,
                **{
                    name: self.facts.get(name, least)
                    + other.facts.get(name, least)
                    for name, least in (("parts", 1), ("unreadable", 0))
                },
            },
            notes=list(dict.fromkeys([*self.notes, *other.notes])),
        )

    @property
    def images(self) -> int:
        """How many images were audited."""
        return self.statistics.images

    @functools.cached_property
    def reasons(self) -> list[Reason]:
        """The reasons of all classes, the most suspicious first."""
        return find_reasons(
            self.sample,
            self.statistics.grid,
            self.class_names,
            self.statistics.several_labels,
        )

    @functools.cached_property
    def classes(self) -> list[dict[str, Any]]:
        """Where the evidence lies, for each class that was said at all.

        Each dict has the `class`; how many `images` were called so; of those
        with a label, the share that is right, the `precision` (None if none has
        a label); and the share of the evidence on the `border`, in the
        `corners` and in the `center`; `areas` has the share of the image that
        each of these has. If regions were given, `inside` is the share of the
        evidence inside of them.
        """
        return class_rows(self.statistics, self.class_names)

    @property
    def areas(self) -> dict[str, float]:
        """The share of the image's area that each zone has."""
        grid = self.statistics.grid
        return {n: float(z.mean()) for n, z in grid.zones.items()}

    @functools.cached_property
    def confusions(self) -> list[dict[str, Any]]:
        """Where the evidence lies that decided for a wrong class.

        Each dict has the right `class`, what was `said`, how many `images`,
        and `evidence`: the mean evidence for what was said, less that for the
        right class, `(rows, columns)`, in logits. Images whose right class is
        not among the 16 likeliest are left out.
        """
        return confusion_rows(self.statistics, self.class_names)

    @functools.cached_property
    def unlike(self) -> list[dict[str, Any]]:
        """Images whose explanation is unlike that of their class.

        The places of evidence in these images look more like the reasons of
        another class than like those of their label. The label may be wrong,
        or the image may show two things. There are at most 30, of the sample
        of each class, the most unlike first. Each dict has the `class` by the
        label, what was `said`, the class that it is most `like`, its `index`,
        `path` and `score`: how much larger the mean cosine with the reasons of
        that class is. The list is empty without labels, and for the result of
        `audit_rows`, since colors do not tell what is shown.
        """
        if self.facts.get("by_color"):
            return []
        return find_unlike(self.sample, self.reasons, self.class_names)

    def evidence(self, class_name: str) -> np.ndarray:
        """Return the mean map of the images that were called a class.

        Returns:
            Array `(rows, columns)`, the mean share of the positive evidence
            that lies in each cell. It sums to 1 if all images have some.
        """
        check_option("class_name", class_name, self.class_names)
        c = self.class_names.index(class_name)
        shares = self.statistics.share[c] / max(self.statistics.said[c], 1)
        return shares.reshape(self.statistics.grid.shape)

    def reason(self, name: str) -> Reason:
        """Return the reason of a name, such as `"dress 1"`."""
        by_name = {r.name: r for r in self.reasons}
        check_option("name", name, by_name)
        return by_name[name]

    def regions(
        self, reason: Reason | str, labels: Any = None, widen: bool = False
    ) -> np.ndarray:
        """Return where the images have a reason, as `RegionPenalty` takes it.

        A suspicious reason is looked for in up to 150 images of the class.
        With `labels`, the other images of the class get its usual place: the
        cells in which at least half of those that have it show it.

        Args:
            reason: A `Reason` of this audit, or its name.
            labels: The right class of each image, in the order in which they
                were audited, integers or names. None leaves out the images in
                which the reason was not looked for.
            widen: Whether the places reach half a cell farther on all sides,
                because a cell counts only if the cue fills most of it. Widen
                them for `train` and `exchange_regions`, as `keras-facnn train
                --avoid` does. `RegionPenalty` widens them itself.

        Returns:
            A float32 array `(images, rows, columns)` in the order in which the
            images were audited: 1 in the cells of the reason and 0 elsewhere,
            and NaN for images that are not known to have it. If widened, it has
            twice the rows and columns.

        Raises:
            ValueError: If the audit is a sum, whose images have no order. Then
                the `path` of each of `reason.members` tells which it is. Also
                with `labels`, if the images have the reason in other places
                each, so that there is no usual one.
        """
        widen = check_bool("widen", widen)
        if isinstance(reason, str):
            reason = self.reason(reason)
        if reason.kind == "texture":
            raise ValueError(
                "A texture is all over the image, so it has no region. "
                f"Received: reason={reason.name!r}"
            )
        if self.facts.get("parts", 1) > 1:
            raise ValueError(
                "The images of a sum of audits have no order. The paths and "
                "cells of `reason.members` say where they have the reason"
            )
        total = self.images + self.facts.get("unreadable", 0)
        masks = np.full((total, self.statistics.grid.cells), np.nan, "float32")
        if labels is not None:
            numbers = check_labels(
                labels, total, len(self.class_names), self.class_names
            )
            usual = reason.usual_cells
            if usual is None:
                raise ValueError(
                    "`labels` must be None for a reason without a usual place. "
                    "Draw masks for the other images of the class. Received: "
                    f"reason={reason.name!r}, {reason.place}"
                )
            masks[numbers == reason.said] = 0
            masks[np.ix_(numbers == reason.said, usual)] = 1
            masks[[pick.index for pick in reason.rest]] = np.nan
        for member in reason.members:
            masks[member.pick.index] = 0
            masks[member.pick.index, member.cells] = 1
        masks = masks.reshape(-1, *self.statistics.grid.shape)
        return widened(masks) if widen else masks

    def cover(
        self, model: Any, reason: Reason | str, pictures: int = 24
    ) -> dict[str, Any]:
        """Measure what the model answers if the places of a reason are covered.

        This tells more than evidence that is taken away, because nothing sees a
        place that is covered. It takes three forward passes per picture.

        Args:
            model: The model that was audited.
            reason: A `Reason` of this audit, or its name.
            pictures: Positive integer, how many images that have the reason to
                cover at most, those of most evidence first.

        Returns:
            A dict: how many `images`; `changed`, the share that gets another
            class than before; `control_changed`, the same if equally large
            places elsewhere are covered; and `lost` and `control_lost`, the
            mean fall of the class' logit, less that of all classes. It is kept
            in `coverings`, under the name of the reason.

        Raises:
            ValueError: If the reason is the texture of the whole image, or if
                no picture of it is there any more.
        """
        if isinstance(reason, str):
            reason = self.reason(reason)
        if reason.kind == "texture":
            raise ValueError(
                "A texture is all over the image, so it can't be covered. "
                f"Received: reason={reason.name!r}"
            )
        count = check_int("pictures", pictures)
        members = [m for m in reason.members if self.has_picture(m.pick)]
        if not members:
            raise ValueError(
                f"None of the {len(reason.members)} pictures of "
                f"{reason.name!r} is there any more"
            )
        found = cover_places(
            model, members[:count], self.statistics.grid, self.picture
        )
        self.coverings[reason.name] = found
        return found

    def has_picture(self, pick: Pick) -> bool:
        """Return whether the pixels of an image of the sample can be read."""
        if pick.picture is not None:
            return True
        return pick.path is not None and os.path.isfile(pick.path)

    def picture(self, pick: Pick) -> np.ndarray:
        """Return the pixels of an image of the sample, as the model saw them.

        Returns:
            A uint8 array `(H, W, channels)`. Images that were not files come
            back from a JPEG copy.
        """
        if pick.picture is not None:
            return read_picture(pick.picture, self.image_shape)
        assert pick.path is not None
        return read_picture(pick.path, self.image_shape, self.facts["fit"])

    # --- Ways out ---

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers as a dict that JSON can hold."""
        return outputs.as_dict(self)

    def to_json(self) -> str:
        """Return all numbers as JSON."""
        return json.dumps(self.to_dict(), indent=1)

    def to_dataframe(
        self, table: Literal["reasons", "classes", "unlike"] = "reasons"
    ) -> Any:
        """Return a table as a `pandas.DataFrame`. This needs pandas.

        Args:
            table: `"reasons"` has a row for each reason, `"classes"` a row for
                each class that was said, and `"unlike"` a row for each image
                of `unlike`.
        """
        check_option("table", table, ("reasons", "classes", "unlike"))
        return outputs.as_dataframe(self, table)

    def save(self, path: str | os.PathLike) -> None:
        """Write the audit to a file.

        Args:
            path: Path of the file. It ends in `.html` for a page that needs no
                other file and no network, or in `.json` for all numbers. The
                page needs Pillow and Matplotlib, and the photos where they were
                when they were audited.

        Raises:
            ValueError: If the path has another ending.
        """
        save(path, lambda: report.page(self), self.to_json)
