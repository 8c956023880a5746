"""Read files in threads, ahead of what is needed."""

import concurrent.futures
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any


def read_ahead(
    paths: Sequence[Any], read: Callable[[Any], Any], batch_size: int
) -> Iterator[list[tuple[int, Any]]]:
    """Read files in threads, one batch ahead of what is needed.

    Args:
        paths: The paths, or what else `read` takes.
        read: Function of a path. It may raise an `OSError` or `ValueError`.
        batch_size: Positive integer.

    Yields:
        Batches of the position of each path, with what `read` returned, or with
        the error that it raised.
    """

    def attempt(path: Any) -> Any:
        try:
            return read(path)
        except (OSError, ValueError) as e:
            return e

    with concurrent.futures.ThreadPoolExecutor() as threads:
        ahead: list[list[tuple[int, concurrent.futures.Future]]] = []
        for start in range(0, len(paths) + batch_size, batch_size):
            part = range(start, min(start + batch_size, len(paths)))
            ahead.append([(i, threads.submit(attempt, paths[i])) for i in part])
            if len(ahead) > 1:
                yield [(i, future.result()) for i, future in ahead.pop(0)]
