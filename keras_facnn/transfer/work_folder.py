"""Hold the folder of a training's features and checkpoints."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

from keras_facnn._checks.text import join_first
from keras_facnn._files.system_files import is_of_system

CHECKPOINT = "thorough.npz"
_LOCK = "lock"
# All that a training writes into the folder. Nothing else is ever removed.
_OWN = {
    "features.float16",
    "features.jsonl",
    CHECKPOINT,
    "thorough.partial.npz",
    _LOCK,
}


def work_folder_of(target: pathlib.Path) -> pathlib.Path:
    """Return the folder that a training uses until the preset is finished."""
    return target.with_name(f"{target.name}.training")


@contextlib.contextmanager
def holding(work: pathlib.Path) -> Iterator[None]:
    """Hold a work folder, and remove what is in it at the end.

    After an error or a kill, the files stay for the next call.

    Args:
        work: Path of the folder, which is made if there is none.

    Raises:
        FileExistsError: If the folder holds files of something else.
        BlockingIOError: If another call holds the folder.
    """
    _check_content(work)
    work.mkdir(parents=True, exist_ok=True)
    try:
        with _locked(work / _LOCK):
            yield
            for name in _OWN - {_LOCK}:
                (work / name).unlink(missing_ok=True)
    finally:
        # Files that another call needs keep the folder.
        with contextlib.suppress(OSError):
            work.rmdir()


def _check_content(work: pathlib.Path) -> None:
    """Raise if a folder holds files of something else."""
    if not os.path.lexists(work):
        return
    foreign = [work.name]
    if work.is_dir():
        foreign = [
            path.name
            for path in work.iterdir()
            if not is_of_system(path.name)
            and not (path.name in _OWN and path.is_file())
        ]
    if foreign:
        raise FileExistsError(
            "Until the end, `output` + '.training' holds the features, so it "
            "must be a new folder, or that of an earlier call. Choose another "
            f"`output`. Received: {str(work)!r} with "
            f"{join_first(map(repr, sorted(foreign)))}"
        )


@contextlib.contextmanager
def _locked(path: pathlib.Path) -> Iterator[None]:
    """Hold a lock on a file, which the system releases also after a kill."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        try:
            _lock(lock)
            # The other call may have removed the file in the meantime.
            mine = os.path.samestat(os.fstat(lock), os.stat(path))
        except (BlockingIOError, FileNotFoundError):
            mine = False
        if not mine:
            raise BlockingIOError(
                "`output` is being trained by another call. Wait until it "
                "ends, or choose another `output`. Received: a lock on "
                f"{str(path)!r}"
            )
        try:
            yield
        finally:
            # While it is held, so that it is not the lock of another call.
            with contextlib.suppress(OSError):
                path.unlink()
    finally:
        os.close(lock)
        # Windows removes a file only after it is closed.
        if os.name == "nt":
            with contextlib.suppress(OSError):
                path.unlink()


def _lock(file: int) -> None:
    """Lock an open file, or raise BlockingIOError if another call has it."""
    try:
        import fcntl
    except ImportError:
        import msvcrt

        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            raise BlockingIOError from None
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        # Some file systems have no locks.
        return
