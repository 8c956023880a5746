"""Read what a run has written."""

import dataclasses
import json
import os
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from pyarrow import fs
from pyarrow import parquet

from keras_facnn._checks.text import printable
from keras_facnn.batch.storage import open_storage


@dataclasses.dataclass(frozen=True)
class Run:
    """The files `part-NUMBER.parquet` of a run.

    Args:
        facts: What the files say of the model.
        count: The number of rows.
        system: The file system.
        paths: The paths of the files on it, in order.
    """

    facts: dict[str, Any]
    count: int
    system: Any
    paths: list[str]

    def tables(
        self, columns: Sequence[str], optional: Sequence[str], size: int
    ) -> Iterator[pa.Table]:
        """Yield some columns of all rows, in order.

        Args:
            columns: The names of the columns.
            optional: Names of columns that may be absent.
            size: The most rows of a table.
        """
        for path in self.paths:
            with parquet.ParquetFile(self.system.open_input_file(path)) as file:
                known = set(file.schema_arrow.names)
                wanted = [*columns, *(n for n in optional if n in known)]
                for batch in file.iter_batches(size, columns=wanted):
                    yield pa.Table.from_batches([batch])


def open_run(folder: str | os.PathLike[str]) -> Run:
    """Return what a run has written.

    Args:
        folder: Path or address of its output.

    Raises:
        FileNotFoundError: If there is no file of a run.
        ValueError: If the files are of different runs, or of no run.
    """
    where = printable(os.fspath(folder))
    system, path = open_storage(os.fspath(folder))
    selector = fs.FileSelector(path, allow_not_found=True)
    paths = sorted(
        info.path
        for info in system.get_file_info(selector)
        if info.base_name.startswith("part-") and info.extension == "parquet"
    )
    if not paths:
        raise FileNotFoundError(
            f"There are no files part-*.parquet of `keras-facnn batch` in "
            f"{where}"
        )
    facts, count = None, 0
    for path in paths:
        with parquet.ParquetFile(system.open_input_file(path)) as file:
            text = (file.schema_arrow.metadata or {}).get(b"keras_facnn")
            count += file.metadata.num_rows
        if text is None:
            raise ValueError(
                f"{printable(path)} was not written by `keras-facnn batch`"
            )
        if facts is not None and text != facts:
            raise ValueError(
                f"The files in {where} are of different models or settings"
            )
        facts = text
    assert facts is not None
    return Run(json.loads(facts), count, system, paths)
