"""What all endpoints share: the model, its queue and the settings."""

import asyncio
import concurrent.futures
import math
import os
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import TypeVar

import numpy as np
from starlette.requests import Request

from keras_facnn._checks.classes import check_classes
from keras_facnn.serving import bodies
from keras_facnn.serving.batching import Batcher
from keras_facnn.serving.batching import Class
from keras_facnn.serving.batching import Row
from keras_facnn.serving.drift import Drift
from keras_facnn.serving.errors import RequestError
from keras_facnn.serving.errors import busy
from keras_facnn.serving.metrics import Metrics
from keras_facnn.serving.settings import Settings

_T = TypeVar("_T")
# Letters of a class name that a client sends, at most.
_LONGEST_NAME = 1000


class Service:
    """A model that is served.

    Args:
        explainer: An `Explainer`.
        settings: The server's settings.
    """

    def __init__(self, explainer: Any, settings: Settings):
        self.explainer = explainer
        self.settings = settings
        self.metrics = Metrics()
        self.bodies = bodies.Bodies(settings)
        # The outputs of version 2 of the protocol: datatype and shape.
        self.outputs: dict[str, tuple[str, list[int]]] = {}
        drift = None
        if settings.watch is not None:
            drift = Drift(settings.watch, explainer, self.metrics)
        self.batcher = Batcher(explainer, settings, self.metrics, drift)
        # Reads pictures and JSON, which take long if they are large.
        self._pool = concurrent.futures.ThreadPoolExecutor(
            min(os.cpu_count() or 1, 8), "reading"
        )

    async def start(self) -> None:
        """Start to answer, after a first inference, which takes longest."""
        self.batcher.start()
        image = np.zeros(self.explainer.image_shape, "uint8")
        # Of a class, because a watch must not see this image.
        (row,) = await self.batcher.explain([image], [0], maps=True)
        self.outputs = {
            name: (_datatype(value), [-1, *np.shape(value)])
            for name, value in row.items()
        }

    async def stop(self) -> None:
        """Stop. The requests are answered before this."""
        await self.batcher.stop()
        self._pool.shutdown()

    async def in_pool(self, function: Callable[..., _T], *args: Any) -> _T:
        """Run a function in a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, function, *args)

    async def explain(
        self, images: Sequence[np.ndarray], classes: Any, maps: bool
    ) -> list[Row]:
        """Return the row of each picture.

        Args:
            images: Pixels of the model's shape.
            classes: As a client may send them: None, "all", a name, an integer,
                or a list of one name or integer for each image.
            maps: Whether maps are needed.
        """
        self.check_count(len(images))
        chosen = self._classes(classes, len(images))
        if chosen[0] == "all":
            self._check_size(len(images))
        return await self.batcher.explain(images, chosen, maps)

    async def decode(self, files: Sequence[bytes]) -> list[np.ndarray]:
        """Return the pixels of each picture."""
        self.check_count(len(files))
        return [
            await self.in_pool(
                bodies.decode_picture,
                file,
                self.explainer,
                self.settings.max_pixels,
            )
            for file in files
        ]

    def _classes(self, classes: Any, count: int) -> list[Class]:
        # What is long would take long to compare with all names.
        each = classes if isinstance(classes, list) else [classes] * count
        if len(each) != count or any(
            isinstance(c, str) and len(c) > _LONGEST_NAME for c in each
        ):
            raise RequestError(
                400,
                "`classes` must be a class, or a list of one class for each of "
                f"{count} pictures",
            )
        try:
            checked = check_classes(
                classes,
                count,
                self.explainer.num_classes,
                self.explainer.class_names,
            )
        except (ValueError, TypeError) as e:
            raise RequestError(400, str(e)) from e
        if checked is None or isinstance(checked, str):
            return [checked] * count
        return [int(number) for number in checked]

    def check_count(self, count: int) -> None:
        """Raise if a request holds no picture, or more than may ever wait."""
        if not count:
            raise RequestError(400, "A request must hold at least one picture")
        if count > self.settings.queue:
            raise RequestError(
                413,
                f"A request may hold at most {self.settings.queue} pictures. "
                f"Received: {count}",
            )

    def _check_size(self, count: int) -> None:
        """Raise if the maps of all classes take more than a request may."""
        bytes_per_class = sum(
            4 * math.prod(shape[1:])
            for name, (_, shape) in self.outputs.items()
            if "maps" in name
        )
        size = bytes_per_class * self.explainer.num_classes
        most = self.settings.max_bytes // size
        if count > most:
            raise RequestError(
                413,
                f"A request may ask for at most {most} times the maps of all "
                f"classes, which take {size} bytes per picture. Received: "
                f"{count} pictures",
            )

    def check_name(self, request: Request) -> None:
        """Raise if the address of a request names another model."""
        if request.path_params["name"] != self.settings.name:
            raise RequestError(
                404,
                f"The only model is {self.settings.name!r}. "
                f"Received: {request.path_params['name']!r}",
            )

    async def within_time(self, answer: Any) -> Any:
        """Await an answer, or raise if it takes longer than `timeout`."""
        try:
            async with asyncio.timeout(self.settings.timeout):
                return await answer
        except TimeoutError:
            raise busy(
                "The server could not answer within "
                f"{self.settings.timeout:g} seconds; try again"
            ) from None


def _datatype(value: Any) -> str:
    """Return the protocol's name of a value's datatype."""
    dtype = np.asarray(value).dtype
    if dtype.kind in "OU":
        return "BYTES"
    if dtype.kind == "b":
        return "BOOL"
    kind = {"f": "FP", "i": "INT", "u": "UINT"}[dtype.kind]
    return f"{kind}{8 * dtype.itemsize}"


def service_of(request: Request) -> Service:
    """Return the service that answers a request."""
    service: Service = request.app.state.service
    return service


def row_to_json(row: Row, maps: bool, probabilities: bool) -> dict[str, Any]:
    """Return a row as JSON's types.

    Args:
        row: The columns of one picture.
        maps: Whether to give the map.
        probabilities: Whether to give the probabilities of all classes.
    """
    left_out = {"logits", "maps"}
    if not probabilities:
        left_out.add("probabilities")
    answer = {
        name: np.asarray(value).tolist()
        for name, value in row.items()
        if name not in left_out and not name.startswith("layer_maps")
    }
    if maps:
        answer["map"] = row["maps"].tolist()
    return answer
