"""Let Ray Data run the workers."""

import contextlib
import logging
import os
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

from keras_facnn._checks.packages import how_to_install
from keras_facnn.batch.worker import Worker

# Errors come as exceptions. Without the level, Ray warns of each process that
# it can start again. Workers need no Keras, whose import takes seconds.
_ENVIRONMENT = {
    "KERAS_FACNN_SKIPS_KERAS": "1",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}


def check_ray() -> None:
    """Raise if Ray Data is missing."""
    # By default, Ray sends usage statistics to its developers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray.data  # noqa: F401
    except ImportError as e:
        raise ImportError(
            f"`explain_files` needs Ray Data ({e}): {how_to_install('batch')}"
        ) from e


def run_parts(
    parts: Sequence[int],
    worker: dict[str, Any],
    workers: int | None,
    address: str | None,
) -> Iterator[dict[str, int]]:
    """Let Ray Data write the files of parts.

    Args:
        parts: The numbers of the parts.
        worker: The arguments of `Worker`.
        workers: Number of processes; None is one per core.
        address: Address of a cluster, or None to start Ray here.

    Yields:
        What `Worker` returns of each part, when it is done.
    """
    if not parts:
        return
    import ray

    _connect(workers, address)
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        size = workers or int(ray.cluster_resources().get("CPU", 1))
        done = ray.data.from_items(
            [{"part": part} for part in parts], override_num_blocks=len(parts)
        ).map_batches(
            Worker,
            batch_size=1,
            fn_constructor_kwargs=worker,
            compute=ray.data.ActorPoolStrategy(size=min(size, len(parts))),
            num_cpus=1,
        )
        yield from done.iter_rows()
    except ray.exceptions.RayError as e:
        *_, reason = str(getattr(e, "cause", None) or e).strip().splitlines()
        raise RuntimeError(
            f"A process failed: {reason}. The same call continues the run"
        ) from e
    finally:
        ray.shutdown()


def _connect(workers: int | None, address: str | None) -> None:
    """Connect to a Ray cluster, or start Ray for this process."""
    import ray

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    options: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": logging.CRITICAL,
    }
    if address is None:
        address = "local"
        options |= {
            "num_cpus": workers,
            # Only numbers of parts and of pictures pass through it.
            "object_store_memory": 100 * 2**20,
            "include_dashboard": False,
        }
    try:
        with _no_stderr(), _environment():
            ray.init(address, **options)
    except Exception as e:
        # It raises nearly any class.
        hint = (
            ""
            if address == "local"
            else ". If the cluster needs a token, set RAY_AUTH_MODE=token"
        )
        raise RuntimeError(
            f"Ray cannot be started or reached: {e}{hint}"
        ) from e


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """Set variables for processes that are started in the meantime."""
    added = {k: v for k, v in _ENVIRONMENT.items() if k not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


@contextlib.contextmanager
def _no_stderr() -> Iterator[None]:
    """Discard what libraries in C++ write on standard error."""
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
