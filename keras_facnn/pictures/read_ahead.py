"""Read files in threads, ahead of what is needed."""

import concurrent.futures
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any
from typing import TypeVar

_Item = TypeVar("_Item")


def read_ahead(
    items: Sequence[_Item],
    read: Callable[[_Item], Any],
    batch_size: int,
    threads: int | None = None,
) -> Iterator[list[tuple[int, Any]]]:
    """Read files in threads, one batch ahead of what is needed.

    Args:
        items: Paths, or whatever else says what to read.
        read: Function of an item. It may raise an `OSError` or `ValueError`.
        batch_size: Positive integer.
        threads: How many threads read. None means some more than cores.

    Yields:
        Batches of the position of each item, with what `read` returned, or with
        the error that it raised.
    """

    def attempt(item: _Item) -> Any:
        try:
            return read(item)
        except (OSError, ValueError) as e:
            return e

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        ahead: list[list[tuple[int, concurrent.futures.Future]]] = []
        for start in range(0, len(items) + batch_size, batch_size):
            part = range(start, min(start + batch_size, len(items)))
            ahead.append([(i, pool.submit(attempt, items[i])) for i in part])
            if len(ahead) > 1:
                yield [(i, future.result()) for i, future in ahead.pop(0)]
