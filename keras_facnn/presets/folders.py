"""Replaces a folder such that a kill at any moment loses neither version."""

import contextlib
import errno
import os
import pathlib
import shutil
import tempfile
import time

# A save takes seconds. What was not touched for this long has no living owner.
_ABANDONED_SECONDS = 3600
_SUFFIX = ".saving"


def check_name(argument: str, path: pathlib.Path) -> None:
    """Raises where the file system takes no name so long, or none beside it.

    What is written to `path` has a longer name at first.
    """
    try:
        os.lstat(path.parent / f"{_prefix(path)}12345678{_SUFFIX}")
    except OSError as e:
        if e.errno == errno.ENAMETOOLONG:
            raise ValueError(
                f"`{argument}` must be a shorter name; the file system takes "
                f"none so long. Received: {argument}='{str(path)[:200]}...'"
            ) from None


def _prefix(path):
    return f".{path.name}-"


@contextlib.contextmanager
def replacing(directory: pathlib.Path):
    """Gives a new folder, which takes the place of `directory` at the end.

    It is written at the side, in `.NAME-RANDOM.saving/new`, and swapped in by
    two renames, between which the old folder is `.NAME-RANDOM.saving/old`. If
    the process is killed there, `restore` brings it back.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    restore(directory)
    _sweep(directory)
    aside = pathlib.Path(
        tempfile.mkdtemp(
            prefix=_prefix(directory), suffix=_SUFFIX, dir=directory.parent
        )
    )
    try:
        new = aside / "new"
        new.mkdir()
        yield new
        _swap(new, directory, aside / "old")
    finally:
        # Also after Ctrl-C between the two renames.
        restore(directory)
        if directory.exists() or not (aside / "old").exists():
            shutil.rmtree(aside, ignore_errors=True)


def _swap(new, directory, old):
    # Another process that saves here, or restores `old`, may come in between.
    for attempt in range(3):
        with contextlib.suppress(FileNotFoundError):
            directory.rename(old)
        try:
            new.rename(directory)
            return
        except OSError:
            if attempt == 2 or not directory.exists():
                raise


def restore(directory: pathlib.Path):
    """Moves the old folder back that a killed save has left aside."""
    if os.path.lexists(directory):
        return
    for aside in _asides(directory):
        # Another process may be as quick.
        with contextlib.suppress(OSError):
            (aside / "old").rename(directory)
            return


def _sweep(directory):
    """Removes what killed saves have left, once `directory` is whole."""
    for aside in _asides(directory):
        with contextlib.suppress(OSError):
            age = time.time() - aside.stat().st_mtime
            if age > _ABANDONED_SECONDS and not (
                (aside / "old").exists() and not directory.exists()
            ):
                shutil.rmtree(aside, ignore_errors=True)


def _asides(directory):
    """The folders of this module beside `directory`, the newest first."""
    prefix = _prefix(directory)
    found = []
    # A ValueError is of a path that holds a null character.
    with contextlib.suppress(OSError, ValueError):
        for path in directory.parent.iterdir():
            middle = path.name.removeprefix(prefix).removesuffix(_SUFFIX)
            if (
                path.name == f"{prefix}{middle}{_SUFFIX}"
                and "-" not in middle
                and path.is_dir()
                and not path.is_symlink()
                and {p.name for p in path.iterdir()} <= {"new", "old"}
            ):
                found.append(path)
    return sorted(found, key=lambda p: p.stat().st_mtime, reverse=True)
