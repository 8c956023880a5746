"""Watch the evidence in the pictures that a server explains."""

import logging
from typing import Any

import numpy as np

from keras_facnn._checks.text import printable
from keras_facnn.maps import center_maps
from keras_facnn.maps import pick_classes
from keras_facnn.serving.metrics import Metrics
from keras_facnn.watching import Watch

_LOG = logging.getLogger("keras_facnn")


class Drift:
    """A `Watch` of the pictures that one process explains.

    After an alarm, which is counted and logged, the watch starts anew.

    Args:
        path: Path of a file that `Watch.save` wrote.
        explainer: An `Explainer`.
        metrics: The server's metrics.

    Raises:
        ValueError: If the file is damaged, or of a model with other maps.
    """

    def __init__(self, path: str, explainer: Any, metrics: Metrics):
        self._watch = Watch.load(path)
        self._centered = explainer.centered
        self._metrics = metrics
        # Otherwise the first request would fail.
        image = np.zeros((1, *explainer.image_shape), "float32")
        of_model = explainer(image)["maps"].shape[1:]
        of_reference = (self._watch.grid.height, self._watch.grid.width)
        if of_model != of_reference:
            raise ValueError(
                "`watch` must be a reference of the served model, whose maps "
                f"have shape {of_model}. Received: {printable(path)}, with "
                f"maps of shape {of_reference}"
            )

    def add(self, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Add pictures, and return the columns of their predicted classes.

        Args:
            columns: The columns of the pictures with the maps of all classes.
        """
        classes = columns["class"]
        maps = columns["maps"]
        if not self._centered:
            maps = center_maps(maps)
        alarm = self._watch.add(
            {
                "class": classes,
                "maps": pick_classes(maps, classes, None),
            }
        )
        self._metrics.watched.inc(len(classes))
        self._metrics.capital.set(self._watch.capital)
        if alarm is not None:
            self._metrics.alarms.inc()
            _LOG.warning("%s", alarm)
            self._watch.reset()
        return {
            name: pick_classes(column, classes, None)
            if "maps" in name
            else column
            for name, column in columns.items()
        }
