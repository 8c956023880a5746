"""What `zoo.compare` measured, as it is kept in the folder `--output`.

`results.json` holds the numbers of each image, and `maps.npz` the images of the
figures with their maps. All figures, tables and the report are made from these
two files.
"""

from __future__ import annotations

import dataclasses
import json
import os
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from zoo import methods
from zoo.training import record

if TYPE_CHECKING:
    from keras_facnn import metrics

Layer = int | str
RESULTS = "results.json"
MAPS = "maps.npz"
# In `Comparison.settings`, values that are hashes, and what a change means.
HASHES = {
    "model": "another model",
    "images": "other images or labels",
    "boxes": "other boxes",
}


@dataclasses.dataclass
class Measured:
    """What one method is worth at one layer.

    Attributes:
        method: Its name, as `name_of` returns it.
        layer: The layer that it looks at, or None.
        columns: Columns of the table besides those of the curve, by name:
            texts and integers.
        curve: What `keras_facnn.metrics.pixel_removal` returns, or None.
        maps: Array `(n, h, w)`, those of the images in the figures; None for a
            random order.
    """

    method: str
    layer: Layer | None
    columns: dict[str, str | int]
    curve: metrics.PixelRemoval | None
    maps: np.ndarray | None

    @property
    def title(self) -> str:
        """What to call it in figures."""
        return methods.title_at(self.method, self.layer)

    @property
    def key(self) -> str:
        """The name of its maps in `maps.npz`."""
        return f"{self.method}_{self.layer}"


@dataclasses.dataclass
class Comparison:
    """The images, and what was measured on them so far.

    Attributes:
        command: The command of the run.
        settings: What the numbers depend on, by name. Other settings need
            another folder.
        methods: The methods to show, by `name_of`, in their order.
        layers: The layers to show.
        class_names: The classes' names.
        labels: Int array `(N,)`.
        predictions: Int array `(N,)`, the predicted classes.
        images: Array `(n, H, W, channels)`, those of the figures.
        shown: Int array `(n,)`, their numbers among all images.
        replicates: Whether it repeats the paper's measurements.
        similarity: What `keras_facnn.metrics.similarity_by_layer` returns, or
            None.
        by_layer: Map of the first image of the figures at some layers.
        measured: What was measured, in the order in which it was.
    """

    command: str
    settings: dict[str, Any]
    methods: list[str]
    layers: list[Layer]
    class_names: list[str]
    labels: np.ndarray
    predictions: np.ndarray
    images: np.ndarray
    shown: np.ndarray
    replicates: bool = False
    similarity: metrics.SimilarityByLayer | None = None
    by_layer: dict[int, np.ndarray] = dataclasses.field(default_factory=dict)
    measured: list[Measured] = dataclasses.field(default_factory=list)

    def find(self, method: str, layer: Layer) -> Measured | None:
        """Return what was measured of a method at a layer.

        That of a method that looks at no layer is the same at each.
        """
        for one in self.measured:
            if one.method == method and one.layer in (layer, None):
                return one
        return None

    def at(self, layer: Layer) -> list[Measured]:
        """Return what was measured of the methods to show at a layer."""
        found = [self.find(method, layer) for method in self.methods]
        return [one for one in found if one is not None]

    def curves_at(self, layer: Layer) -> dict[str, metrics.PixelRemoval]:
        """Return the curves of pixel removal at a layer, by title."""
        return {
            methods.title(one.method): one.curve
            for one in self.at(layer)
            if one.curve is not None
        }

    def save(self, folder: str) -> None:
        """Write both files; a kill leaves the old ones or the new ones."""
        maps = {
            one.key: one.maps for one in self.measured if one.maps is not None
        }
        layers = {f"layer {n}": map_ for n, map_ in self.by_layer.items()}
        # First, so that there are maps of all that `results.json` names.
        with record.replacing(os.path.join(folder, MAPS), "wb") as file:
            np.savez_compressed(file, images=self.images, **maps, **layers)
        contents = {
            "command": self.command,
            "settings": self.settings,
            "replicates": self.replicates,
            "methods": self.methods,
            "layers": self.layers,
            "class_names": self.class_names,
            "labels": self.labels.tolist(),
            "predictions": self.predictions.tolist(),
            "shown": self.shown.tolist(),
            "similarity_by_layer": _object(self.similarity),
            "by_layer": [*self.by_layer],
            "measured": [
                {
                    "method": one.method,
                    "layer": one.layer,
                    "columns": one.columns,
                    "pixel_removal": _object(one.curve),
                    "has_maps": one.maps is not None,
                }
                for one in self.measured
            ],
        }
        with record.replacing(os.path.join(folder, RESULTS)) as file:
            json.dump(contents, file)

    def check_settings(self, settings: dict[str, Any]) -> None:
        """Raise if something was measured with other settings than these."""
        changed = []
        for name, before in self.settings.items():
            now = settings.get(name, before)
            if now == before:
                continue
            if ":" in name:
                changed.append(f"the file of {name} has other contents")
            else:
                changed.append(
                    HASHES.get(name, f"{name} {before} became {now}")
                )
        if changed:
            raise ValueError(
                "The folder `--output` holds a comparison of other settings. "
                "Use another folder, or what it was started with: "
                f"{self.command}. Changed: {'; '.join(changed)}"
            )


def name_of(method: str) -> str:
    """Return the name of one of `--methods` in a `Comparison`.

    It is without the folder of a user's file.
    """
    return os.path.basename(method)


def load(folder: str) -> Comparison | None:
    """Return the comparison in a folder, or None if there is none."""
    from keras_facnn import metrics

    path = os.path.join(folder, RESULTS)
    if not os.path.exists(path):
        return None
    stored = record.read(path)
    try:
        with np.load(os.path.join(folder, MAPS)) as file:
            maps = dict(file)
        measured = []
        for one in stored["measured"]:
            curve = one["pixel_removal"]
            made = Measured(
                one["method"],
                one["layer"],
                one["columns"],
                curve and metrics.PixelRemoval.from_json(json.dumps(curve)),
                None,
            )
            if one["has_maps"]:
                made.maps = maps[made.key]
            measured.append(made)
        similarity = stored["similarity_by_layer"]
        return Comparison(
            command=stored["command"],
            settings=stored["settings"],
            methods=stored["methods"],
            layers=stored["layers"],
            class_names=stored["class_names"],
            labels=np.array(stored["labels"]),
            predictions=np.array(stored["predictions"]),
            images=maps["images"],
            shown=np.array(stored["shown"]),
            replicates=stored["replicates"],
            similarity=similarity
            and metrics.SimilarityByLayer.from_json(json.dumps(similarity)),
            by_layer={n: maps[f"layer {n}"] for n in stored["by_layer"]},
            measured=measured,
        )
    except (KeyError, OSError, TypeError, ValueError) as e:
        raise ValueError(
            f"{path} holds no comparison that can be read, perhaps since "
            "another version wrote it. Use another folder as `--output`. "
            f"Received: {type(e).__name__}: {e}"
        ) from e


def _object(result: metrics.Result | None) -> Any:
    return None if result is None else json.loads(result.to_json())
