"""List the pictures of a run."""

import glob
import os
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from pyarrow import fs

from keras_facnn.batch.storage import is_address
from keras_facnn.batch.storage import open_parquet
from keras_facnn.batch.storage import open_storage
from keras_facnn.pictures.class_folders import list_pictures
from keras_facnn.pictures.opening import picture_endings

# Each row of this table names one picture, or several rows of a Parquet file of
# pictures. Paths are bytes, because names of files need not be text.
LISTING = pa.schema(
    [
        ("part", pa.int32()),
        ("path", pa.binary()),
        ("row_group", pa.int32()),
        ("start", pa.int64()),
        ("rows", pa.int64()),
    ]
)
# The columns of a Parquet file that may hold pictures or their paths.
_COLUMNS = ("bytes", "image", "path")
# A part is at most this share of a run, so that many processes have work to
# the end; but no less than this many pictures.
_PARTS = 64
_LEAST = 32


class Inputs:
    """The pictures that the inputs of a run name.

    Args:
        inputs: Paths of folders, pictures, `.parquet` files and `.txt` files
            with one path per line, patterns such as `"photos/*/a*.jpg"`, and
            addresses such as `"s3://bucket/photos"`.
        column: Name of the column of Parquet files that holds the pictures, or
            None.
    """

    def __init__(self, inputs: Sequence[str], column: str | None) -> None:
        self.column = column
        # Paths, as keys, in order. Values are not used.
        self.paths: dict[str, None] = {}
        # Path, row group and number of rows.
        self.groups: dict[tuple[str, int], int] = {}
        self.left_out: dict[str, str] = {}
        self._endings = {**picture_endings(), ".parquet": None}
        for name in inputs:
            self._add_input(name)
        if not self.pictures:
            raise ValueError(
                "`inputs` must name at least one picture. Received: "
                f"inputs={list(inputs)!r}, with {len(self.left_out)} files of "
                "other kinds"
            )

    @property
    def pictures(self) -> int:
        """How many pictures there are."""
        return len(self.paths) + sum(self.groups.values())

    def listing(self, per_part: int) -> pa.Table:
        """Return the pictures in parts, as a table of the schema `LISTING`.

        Its metadata hold the number of files that are `left_out`.
        """
        size = min(per_part, max(_LEAST, -(-self.pictures // _PARTS)))
        paths = [os.fsencode(path) for path in self.paths]
        rows: list[tuple[Any, ...]] = [
            (i // size, path, None, None, 1) for i, path in enumerate(paths)
        ]
        part = -(-len(paths) // size)
        for (path, group), count in self.groups.items():
            for start in range(0, count, size):
                length = min(size, count - start)
                rows.append((part, os.fsencode(path), group, start, length))
                part += 1
        columns = zip(*rows, strict=True)
        left_out = {"left_out": str(len(self.left_out))}
        return pa.table(
            list(map(list, columns)), schema=LISTING.with_metadata(left_out)
        )

    def _add_input(self, name: str) -> None:
        if is_address(name):
            self._add_address(name)
        elif os.path.isdir(name):
            found = list_pictures(name, ".", self._endings, self.left_out, [])
            self._add_files(
                os.path.join(name, file[2:])
                for file in found
                if not _is_of_a_run(file[2:])
            )
        elif name.endswith(".txt"):
            with open(name, encoding="utf-8", errors="surrogateescape") as file:
                self._add_files(
                    line for line in file.read().split("\n") if line
                )
        elif os.path.exists(name):
            self._add_files([name])
        elif glob.has_magic(name):
            for match in sorted(glob.iglob(name, recursive=True)):
                if os.path.isfile(match):
                    self._add_files([match])
        else:
            raise FileNotFoundError(f"There is no file or folder {name}")

    def _add_address(self, address: str) -> None:
        """Add a file in an object store, or all in a folder there."""
        system, path = open_storage(address)
        kind = system.get_file_info(path).type
        if kind == fs.FileType.NotFound:
            raise FileNotFoundError(f"There is no file or folder {address}")
        if kind != fs.FileType.Directory:
            self._add_files([address])
            return
        folder = address.rstrip("/")
        selector = fs.FileSelector(path, recursive=True)
        for info in sorted(
            system.get_file_info(selector), key=lambda i: i.path
        ):
            inner = info.path[len(path.rstrip("/")) + 1 :]
            if info.type != fs.FileType.File or _is_of_a_run(inner):
                continue
            file = f"{folder}/{inner}"
            ending = os.path.splitext(info.path)[1].lower()
            if ending in self._endings:
                self._add_files([file])
            else:
                self.left_out[file] = "no picture's ending"

    def _add_files(self, files: Iterable[str]) -> None:
        for file in files:
            path = file if is_address(file) else os.path.abspath(file)
            if path.lower().endswith(".parquet"):
                self._add_parquet(path)
            else:
                self.paths[path] = None

    def _add_parquet(self, path: str) -> None:
        with open_parquet(path) as file:
            name = picture_column(file.schema_arrow, self.column, path)
            if _is_text(file.schema_arrow.field(name).type):
                for batch in file.iter_batches(columns=[name]):
                    self._add_files(p for p in batch[name].to_pylist() if p)
                return
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                self.groups[path, group] = rows


def _is_text(kind: pa.DataType) -> bool:
    return (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
    )


def _is_bytes(kind: pa.DataType) -> bool:
    return (
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
    )


def _is_of_a_run(path: str) -> bool:
    """Whether a file is the record of a run, whose output is an input, too."""
    return "_run" in path.replace(os.sep, "/").split("/")[:-1]


def picture_column(schema: pa.Schema, column: str | None, path: str) -> str:
    """Return the name of the column that holds pictures, or their paths."""
    names = _COLUMNS if column is None else (column,)
    for name in names:
        if name in schema.names:
            kind = schema.field(name).type
            if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
                return name
            if _is_text(kind) or _is_bytes(kind):
                return name
    raise ValueError(
        f"{path} must have a column {' or '.join(map(repr, names))} with the "
        "bytes or the paths of pictures. Received: columns "
        + ", ".join(f"{f.name!r} ({f.type})" for f in schema)
    )
