"""Audit the output of `keras-facnn batch`, without the model."""

import dataclasses
import heapq
import os
import pathlib
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any
from typing import Literal

import numpy as np
from keras import ops

from keras_facnn._backend.forward import progress_bar
from keras_facnn._checks.arguments import check_option
from keras_facnn._checks.classes import check_labels
from keras_facnn._checks.packages import how_to_install
from keras_facnn._checks.text import printable
from keras_facnn.auditing.looks import texture
from keras_facnn.auditing.looks import thumbnail
from keras_facnn.auditing.observing import Observations
from keras_facnn.auditing.observing import places_of_most
from keras_facnn.auditing.reasons import colors_of_cells
from keras_facnn.auditing.result import Audit
from keras_facnn.auditing.sample import Pick
from keras_facnn.auditing.sample import Sample
from keras_facnn.auditing.sample import answers_of
from keras_facnn.auditing.sample import images_per_class
from keras_facnn.auditing.sample import sampling_key
from keras_facnn.auditing.statistics import Statistics
from keras_facnn.auditing.statistics import deciding
from keras_facnn.evaluation.names import names_of_classes
from keras_facnn.grid import Grid
from keras_facnn.pictures.encoding import jpeg_bytes
from keras_facnn.pictures.read_ahead import read_ahead
from keras_facnn.pictures.reading import read_picture

# Rows that are read at a time.
_ROWS = 1024
# Pictures that are read at a time, and the threads that do it.
_READ_AHEAD = 32
_THREADS = 4


def audit_rows(
    rows: str | os.PathLike[str],
    labels: Literal["folders"] | Mapping[str, str | int] | None = "folders",
    *,
    verbose: int = 0,
) -> Audit:
    """Audit the output of `keras-facnn batch`, without the model.

    The rows hold the answers and the maps, from which the audit makes the same
    sums as `audit`. Only a sample of the pictures is read again, up to 12,000
    in all, to see what repeats in them. It needs PyArrow, and Pillow.

    It differs from `audit` in this:

    - The rows hold no features. So places that look alike are found by their
      colors, and `unlike` is empty.
    - Without the evidence of a place, an answer can only become one of the
      classes whose maps are in the rows.
    - Which pictures are sampled depends on their paths.

    Args:
        rows: Path of the folder that `keras-facnn batch --maps 16` wrote. It
            needs the maps of two classes per picture at least.
        labels: The right class of each picture: `"folders"` if it is the name
            of the picture's folder, wherever that is the name of a class; a
            dict from paths to classes, numbers or names; or None.
        verbose: 1 shows a progress bar, 0 does not.

    Returns:
        An `Audit`. Those of parts of a data set can be added: `a + b`.

    Raises:
        FileNotFoundError: If there are no such files.
        ValueError: If the rows lack maps, or if these are centered.

    Example:

    >>> import os
    >>> import keras_facnn
    >>> if os.path.isdir("maps"):  # the output of `keras-facnn batch`
    ...     audit = keras_facnn.audit_rows("maps")
    ...     audit.save("audit.html")
    """
    files = _Files(rows)
    names = names_of_classes(files.facts["class_names"], files.num_classes)
    label_of = _labels(labels, files.num_classes, files.facts["class_names"])
    several = bool(files.facts["several_labels"])
    statistics = Statistics(files.num_classes, files.grid, several)
    chosen = _Chosen(images_per_class(files.num_classes))
    bar = progress_bar(files.count, verbose, "picture")
    position = unreadable = 0
    for table in files.tables():
        index = position + np.flatnonzero(table["error"].is_null())
        position += len(table)
        bar.add(len(table))
        unreadable += len(table) - len(index)
        if not len(index):
            continue
        paths, seen = files.observations(table)
        known = np.array([label_of(path) for path in paths])
        statistics.add(seen, known)
        for i, path in enumerate(paths):
            chosen.add(_Answer(path, int(index[i]), int(known[i]), seen, i))
    if not statistics.images:
        raise ValueError(
            f"`rows` must hold at least one picture that could be read. "
            f"Received: {position:,} rows"
        )
    sample = Sample(files.num_classes, chosen.size)
    gone = _read(chosen.answers(), files, sample)
    notes = [
        "The model was not run: places that look alike are alike in color, and "
        f"an answer can only become one of {files.maps} classes."
    ]
    if gone:
        notes.append(
            f"{gone:,} pictures of the sample could not be read again, so that "
            "reasons leave them out."
        )
    return Audit(
        statistics=statistics,
        sample=sample,
        class_names=names,
        image_shape=files.image_shape,
        facts={
            # The first digits of the hash of its file tell which one it is.
            "model": f"the exported model {files.facts['model'][:12]}",
            "folder": os.fspath(rows),
            "fit": files.facts["fit"],
            "unreadable": unreadable,
            "by_color": True,
        },
        notes=notes,
    )


class _Files:
    """The files of a run, and what they say of the model."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        try:
            from keras_facnn.batch.output import open_run
        except ImportError as e:
            raise ImportError(
                f"`audit_rows` needs PyArrow ({e}): {how_to_install('batch')}"
            ) from e
        self._run = open_run(folder)
        self.facts = self._run.facts
        self.count = self._run.count
        self.num_classes = int(self.facts["num_classes"])
        height, width, channels = self.facts["image_shape"]
        self.image_shape = int(height), int(width), int(channels)
        self.maps = int(self.facts["maps_per_picture"])
        where = printable(str(folder))
        if self.maps < 2:
            raise ValueError(
                "`rows` must hold the maps of two classes per picture or "
                "more, so that a reason can be compared with those of a "
                "rival: run the batch with --maps 16. Received: "
                f"{where}, with the maps of {self.maps}"
            )
        if self.facts["centered"]:
            raise ValueError(
                "`rows` must hold raw maps, which sum to the logits. Received: "
                f"{where}, of a model that was exported with centered maps"
            )
        self.grid = Grid(*self.facts["sides"]["maps"])

    def tables(self) -> Iterator[Any]:
        """Yield the rows in order, some at a time."""
        columns = ["path", "error", "top_classes", "top_logits"]
        maps = ("maps", "mean_maps", "maps_step")
        yield from self._run.tables(columns, maps, _ROWS)

    def observations(self, table: Any) -> tuple[list[str], Observations]:
        """Return the paths of the pictures that could be read, and the rest."""
        table = table.filter(table["error"].is_null())
        count, kept = len(table), self.maps
        size = self.grid.height * self.grid.width

        def column(name: str) -> np.ndarray:
            values = table[name].combine_chunks()
            flat = values.flatten().to_numpy(zero_copy_only=False)
            return flat.reshape(count, -1)

        factor = np.full((count, 1, 1, 1), self.facts["scale"] / size)
        if "maps_step" in table.column_names:
            step = table["maps_step"].to_numpy().reshape(count, 1, 1, 1)
            factor = factor * step
        sides = self.grid.height, self.grid.width
        maps = factor * column("maps").reshape(count, kept, *sides)
        mean = factor * column("mean_maps").reshape(count, 1, *sides)
        evidence = self.grid.sum(maps).reshape(count, kept, -1)
        mean_evidence = self.grid.sum(mean).reshape(count, -1)
        decides = deciding(
            evidence[:, 0], mean_evidence, self.facts["several_labels"]
        ).astype("float32")
        places = ops.convert_to_numpy(places_of_most(decides, self.grid))
        return table["path"].to_pylist(), Observations(
            classes=column("top_classes")[:, :kept],
            logits=column("top_logits")[:, :kept],
            evidence=evidence.astype("float32"),
            mean_evidence=mean_evidence.astype("float32"),
            places=places,
            features=np.zeros((count, places.shape[1], 0)),
        )


@dataclasses.dataclass(frozen=True, eq=False)
class _Answer:
    """The row of one picture.

    Args:
        path: The path of the picture.
        index: The position of the row.
        label: The number of the right class, or -1.
        seen: The observations of several rows.
        i: Which of them it is.
    """

    path: str
    index: int
    label: int
    seen: Observations
    i: int

    def apart(self) -> "_Answer":
        """Return it without the other rows."""
        parts = {
            field.name: getattr(self.seen, field.name)[[self.i]]
            for field in dataclasses.fields(Observations)
        }
        return dataclasses.replace(self, seen=Observations(**parts), i=0)


class _Chosen:
    """Up to `size` rows per class, those whose paths have the smallest keys."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._heaps: dict[int, list[tuple[int, int, _Answer]]] = {}

    def add(self, answer: _Answer) -> None:
        """Add a row, if it belongs to those."""
        key = sampling_key(answer.path.encode("utf-8", "surrogateescape"))
        heap = self._heaps.setdefault(int(answer.seen.classes[answer.i, 0]), [])
        # Rows are never compared, because their positions differ.
        entry = -key, answer.index
        if len(heap) < self.size:
            heapq.heappush(heap, (*entry, answer.apart()))
        elif entry > heap[0][:2]:
            heapq.heapreplace(heap, (*entry, answer.apart()))

    def answers(self) -> list[_Answer]:
        """Return all of them in the order of the rows."""
        found = [a for heap in self._heaps.values() for _, _, a in heap]
        return sorted(found, key=lambda a: a.index)


def _read(answers: list[_Answer], files: _Files, sample: Sample) -> int:
    """Read pictures into a sample, and return how many are gone."""
    from keras_facnn.batch.storage import is_address
    from keras_facnn.batch.storage import read_bytes

    def read(answer: _Answer) -> np.ndarray:
        path = answer.path
        source = read_bytes(path) if is_address(path) else path
        return read_picture(source, files.image_shape, files.facts["fit"])

    gone = 0
    for batch in read_ahead(answers, read, _READ_AHEAD, _THREADS):
        for i, pixels in batch:
            if isinstance(pixels, Exception):
                gone += 1
                continue
            answer = answers[i]
            shown = is_address(answer.path)
            small = thumbnail(pixels, files.grid)
            colors = colors_of_cells(small[None], files.grid)[0]
            kept = answers_of(answer.seen, 0)
            sample.add(
                Pick(
                    key=sampling_key(pixels.tobytes()),
                    index=answer.index,
                    label=answer.label,
                    path=answer.path,
                    picture=jpeg_bytes(pixels, quality=92) if shown else None,
                    thumbnail=small,
                    texture=texture(pixels),
                    features=colors[kept["places"]].astype("float16"),
                    **kept,
                )
            )
    return gone


def _labels(labels: Any, num_classes: int, names: Any) -> Any:
    """Return a function from a path to the number of its class, or -1."""
    if labels is None:
        return lambda path: -1
    if isinstance(labels, Mapping):
        numbers = check_labels(
            list(labels.values()), len(labels), num_classes, names
        )
        by_path = dict(
            zip(map(os.fspath, labels), numbers.tolist(), strict=True)
        )
        return lambda path: by_path.get(path, -1)
    check_option("labels", labels, ("folders",))
    by_name = {name: i for i, name in enumerate(names or ())}
    return lambda path: by_name.get(pathlib.PurePath(path).parent.name, -1)
