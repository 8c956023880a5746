"""Replace a folder so that no version is lost if the process is killed."""

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

# A save takes seconds. If a folder was not touched for this long, the process
# that made it is gone.
_ABANDONED_SECONDS = 3600
# Other processes hold a lock only for a moment. After this time the work goes
# on without it.
_PATIENCE_SECONDS = 30
_SUFFIX = ".saving"

_Value = TypeVar("_Value")


def check_place(argument: str, path: pathlib.Path) -> None:
    """Raise if a path can't be written, or if what is there can't be replaced.

    While it is written, the folder has a longer name. The working directory
    must not be `path` or within it, because it would be the old version, which
    is removed.

    Args:
        argument: The name of the argument that gave the path.
        path: An absolute path.
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
            "or one above it, because it is replaced. Name a new folder in "
            f"it, or work elsewhere. Received: {argument}={str(path)!r}"
        )


def _works_in(path: pathlib.Path) -> bool:
    """Whether the working directory is a folder, or within it."""
    # A folder that was removed has no name.
    with contextlib.suppress(OSError):
        here = pathlib.Path(os.path.realpath(os.getcwd()))
        return any(os.path.samefile(path, p) for p in (here, *here.parents))
    return False


def _prefix(path: pathlib.Path) -> str:
    """Return how the names of folders begin that are made beside a path."""
    return f".{path.name}-"


@contextlib.contextmanager
def replacing(directory: pathlib.Path) -> Iterator[pathlib.Path]:
    """Give a new folder, which replaces `directory` at the end.

    The new folder is `.NAME-RANDOM.saving/new`, beside `directory`. Two renames
    put it in place. Between them the old folder is `.NAME-RANDOM.saving/old`.
    If the process is killed there, `restore` moves the old folder back.
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
    """Rename `directory` to `old`, and `new` to `directory`."""
    with _locked(directory):
        # On systems without locks, another process may save here, or restore
        # `old`, between the renames.
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
    """Move the old folder back if a save was killed."""
    if os.path.lexists(directory):
        return
    with _locked(directory):
        # The save may only now have finished its renames.
        if os.path.lexists(directory):
            return
        for aside in _asides(directory):
            # Another process may restore it at the same time.
            with contextlib.suppress(OSError):
                (aside / "old").rename(directory)
                return


def exists(directory: pathlib.Path) -> bool:
    """Whether there is such a folder, also while it is replaced."""
    if os.path.isdir(directory):
        return True
    restore(directory)
    with _locked(directory, shared=True):
        return os.path.isdir(directory)


def reading(directory: pathlib.Path, read: Callable[[], _Value]) -> _Value:
    """Return what `read()` returns for one version of `directory`.

    If the folder was replaced in the meantime, `read` is called again. The last
    call has a lock, for which other processes wait before they save.
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
    """Return numbers that change if a folder is replaced, or None."""
    try:
        found = os.stat(directory)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns


@contextlib.contextmanager
def _locked(directory: pathlib.Path, shared: bool = False) -> Iterator[None]:
    """Keep other processes from replacing `directory`, if the system has locks.

    The lock is on the folder that contains it, so that no file remains. The
    kernel releases it when the process ends, also when it is killed.
    """
    with contextlib.ExitStack() as stack:
        # Windows has no `fcntl`, and some file systems have no locks.
        with contextlib.suppress(ImportError, OSError, ValueError):
            import fcntl

            around = os.open(directory.parent, os.O_RDONLY)
            stack.callback(os.close, around)
            kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            end = time.monotonic() + _PATIENCE_SECONDS
            while True:
                try:
                    fcntl.flock(around, kind | fcntl.LOCK_NB)
                    # Closing is not enough: a forked process may still hold
                    # the lock.
                    stack.callback(fcntl.flock, around, fcntl.LOCK_UN)
                    break
                except BlockingIOError:
                    if time.monotonic() >= end:
                        break
                    time.sleep(0.002)
        yield


def _sweep(directory: pathlib.Path) -> None:
    """Remove the folders of killed saves, once `directory` is whole."""
    for aside in _asides(directory):
        with contextlib.suppress(OSError):
            age = time.time() - aside.stat().st_mtime
            if age > _ABANDONED_SECONDS and not (
                (aside / "old").exists() and not directory.exists()
            ):
                shutil.rmtree(aside, ignore_errors=True)


def _asides(directory: pathlib.Path) -> list[pathlib.Path]:
    """Return the folders that saves made beside `directory`, newest first."""
    prefix = _prefix(directory)
    paths: list[pathlib.Path] = []
    found: dict[pathlib.Path, float] = {}
    # A path with a null character raises a ValueError.
    with contextlib.suppress(OSError, ValueError):
        paths = list(directory.parent.iterdir())
    for path in paths:
        middle = path.name.removeprefix(prefix).removesuffix(_SUFFIX)
        # The process that made it may remove it in the meantime.
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
