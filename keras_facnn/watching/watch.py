"""Compare the evidence in a stream of pictures with a reference."""

import dataclasses
import io
import math
import os
import pathlib
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_facnn._checks.arrays import finite_array
from keras_facnn._checks.numbers import check_float
from keras_facnn._checks.numbers import check_int
from keras_facnn._checks.text import printable
from keras_facnn.grid import Grid
from keras_facnn.watching.bets import Bets


@dataclasses.dataclass(frozen=True, eq=False)
class Alarm:
    """Evidence has moved.

    Args:
        picture: How many pictures had been seen when the alarm was raised.
        place: Where in the image the evidence differs most, in words.
        capital: Float array `(rows, columns)`, how much each cell of the grid
            speaks for a change: the logarithm to base 10 of the capital that
            a bettor has won there. 0 or less means nothing.
    """

    picture: int
    place: str
    capital: np.ndarray

    def __str__(self) -> str:
        return (
            f"After {self.picture:,} pictures, evidence differs from the "
            f"reference, most {self.place}"
        )


class Watch:
    """Notice that evidence moves, before accuracy can be known.

    A stain on the lens, a new watermark or another camera changes where a model
    finds evidence, often long before its answers or its confidences tell. A
    watch compares the evidence for the class that is said, in each cell of a
    coarse grid, with that in reference pictures of the same class. So it raises
    no alarm if only the classes become more or less frequent.

    If new pictures are like those of the reference, then an alarm within the
    next `pictures` pictures has a probability of at most `false_alarms`, for
    any model and any data. Take the reference from pictures that the model was
    not trained on, because evidence in these is different.

    For each cell, the rank of a picture's evidence among all earlier pictures
    of its class is uniform if nothing has changed. A bettor bets against that,
    and an alarm is raised when the mean capital of all cells' bettors has
    grown by `1 / false_alarms`. Source: conformal test martingales (Vovk,
    Nouretdinov and Gammerman, "Testing exchangeability on-line", ICML 2003).

    Args:
        reference: Columns of reference pictures, as `Explainer` returns them
            with `centered=True`: a dict of `"class"`, integers `(B,)`, and
            `"maps"`, an array `(B, h, w)` of the maps of these classes. 100
            pictures per class or more tell more.
        false_alarms: Float in 0..1, the probability of a false alarm.
        pictures: Positive integer. After so many pictures, all bets start
            anew, and the pictures in between are forgotten.
        seed: Seed of the numbers that break ties.

    Example:

    >>> import numpy as np
    >>> from keras_facnn.watching import Watch
    >>> rng = np.random.default_rng(0)
    >>> def columns(count):
    ...     classes = rng.integers(0, 3, count)
    ...     return {"class": classes, "maps": rng.normal(size=(count, 8, 8))}
    >>> watch = Watch(columns(600))
    >>> watch.add(columns(500))
    >>> stained = columns(200)
    >>> stained["maps"][:, :2, :2] -= 2
    >>> print(watch.add(stained).place)
    at the upper left
    """

    def __init__(
        self,
        reference: Mapping[str, Any],
        *,
        false_alarms: float = 1e-4,
        pictures: int = 10_000,
        seed: int = 0,
    ) -> None:
        self.false_alarms = check_float(
            "false_alarms", false_alarms, above=0, below=1
        )
        self.pictures = check_int("pictures", pictures)
        self.seed = check_int("seed", seed, 0)
        classes, maps = _check_columns("reference", reference)
        if not len(classes):
            raise ValueError("`reference` must hold at least one picture")
        self.grid = Grid(*maps.shape[1:])
        self._reference = classes, self._evidence(maps)
        self.seen = 0
        self.reset()

    def reset(self) -> None:
        """Start all bets anew, and forget the pictures of the stream."""
        classes, evidence = self._reference
        self.alarm: Alarm | None = None
        self._bets = Bets(self.grid.cells)
        self._since_start = 0
        self._rng = np.random.default_rng([self.seed, self.seen])
        self._earlier = {
            int(c): _Growing(evidence[classes == c]) for c in np.unique(classes)
        }

    def add(self, columns: Mapping[str, Any]) -> Alarm | None:
        """Add pictures of the stream.

        Args:
            columns: As `reference`.

        Returns:
            The `Alarm`, from the picture on at which it was raised until
            `reset` is called, or None.
        """
        classes, maps = _check_columns("columns", columns)
        if maps.shape[1:] != (self.grid.height, self.grid.width):
            raise ValueError(
                "`columns` must have maps of the shape of the reference, "
                f"{(self.grid.height, self.grid.width)}. Received: maps of "
                f"shape {maps.shape[1:]}"
            )
        for c, evidence in zip(classes, self._evidence(maps), strict=True):
            self._add(int(c), evidence)
        return self.alarm

    @property
    def capital(self) -> float:
        """How much speaks for a change: 0 is nothing, and 1 is an alarm.

        It is the logarithm of the mean capital, as a share of what an alarm
        needs. It can fall below 0.
        """
        return self._bets.mean_log_capital / -math.log(self.false_alarms)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the reference and the settings, without the stream.

        Args:
            path: Path of the file, which ends in `.npz`.
        """
        path = _check_ending(path)
        classes, evidence = self._reference
        file = io.BytesIO()
        np.savez_compressed(
            file,
            classes=classes,
            evidence=evidence,
            maps_shape=[self.grid.height, self.grid.width],
            false_alarms=self.false_alarms,
            pictures=self.pictures,
            seed=self.seed,
        )
        path.write_bytes(file.getvalue())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Watch":
        """Return a watch of a reference that `save` wrote.

        Args:
            path: Path of the file.

        Raises:
            ValueError: If the file is of another kind, or damaged.
        """
        path = _check_ending(path)
        try:
            # NumPy leaves a damaged file open.
            data = io.BytesIO(path.read_bytes())
            with np.load(data, allow_pickle=False) as file:
                values = {name: file[name] for name in file.files}
            classes, evidence = values["classes"], values["evidence"]
            grid = Grid(*map(int, values["maps_shape"]))
            if evidence.shape != (len(classes), grid.cells):
                raise ValueError("its parts do not fit each other")
            watch = cls(
                {"class": classes[:1], "maps": np.zeros((1, *_shape(grid)))},
                false_alarms=float(values["false_alarms"]),
                pictures=int(values["pictures"]),
                seed=int(values["seed"]),
            )
        except (
            *(ValueError, KeyError, TypeError, EOFError),
            *(AttributeError, zlib.error, zipfile.BadZipFile),
        ) as e:
            raise ValueError(
                f"{printable(str(path))} is not a reference that `Watch.save` "
                f"wrote, or is damaged: {e}"
            ) from e
        watch._reference = classes, evidence
        watch.reset()
        return watch

    def __repr__(self) -> str:
        return (
            f"<Watch on {len(self._reference[0]):,} reference pictures: "
            f"{self.seen:,} seen, "
            f"{'an alarm' if self.alarm else 'no alarm'}>"
        )

    def _evidence(self, maps: np.ndarray) -> np.ndarray:
        """Return the mean evidence in each cell, `(B, cells)`."""
        sums = self.grid.sum(maps).reshape(len(maps), -1)
        return sums / (self.grid.height * self.grid.width)

    def _add(self, said: int, evidence: np.ndarray) -> None:
        if self._since_start == self.pictures:
            self.reset()
        self.seen += 1
        if self.alarm is not None:
            # What comes after it would be kept without end.
            return
        self._since_start += 1
        earlier = self._earlier.setdefault(
            said, _Growing(np.empty((0, len(evidence)), evidence.dtype))
        )
        self._bets.add(earlier.rank(evidence, self._rng))
        earlier.append(evidence)
        if self.capital >= 1:
            won = self._bets.log_capital
            # The cells that have won nearly as much as the best one.
            most = np.flatnonzero(won >= won.max() / 2)
            self.alarm = Alarm(
                self.seen,
                self.grid.in_words(most),
                (won / math.log(10)).reshape(self.grid.shape),
            )


class _Growing:
    """Rows that grow in place."""

    def __init__(self, rows: np.ndarray) -> None:
        self._room, self._count = rows.copy(), len(rows)

    def append(self, row: np.ndarray) -> None:
        """Add a row."""
        if self._count == len(self._room):
            more = np.empty((max(len(self._room), 16), len(row)), row.dtype)
            self._room = np.concatenate([self._room, more])
        self._room[self._count] = row
        self._count += 1

    def rank(self, row: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the rank of each value among those of all rows, in 0..1.

        Ties are broken at random. So ranks are uniform if all rows, and this
        one, come in an order that means nothing.
        """
        rows = self._room[: self._count]
        less = (rows < row).sum(axis=0)
        equal = (rows == row).sum(axis=0) + 1
        return (less + rng.uniform(size=len(row)) * equal) / (len(rows) + 1)


def _shape(grid: Grid) -> tuple[int, int]:
    return grid.height, grid.width


def _check_columns(
    name: str, columns: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes and the maps of columns, or raise."""
    if not isinstance(columns, Mapping):
        raise TypeError(
            f"`{name}` must be the columns that an `Explainer` returns, a "
            f"dict. Received: {name} of type {type(columns).__name__}"
        )
    missing = [key for key in ("class", "maps") if key not in columns]
    if missing:
        raise ValueError(
            f"`{name}` must have the columns 'class' and 'maps'. Received: "
            f"{', '.join(map(repr, columns))}"
        )
    classes = np.asarray(columns["class"])
    maps = finite_array(name, np.asarray(columns["maps"], "float32"))
    if (
        classes.ndim != 1
        or classes.dtype.kind not in "iu"
        or maps.ndim != 3
        or len(maps) != len(classes)
    ):
        raise ValueError(
            f"`{name}` must have integers 'class' (B,) and 'maps' (B, h, w) of "
            f"these classes. Received: {classes.dtype} {classes.shape} and "
            f"{maps.shape}"
        )
    return classes, maps


def _check_ending(path: str | os.PathLike[str]) -> pathlib.Path:
    checked = pathlib.Path(path)
    if checked.suffix != ".npz":
        raise ValueError(
            f"`path` must end in .npz. Received: path={str(checked)!r}"
        )
    return checked
