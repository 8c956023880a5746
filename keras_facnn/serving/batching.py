"""Explain the pictures of many requests in common batches."""

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import time
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_facnn.serving.drift import Drift
from keras_facnn.serving.errors import busy
from keras_facnn.serving.metrics import Metrics
from keras_facnn.serving.settings import Settings

# What one picture is asked for: None (the predicted class), "all", or a class.
Class = int | str | None
# The columns of `Explainer` for one picture, without the axis of the batch.
Row = dict[str, Any]


@dataclasses.dataclass
class _Job:
    """A picture that waits."""

    image: np.ndarray
    class_: Class
    maps: bool
    future: asyncio.Future[Row]


class Batcher:
    """A queue of pictures, and one thread that explains them in batches.

    While a batch is explained, the pictures of the next one gather. If nothing
    runs, a picture waits at most for `window`, and only if another request is
    being read.

    Args:
        explainer: An `Explainer`.
        settings: The server's settings.
        metrics: The server's metrics.
        drift: The `Drift` that watches the pictures, or None.
    """

    def __init__(
        self,
        explainer: Any,
        settings: Settings,
        metrics: Metrics,
        drift: Drift | None = None,
    ):
        self._drift = drift
        self._explainer = explainer
        self._settings = settings
        self._metrics = metrics
        self._jobs: list[_Job] = []
        self._filled = asyncio.Event()
        self._coming = 0
        self._pool = concurrent.futures.ThreadPoolExecutor(1, "inference")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start to explain. An event loop must run."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop. Requests are answered before the server calls this."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._pool.shutdown()

    @property
    def is_running(self) -> bool:
        """Whether pictures are being explained."""
        return self._task is not None and not self._task.done()

    @contextlib.contextmanager
    def coming(self) -> Iterator[None]:
        """Announce that a request is being read."""
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1

    async def explain(
        self, images: Sequence[np.ndarray], classes: Sequence[Class], maps: bool
    ) -> list[Row]:
        """Return the row of each picture.

        Args:
            images: Arrays `(H, W, channels)` of the model's shape.
            classes: One for each image.
            maps: Whether maps are needed.

        Raises:
            RequestError: If too many pictures wait.
        """
        if len(self._jobs) + len(images) > self._settings.queue:
            raise busy("Too many pictures wait; try again")
        loop = asyncio.get_running_loop()
        jobs = [
            _Job(image, class_, maps, loop.create_future())
            for image, class_ in zip(images, classes, strict=True)
        ]
        self._jobs.extend(jobs)
        self._metrics.waiting.set(len(self._jobs))
        self._filled.set()
        return await asyncio.gather(*(job.future for job in jobs))

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._filled.wait()
            if self._coming and len(self._jobs) < self._settings.batch_size:
                await asyncio.sleep(self._settings.window)
            batch = self._take_batch()
            if not batch:
                continue
            try:
                rows = await loop.run_in_executor(
                    self._pool, self._compute, batch
                )
            except Exception as e:
                for job in batch:
                    if not job.future.done():
                        job.future.set_exception(e)
                continue
            for job, row in zip(batch, rows, strict=True):
                if not job.future.done():
                    job.future.set_result(row)

    def _take_batch(self) -> list[_Job]:
        """Take the oldest job and others of its kind from the queue."""
        batch: list[_Job] = []
        others: list[_Job] = []
        for job in self._jobs:
            # The client has gone, or the time is over.
            if job.future.done():
                continue
            alike = not batch or _kind(job.class_) == _kind(batch[0].class_)
            if alike and len(batch) < self._settings.batch_size:
                batch.append(job)
            else:
                others.append(job)
        self._jobs = others
        if not others:
            self._filled.clear()
        self._metrics.waiting.set(len(others))
        return batch

    def _compute(self, batch: Sequence[_Job]) -> list[Row]:
        start = time.perf_counter()
        classes: Any = [job.class_ for job in batch]
        if not isinstance(classes[0], int):
            classes = classes[0]
        # Where clients choose the class, evidence would depend on them.
        drift = self._drift if classes is None else None
        # Maps are nearly free, so one batch serves both kinds of clients.
        maps = drift is not None or any(job.maps for job in batch)
        columns = self._explainer(
            np.stack([job.image for job in batch]),
            # Centered maps need all classes.
            classes="all" if drift else classes,
            maps="float32" if maps else None,
            batch_size=len(batch),
        )
        if drift is not None:
            columns = drift.add(columns)
        self._metrics.batches.observe(len(batch))
        self._metrics.inference_seconds.observe(time.perf_counter() - start)
        return [
            {name: column[i] for name, column in columns.items()}
            for i in range(len(batch))
        ]


def _kind(class_: Class) -> str:
    """Return what the classes of one call of `Explainer` have in common."""
    return "one" if isinstance(class_, int) else str(class_)
