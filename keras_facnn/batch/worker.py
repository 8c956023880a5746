"""Explain one part of a run, in a process of its own."""

import os
import warnings
from collections.abc import Iterator
from typing import Any
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from keras_facnn._checks.text import printable
from keras_facnn.batch.inputs import picture_column
from keras_facnn.batch.rows import Rows
from keras_facnn.batch.run_folder import RunFolder
from keras_facnn.batch.storage import is_address
from keras_facnn.batch.storage import open_parquet
from keras_facnn.batch.storage import read_bytes
from keras_facnn.pictures.read_ahead import read_ahead
from keras_facnn.pictures.reading import picture_size
from keras_facnn.pictures.reading import read_picture

# Rows are written when they take so many bytes, or when the part ends.
_GROUP_BYTES = 2**26
# How many processes may die in one part.
_MOST_TRIES = 3
# Threads of each process that read pictures. There is a process per core, so
# that more would only wait; an object store answers several at a time.
_THREADS = 4


class Picture(NamedTuple):
    """A picture to read: its name in the output, and its bytes or None."""

    path: str
    data: bytes | None


class Worker:
    """What Ray Data runs in each process.

    Args:
        folder: The `RunFolder`.
        rows: The `Rows`, whose `Explainer` opens its own session here.
        column: Name of the column of Parquet files, or None.
        batch_size: Positive integer, pictures per forward pass.
        call: Text that only the workers of one call have.
    """

    def __init__(
        self,
        folder: RunFolder,
        rows: Rows,
        column: str | None,
        batch_size: int,
        call: str,
    ) -> None:
        self.folder = folder
        self.rows = rows
        self.column = column
        self.batch_size = batch_size
        self.call = call

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Write one part, and return how many pictures it has.

        Args:
            batch: A dict whose `"part"` is the number of the part.
        """
        (part,) = batch["part"].tolist()
        self._check_tries(part)
        pictures = unreadable = 0

        def write(writer: parquet.ParquetWriter) -> None:
            nonlocal pictures, unreadable
            waiting: list[pa.Table] = []
            for table in self._tables(part):
                pictures += len(table)
                unreadable += len(table) - table["error"].null_count
                waiting.append(table)
                if sum(t.nbytes for t in waiting) > _GROUP_BYTES:
                    writer.write_table(pa.concat_tables(waiting))
                    waiting = []
            if waiting:
                writer.write_table(pa.concat_tables(waiting))

        self.folder.write_part(part, self.rows.schema, write)
        return {
            "pictures": np.array([pictures]),
            "unreadable": np.array([unreadable]),
        }

    def _check_tries(self, part: int) -> None:
        """Raise if processes died too often in a part.

        Ray starts them again without end.
        """
        if self.folder.count_try(part, self.call) > _MOST_TRIES:
            paths = [row["path"] for row in self.folder.read_part(part)]
            raise RuntimeError(
                f"{_MOST_TRIES} processes died in part {part}: their memory "
                "may be too small, or a picture may crash its decoder. It has "
                f"{len(paths)} inputs, from "
                f"{printable(os.fsdecode(paths[0]))} to "
                f"{printable(os.fsdecode(paths[-1]))}"
            )

    def _tables(self, part: int) -> Iterator[pa.Table]:
        """Yield the rows of a part, a batch at a time."""
        for pictures in self._pictures(part):
            for batch in read_ahead(
                pictures, self._read, self.batch_size, _THREADS
            ):
                yield self._table(
                    [pictures[i].path for i, _ in batch],
                    [found for _, found in batch],
                )

    def _pictures(self, part: int) -> Iterator[list[Picture]]:
        """Yield the pictures of a part, some at a time if it has bytes."""
        listed = self.folder.read_part(part)
        if listed[0]["row_group"] is None:
            yield [Picture(os.fsdecode(row["path"]), None) for row in listed]
            return
        for row in listed:
            yield from _pictures_in_parquet(
                os.fsdecode(row["path"]),
                row["row_group"],
                range(row["start"], row["start"] + row["rows"]),
                self.column,
                8 * self.batch_size,
            )

    def _read(self, picture: Picture) -> tuple[np.ndarray, tuple[int, int]]:
        """Return the pixels and the original size of a picture."""
        source: Any = picture.data
        if source is None:
            source = picture.path
            if is_address(source):
                source = read_bytes(source)
        explainer = self.rows.explainer
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            size = picture_size(source)
            return read_picture(
                source, explainer.image_shape, explainer.fit
            ), size

    def _table(self, paths: list[str], found: list[Any]) -> pa.Table:
        """Return the rows of a batch of pictures or errors."""
        read = [f for f in found if not isinstance(f, Exception)]
        columns = None
        if read:
            columns = self.rows.explainer(
                np.stack([pixels for pixels, _ in read]),
                "all",
                batch_size=self.batch_size,
            )
        return self.rows.table(
            [printable(path) for path in paths],
            [None if isinstance(f, Exception) else f[1] for f in found],
            [_reason(f) if isinstance(f, Exception) else None for f in found],
            columns,
        )


def _reason(error: Exception) -> str:
    return printable(" ".join(str(error).split()) or type(error).__name__)


def _pictures_in_parquet(
    path: str, group: int, wanted: range, column: str | None, batch_size: int
) -> Iterator[list[Picture]]:
    """Yield the pictures in some rows of a row group of a Parquet file."""
    with open_parquet(path) as file:
        before = sum(file.metadata.row_group(g).num_rows for g in range(group))
        name = picture_column(file.schema_arrow, column, path)
        position = 0
        for batch in file.iter_batches(
            batch_size, row_groups=[group], columns=[name]
        ):
            values = batch[name]
            if pa.types.is_struct(values.type):
                values = values.field("bytes")
            rows = range(position, position + len(batch))
            position = rows.stop
            kept = range(
                max(rows.start, wanted.start), min(rows.stop, wanted.stop)
            )
            if kept:
                yield [
                    Picture(
                        f"{path}#{before + i}",
                        values[i - rows.start].as_py() or b"",
                    )
                    for i in kept
                ]
            if position >= wanted.stop:
                return
