"""Explain pictures with an exported file."""

import os
from collections.abc import Mapping
from typing import Any
from typing import Literal
from typing import TypeAlias

import numpy as np

from keras_facnn._checks.arguments import check_bool
from keras_facnn._checks.arguments import check_option
from keras_facnn._checks.arrays import check_maps
from keras_facnn._checks.classes import CheckedClasses
from keras_facnn._checks.classes import check_classes
from keras_facnn._checks.classes import check_one_class_per_image
from keras_facnn._checks.numbers import check_int
from keras_facnn.runtime.columns import make_columns
from keras_facnn.runtime.drawing import draw_overlay
from keras_facnn.runtime.drawing import drawable_pixels
from keras_facnn.runtime.model_file import EngineName
from keras_facnn.runtime.model_file import ModelFile
from keras_facnn.runtime.model_file import Precision
from keras_facnn.runtime.sources import check_pixels
from keras_facnn.runtime.sources import list_sources
from keras_facnn.runtime.sources import read_sources
from keras_facnn.types import Classes
from keras_facnn.types import Maps

# One row per picture in each column.
Columns: TypeAlias = dict[str, np.ndarray]


class Explainer:
    """Explain pictures with a file that `FACNN.export` wrote, without Keras.

    The file is run once on random pixels, and refused if the class maps do not
    sum to the logits. Several threads may use one explainer. It can be pickled:
    other processes open the same file.

    Args:
        path: Path of an `.onnx` or OpenVINO `.xml` file.
        engine: `"onnxruntime"`, which runs `.onnx` files, or `"openvino"`,
            which runs both. None chooses by the ending.
        threads: Positive integer, how many threads one inference uses. None
            means all cores.
        precision: `"float32"`, or `"bfloat16"` on OpenVINO, which is faster on
            CPUs that support it, and less exact.

    Attributes:
        class_names: Tuple of the names of the classes, or None.
        num_classes: The number of classes, C.
        image_shape: Tuple `(H, W, channels)` of the images.
        fit: As in `load_images`, for pictures of another aspect ratio.
        layers: Tuple of the numbers of the layers whose maps are in the file.
            The last one is the model's last.
        centered: Whether the maps in the file are centered.
        several_labels: Whether an image may have several labels, so that each
            class has a probability of its own.
        scale: The mean of a raw map, times this number, is the logit.
        offset: Amount by which the logit is less than that, if the head has a
            threshold; else 0. None if the file does not say it.
        sha256: The hash of the file, in hexadecimal digits. That of an `.xml`
            covers its `.bin`, too.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If the engine is not installed.
        ValueError: If the file was not written by `export`, is damaged, or has
            maps that do not sum to its logits; or if the JSON beside it is of
            another file.

    Example:

    >>> import tempfile
    >>> import keras
    >>> import numpy as np
    >>> import keras_facnn
    >>> from keras_facnn.runtime import Explainer
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> if keras.backend.backend() == "torch":
    ...     path = f"{tempfile.mkdtemp()}/model.onnx"
    ...     model.export(path, verbose=False)
    ...     columns = Explainer(path)(np.zeros((1, 32, 32, 3)))
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        engine: EngineName | None = None,
        threads: int | None = None,
        precision: Precision = "float32",
    ) -> None:
        self._file = ModelFile(path, engine, threads, precision)
        self._facts = facts = self._file.facts
        self.class_names = facts.class_names
        self.num_classes = self._file.num_classes
        self.image_shape = facts.image_shape
        self.fit = facts.fit
        self.layers = facts.layers
        self.centered = facts.centered
        self.several_labels = facts.several_labels
        self.scale = facts.scale
        self.offset = facts.offset
        self.sha256 = self._file.sha256

    def __call__(
        self,
        images: Any,
        classes: Classes = None,
        maps: Literal["float32", "float16"] | None = "float32",
        batch_size: int = 32,
        *,
        centered: bool | None = None,
        check: bool = False,
    ) -> Columns:
        """Explain pictures.

        Pictures are read as `load_images` reads them, at the size and with the
        `fit` of the file.

        Args:
            images: Path of a picture, the bytes of one, an open binary file, a
                sequence of these, or an array `(B, H, W, channels)`, 0..255.
            classes: The explained classes: None for the predicted class of
                each picture, an integer, a class name, a sequence of B integers
                or names, or `"all"`.
            maps: The dtype of the maps, or None for no maps.
            batch_size: Positive integer, pictures per inference.
            centered: Whether the mean of all classes' maps is subtracted from
                each map. None means the maps as they are in the file.
            check: Whether to compare the sums of the maps with the logits of
                each picture, and to raise an error if they differ.

        Returns:
            A dict of NumPy arrays of B rows:

            - `"class"`: int64, the explained class; the predicted one if
              `classes` is `"all"`.
            - `"name"`: its name, as objects. It is absent if the file does not
              know names.
            - `"probability"`: float32, its probability.
            - `"logits"`, `"probabilities"`: float32 `(B, C)`.
            - `"border"`: float32, the share of the evidence for the class that
              is on the border of the picture, as `Audit.classes` defines it.
            - `"unsure"`: bool, whether no class has half of the probability.
            - `"maps"`: `(B, h, w)`, or `(B, h, w, C)` for `"all"`. The mean of
              a raw map, times the scale, is the logit.
            - `"layer_maps_18"`: the same at layer 18, if the file has it.
            - `"sum_error"`: float32, with `check`, the largest difference
              between a logit and the sum of its map.

        Raises:
            FileNotFoundError: If a picture does not exist.
            ValueError: If an argument is wrong or a picture cannot be read.
        """
        if maps is not None:
            check_option("maps", maps, ("float32", "float16"))
        check_int("batch_size", batch_size)
        check = check_bool("check", check)
        centers = self._check_centered(centered)
        sources = list_sources(images)
        pixels = None if sources else check_pixels(images, self._facts)
        count = len(sources or pixels)  # type: ignore[arg-type]
        chosen = self._check_classes(classes, count)
        parts = []
        for start in range(0, count, batch_size):
            rows = slice(start, start + batch_size)
            batch = (
                read_sources(sources[rows], self._facts)
                if sources
                else np.asarray(pixels[rows], "float32")  # type: ignore[index]
            )
            outputs = self._file.run(batch)
            of_rows = chosen[rows] if isinstance(chosen, np.ndarray) else chosen
            columns = make_columns(outputs, self._facts, of_rows, maps, centers)
            if check:
                columns["sum_error"] = self._file.check_sums(outputs)
            parts.append(columns)
        return {
            name: np.concatenate([part[name] for part in parts])
            for name in parts[0]
        }

    def contrast(
        self, columns: Mapping[str, np.ndarray] | Maps, a: Classes, b: Classes
    ) -> np.ndarray:
        """Return where the evidence is for one class rather than for another.

        Args:
            columns: What the explainer returned for `classes="all"`, or its
                maps, an array `(B, h, w, C)`.
            a: An integer, a class name, or a sequence of B of these.
            b: The other class, of which the maps are subtracted.

        Returns:
            An array `(B, h, w)`: the maps of `a` minus those of `b`. Its mean,
            times the scale, is the difference of the logits.
        """
        maps = columns["maps"] if isinstance(columns, Mapping) else columns
        if np.ndim(maps) != 4 or np.shape(maps)[-1] != self.num_classes:
            raise ValueError(
                "`columns` must hold the maps of all classes, (B, h, w, "
                f'{self.num_classes}): call the explainer with classes="all". '
                f"Received: maps of shape {np.shape(maps)}"
            )
        maps = np.asarray(check_maps(maps, ndim=(4,)), "float32")
        picked = []
        for name, classes in (("a", a), ("b", b)):
            chosen = check_one_class_per_image(
                self._check_classes(classes, len(maps), name), name
            )
            if chosen is None:
                raise ValueError(
                    f"`{name}` must be a class, or one per picture. "
                    f"Received: {name}=None"
                )
            picked.append(maps[np.arange(len(maps)), ..., chosen])
        return picked[0] - picked[1]

    def overlay(
        self,
        image: Any,
        map_: Any,
        *,
        size: tuple[int, int] | None = None,
        vmax: float | None = None,
        negative: bool = False,
    ) -> bytes:
        """Draw a map over a dark, gray copy of its picture.

        The colors are those of `keras_facnn.plots.overlay`.

        Args:
            image: Path of a picture, the bytes of one, an open binary file, or
                an array `(H, W, 1 or 3)`, 0..255.
            map_: Array `(h, w)`, one row of the column `"maps"`.
            size: Optional pair `(height, width)` of the PNG, for a picture that
                is read. It must have the aspect ratio of `image_shape`. None
                means the size that the model sees.
            vmax: Value of the brightest color; None is the map's largest
                value, or absolute value if negative values are drawn.
            negative: Whether negative values are drawn, from blue to pale blue,
                as by `keras_facnn.plots.colorize`.

        Returns:
            The bytes of a PNG file.
        """
        pixels = drawable_pixels(image, self._facts, size)
        return draw_overlay(pixels, map_, vmax, negative)

    def __repr__(self) -> str:
        return f"Explainer({self._file!r})"

    def _check_centered(self, centered: bool | None) -> bool:
        if centered is None:
            return self.centered
        if not check_bool("centered", centered) and self.centered:
            raise ValueError(
                "`centered` must be True or None, because the maps in the file "
                "are centered; export raw maps without `centered=True`. "
                "Received: centered=False"
            )
        return centered

    def _check_classes(
        self, classes: Classes, batch: int, name: str = "classes"
    ) -> CheckedClasses:
        return check_classes(
            classes, batch, self.num_classes, self.class_names, name
        )
