"""Replaces a folder such that a kill at any moment loses neither version."""

import contextlib
import errno
import os
import pathlib
import shutil
import tempfile
import time
from collections.abc import Callable
from collections.abc import Iterator
from typing import TypeVar

# A save takes seconds. What was not touched for this long has no living owner.
_ABANDONED_SECONDS = 3600
# Others hold a lock for a moment only; who does not wait is not lost either.
_PATIENCE_SECONDS = 30
_SUFFIX = ".saving"

T = TypeVar("T")


def check_place(argument: str, path: pathlib.Path) -> None:
    """Raises where nothing can be written, or what is there not be replaced.

    What is written to `path` has a longer name at first. A process that works
    in the folder `path`, or in one within it, would be left in the old version,
    which is removed.
    """
    try:
        os.lstat(path.parent / f"{_prefix(path)}12345678{_SUFFIX}")
    except OSError as e:
        if e.errno == errno.ENAMETOOLONG:
            raise ValueError(
                f"`{argument}` must be a shorter name; the file system takes "
                f"none so long. Received: {argument}='{str(path)[:200]}...'"
            ) from None
        if e.errno == errno.ENOTDIR:
            file = next(p for p in path.parents if os.path.lexists(p))
            raise ValueError(
                f"`{argument}` must be in a folder, and {str(file)!r} is none. "
                f"Received: {argument}={str(path)!r}"
            ) from None
    if _works_in(path):
        raise ValueError(
            f"`{argument}` must not be the folder in which this process works, "
            "or one above it, since another takes its place. Name a new folder "
            f"in it, or work elsewhere. Received: {argument}={str(path)!r}"
        )


def _works_in(path: pathlib.Path) -> bool:
    # A folder that was removed has no name.
    with contextlib.suppress(OSError):
        here = pathlib.Path(os.path.realpath(os.getcwd()))
        return any(os.path.samefile(path, p) for p in (here, *here.parents))
    return False


def _prefix(path: pathlib.Path) -> str:
    return f".{path.name}-"


@contextlib.contextmanager
def replacing(directory: pathlib.Path) -> Iterator[pathlib.Path]:
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
        if exists(directory) or not (aside / "old").exists():
            shutil.rmtree(aside, ignore_errors=True)


def _swap(
    new: pathlib.Path, directory: pathlib.Path, old: pathlib.Path
) -> None:
    with _locked(directory):
        # Where there are no locks, another process that saves here, or
        # restores `old`, may come in between.
        for attempt in range(3):
            with contextlib.suppress(FileNotFoundError):
                directory.rename(old)
            try:
                new.rename(directory)
                return
            except OSError:
                if attempt == 2 or not directory.exists():
                    raise


def restore(directory: pathlib.Path) -> None:
    """Moves the old folder back that a killed save has left aside."""
    if os.path.lexists(directory):
        return
    with _locked(directory):
        # A save may have been in between its renames until now.
        if os.path.lexists(directory):
            return
        for aside in _asides(directory):
            # Another process may be as quick.
            with contextlib.suppress(OSError):
                (aside / "old").rename(directory)
                return


def exists(directory: pathlib.Path) -> bool:
    """Whether there is such a folder, also while another takes its place."""
    if os.path.isdir(directory):
        return True
    restore(directory)
    with _locked(directory, shared=True):
        return os.path.isdir(directory)


def reading(directory: pathlib.Path, read: Callable[[], T]) -> T:
    """Returns what `read()` returns, of one version of `directory`.

    It is called again where another version took the place of the one that it
    read: at last with a lock, for which those who save wait.
    """
    for _ in range(2):
        before = _version(directory)
        try:
            value = read()
        except (OSError, ValueError):
            if before is not None and before == _version(directory):
                raise
        else:
            if before is not None and before == _version(directory):
                return value
    restore(directory)
    with _locked(directory, shared=True):
        return read()


def _version(directory: pathlib.Path) -> tuple[int, int, int] | None:
    """What tells a folder from the one that takes its place, or None."""
    try:
        found = os.stat(directory)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns


@contextlib.contextmanager
def _locked(directory: pathlib.Path, shared: bool = False) -> Iterator[None]:
    """Keeps others from swapping `directory`, where the system has such locks.

    The lock is on the folder around it, so that it leaves no file behind. The
    kernel lets go of it when the process ends, however it ends.
    """
    with contextlib.ExitStack() as stack:
        # Windows has no `fcntl`, and not each file system has locks.
        with contextlib.suppress(ImportError, OSError, ValueError):
            import fcntl

            around = os.open(directory.parent, os.O_RDONLY)
            stack.callback(os.close, around)
            kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            end = time.monotonic() + _PATIENCE_SECONDS
            while True:
                try:
                    fcntl.flock(around, kind | fcntl.LOCK_NB)
                    # Closed, it might live on in a forked process.
                    stack.callback(fcntl.flock, around, fcntl.LOCK_UN)
                    break
                except BlockingIOError:
                    if time.monotonic() >= end:
                        break
                    time.sleep(0.002)
        yield


def _sweep(directory: pathlib.Path) -> None:
    """Removes what killed saves have left, once `directory` is whole."""
    for aside in _asides(directory):
        with contextlib.suppress(OSError):
            age = time.time() - aside.stat().st_mtime
            if age > _ABANDONED_SECONDS and not (
                (aside / "old").exists() and not directory.exists()
            ):
                shutil.rmtree(aside, ignore_errors=True)


def _asides(directory: pathlib.Path) -> list[pathlib.Path]:
    """The folders of this module beside `directory`, the newest first."""
    prefix = _prefix(directory)
    paths: list[pathlib.Path] = []
    found: dict[pathlib.Path, float] = {}
    # A ValueError is of a path that holds a null character.
    with contextlib.suppress(OSError, ValueError):
        paths = list(directory.parent.iterdir())
    for path in paths:
        middle = path.name.removeprefix(prefix).removesuffix(_SUFFIX)
        # Its owner may remove it meanwhile.
        with contextlib.suppress(OSError):
            if (
                path.name == f"{prefix}{middle}{_SUFFIX}"
                and "-" not in middle
                and path.is_dir()
                and not path.is_symlink()
                and {p.name for p in path.iterdir()} <= {"new", "old"}
            ):
                found[path] = path.stat().st_mtime
    return sorted(found, key=found.__getitem__, reverse=True)
