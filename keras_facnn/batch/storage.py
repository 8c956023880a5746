"""Files on a disk or in an object store, by PyArrow's file systems."""

import os
import re
from typing import Any

from pyarrow import fs
from pyarrow import parquet


def is_address(path: str) -> bool:
    """Whether a path is an address such as `s3://bucket/folder`."""
    return re.match(r"[A-Za-z][\w+.-]+://", path) is not None


def open_storage(path: str) -> tuple[Any, str]:
    """Return the file system of a path, and the path on it.

    Args:
        path: A path on the disk, or an address that PyArrow knows, such as
            `s3://bucket/folder`.
    """
    if is_address(path):
        return fs.FileSystem.from_uri(path)
    return fs.LocalFileSystem(), os.path.abspath(path)


def read_bytes(address: str) -> bytes:
    """Return the contents of a file at an address."""
    system, path = open_storage(address)
    with system.open_input_file(path) as file:
        return file.read()


def open_parquet(path: str) -> parquet.ParquetFile:
    """Open a Parquet file, whose row groups are read page by page.

    By default, PyArrow reads a whole row group, which may hold gigabytes of
    pictures.

    Args:
        path: A path on the disk, or an address.
    """
    system, place = open_storage(path)
    return parquet.ParquetFile(
        system.open_input_file(place), pre_buffer=False, buffer_size=2**20
    )


def write_aside(system: Any, path: str, aside: str, write: Any) -> None:
    """Write a file that appears only when it is whole.

    Args:
        system: The file system.
        path: Where the file appears.
        aside: Where it is written before.
        write: Function that writes to the open file that it is given.
    """
    with system.open_output_stream(aside) as file:
        write(file)
    system.move(aside, path)
