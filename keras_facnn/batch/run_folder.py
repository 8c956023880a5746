"""The folder of a run: what is done in it, and what is left to do."""

import json
import posixpath
import re
import uuid
from collections.abc import Callable
from typing import Any

import pyarrow as pa
from pyarrow import dataset
from pyarrow import fs
from pyarrow import parquet

from keras_facnn.batch.storage import open_storage
from keras_facnn.batch.storage import write_aside


class RunFolder:
    """The output folder of a run. Each part is one Parquet file.

    A part is written in the folder `_run` within it, and renamed when it is
    whole. Readers of Parquet skip a folder of such a name. So a file that has
    a part's name is complete, at any moment at which a process may be killed,
    and a part that is done twice is there once.

    Args:
        path: Path or address of the folder.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._system, self._root = open_storage(path)

    def start(
        self, facts: dict[str, Any], listing: Callable[[], pa.Table]
    ) -> bool:
        """Begin a run, or continue the one that is there.

        Args:
            facts: What must be equal for a run to be continued.
            listing: Function that returns the table of its pictures.

        Returns:
            Whether a run is continued.
        """
        if self._exists("_run/run.json"):
            self._check_same(facts)
            return True
        if self._parts():
            raise ValueError(
                "`output` must be a new folder, or that of a run to continue. "
                f"Received: output={self.path!r}, which has files of parts and "
                "no record of their run"
            )
        self._system.create_dir(self._at("_run"), recursive=True)
        table = listing()
        self._write(
            "_run/inputs.parquet",
            lambda file: parquet.write_table(table, file, row_group_size=2**14),
        )
        # It comes last: without this file, a run begins anew.
        text = json.dumps(facts, indent=1).encode("utf-8")
        self._write("_run/run.json", lambda file: file.write(text))
        return False

    def read_part(self, part: int) -> list[dict[str, Any]]:
        """Return the rows of a part, which have the columns of `LISTING`."""
        with self._system.open_input_file(self._at("_run/inputs.parquet")) as f:
            table = parquet.read_table(f, filters=[("part", "=", part)])
        return table.to_pylist()

    def write_part(
        self, part: int, schema: pa.Schema, write: Callable[[Any], None]
    ) -> None:
        """Write the file of a part.

        Args:
            part: The number of the part.
            schema: The schema of the file.
            write: Function that is given a `ParquetWriter`.
        """

        def write_all(file: Any) -> None:
            with parquet.ParquetWriter(
                file, schema, compression="zstd"
            ) as writer:
                write(writer)

        self._write(f"part-{part:06d}.parquet", write_all)

    def count_try(self, part: int, call: str) -> int:
        """Note that a part is begun, and return how often it was.

        Args:
            part: The number of the part.
            call: Text that is different in each call that continues the run.
        """
        start = f"part-{part:06d}-{call}"
        names = (posixpath.basename(info.path) for info in self._list("_run"))
        count = sum(name.startswith(start) for name in names) + 1
        self._write(f"_run/{start}-{count}.begun", lambda file: None)
        return count

    def left(self) -> tuple[list[int], int, int]:
        """Return the parts to do, all pictures, and the pictures of the rest.

        Returns:
            The numbers of the parts that are left, how many pictures the run
            has, and how many of them are in parts that are done.
        """
        done = self._parts()
        rows: dict[int, int] = {}
        with self._system.open_input_file(self._at("_run/inputs.parquet")) as f:
            with parquet.ParquetFile(f) as file:
                for batch in file.iter_batches(columns=["part", "rows"]):
                    for part, count in zip(*batch.columns, strict=True):
                        number = part.as_py()
                        rows[number] = rows.get(number, 0) + count.as_py()
        left = [part for part in rows if part not in done]
        pictures = sum(rows.values())
        return left, pictures, pictures - sum(rows[part] for part in left)

    def unreadable(self) -> int:
        """Return how many pictures of the parts that are done have an error."""
        files = [
            self._at(f"part-{part:06d}.parquet")
            for part in sorted(self._parts())
        ]
        if not files:
            return 0
        rows = dataset.dataset(files, filesystem=self._system, format="parquet")
        return rows.count_rows(filter=dataset.field("error").is_valid())

    def left_out(self) -> int:
        """Return how many files the inputs name that are no pictures."""
        with self._system.open_input_file(self._at("_run/inputs.parquet")) as f:
            return int(parquet.read_schema(f).metadata[b"left_out"])

    def finish(self) -> None:
        """Remove what killed processes have left."""
        for info in self._list("_run"):
            if info.path.endswith((".begun", ".writing")):
                self._system.delete_file(info.path)

    def _parts(self) -> set[int]:
        names = (posixpath.basename(info.path) for info in self._list(""))
        found = (re.fullmatch(r"part-(\d+)\.parquet", name) for name in names)
        return {int(match[1]) for match in found if match}

    def _check_same(self, facts: dict[str, Any]) -> None:
        with self._system.open_input_file(self._at("_run/run.json")) as file:
            before = json.loads(file.read())
        for name in facts | before:
            if facts.get(name) != before.get(name):
                raise ValueError(
                    f"{self.path!r} holds a run with another {name}. To "
                    f"continue it, use {before.get(name)!r}; or name another "
                    f"`output`. Received: {name}={facts.get(name)!r}"
                )

    def _write(self, name: str, write: Callable[[Any], Any]) -> None:
        aside = self._at(f"_run/{uuid.uuid4().hex}.writing")
        write_aside(self._system, self._at(name), aside, write)

    def _exists(self, name: str) -> bool:
        info = self._system.get_file_info(self._at(name))
        return info.type == fs.FileType.File

    def _list(self, name: str) -> list[Any]:
        selector = fs.FileSelector(self._at(name), allow_not_found=True)
        return self._system.get_file_info(selector)

    def _at(self, name: str) -> str:
        return posixpath.join(self._root, name).rstrip("/")
