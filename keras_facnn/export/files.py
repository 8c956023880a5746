"""Where an export is written, without loss of what is there."""

import contextlib
import json
import os
import pathlib
import tempfile
from collections.abc import Iterator

from keras_facnn._files import folders
from keras_facnn.export.format import Format


def check_destination(path: pathlib.Path, form: Format) -> None:
    """Raise if nothing can be written to a path, or a foreign file is there.

    Args:
        path: Where to write, an absolute path.
        form: The format to write.

    Raises:
        ValueError: If nothing can be written there, or if what is there is no
            export of this package.
    """
    folders.check_place("filepath", path)
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(
            "`filepath` must be text in UTF-8, because the libraries that "
            f"write such files need that. Received: filepath={str(path)!r}"
        ) from None
    if not path.parent.is_dir():
        raise ValueError(f"`filepath`: there is no folder {path.parent}.")
    if form.ending and path.is_dir():
        raise ValueError(f"`filepath`: {path} is a folder.")
    if not form.ending and path.is_dir() and not any(path.iterdir()):
        return
    files = [path, *map(path.with_suffix, form.endings_beside)]
    foreign = [] if _is_export(path, form) else files
    facts = facts_path(path, form)
    if facts is not None and not _holds_facts(facts):
        foreign = [*foreign, facts]
    for file in foreign:
        if os.path.lexists(file):
            raise ValueError(
                f"`filepath`: {file} exists, and was not written by `export`. "
                "It would be replaced. Choose another path, or move it away."
            )


def facts_path(path: pathlib.Path, form: Format) -> pathlib.Path | None:
    """Return the JSON file beside an export, or None if it is a folder.

    Args:
        path: The path of the export.
        form: Its format.
    """
    # A folder holds its facts in a file of its own.
    return path.with_suffix(form.ending + ".json") if form.ending else None


def _is_export(path: pathlib.Path, form: Format) -> bool:
    try:
        return "keras_facnn" in form.read_facts(path)
    # It may be any file, and readers raise any exception.
    except Exception:
        return False


def _holds_facts(path: pathlib.Path) -> bool:
    try:
        return "keras_facnn" in dict(json.loads(path.read_bytes()))
    except Exception:
        return False


@contextlib.contextmanager
def writing_aside(path: pathlib.Path, form: Format) -> Iterator[pathlib.Path]:
    """Give a path to write to, whose files are moved to `path` at the end.

    If an exception is raised within the context, what is at `path` stays.

    Args:
        path: Where to write, an absolute path.
        form: The format to write.
    """
    if not form.ending:
        with folders.replacing(path) as folder:
            yield folder
        return
    with tempfile.TemporaryDirectory(
        prefix=f".{path.name}-", dir=path.parent
    ) as name:
        # Keras knows endings only in lower case.
        written = pathlib.Path(name, path.stem + form.ending)
        yield written
        # Another file may have been created in the meantime.
        check_destination(path, form)
        for file in pathlib.Path(name).iterdir():
            os.replace(
                file, path if file == written else path.parent / file.name
            )
