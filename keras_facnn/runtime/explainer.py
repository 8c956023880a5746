"""Explain pictures with an exported file."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any
from typing import Literal
from typing import TypeAlias
from typing import get_args

import numpy as np

from keras_facnn._checks.arguments import check_bool
from keras_facnn._checks.arguments import check_option
from keras_facnn._checks.arrays import check_maps
from keras_facnn._checks.arrays import finite_array
from keras_facnn._checks.classes import CheckedClasses
from keras_facnn._checks.classes import check_classes
from keras_facnn._checks.classes import check_one_class_per_image
from keras_facnn._checks.numbers import check_float
from keras_facnn._checks.numbers import check_int
from keras_facnn._checks.numbers import check_size
from keras_facnn._checks.text import printable
from keras_facnn.colors import drawable_image
from keras_facnn.colors import lay_map
from keras_facnn.maps import resize_maps
from keras_facnn.pictures.encoding import png_bytes
from keras_facnn.pictures.reading import read_picture
from keras_facnn.runtime import onnxruntime
from keras_facnn.runtime import openvino
from keras_facnn.runtime.columns import make_columns
from keras_facnn.runtime.engine import Engine
from keras_facnn.runtime.facts import Facts
from keras_facnn.runtime.facts import check_facts_beside
from keras_facnn.runtime.facts import hash_file
from keras_facnn.runtime.facts import parse_facts
from keras_facnn.runtime.sources import check_pixels
from keras_facnn.runtime.sources import list_sources
from keras_facnn.runtime.sources import read_sources
from keras_facnn.runtime.sums import check_sums
from keras_facnn.runtime.sums import sum_errors
from keras_facnn.types import Classes
from keras_facnn.types import Maps

EngineName: TypeAlias = Literal["onnxruntime", "openvino"]
# One row per picture in each column.
Columns: TypeAlias = dict[str, np.ndarray]

_ENGINES = {"onnxruntime": onnxruntime, "openvino": openvino}
# The engines that run files of each ending, the default first.
_ENDINGS = {".onnx": ("onnxruntime", "openvino"), ".xml": ("openvino",)}


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
        sha256: The hash of the file, in hexadecimal digits.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If the engine is not installed.
        ValueError: If the file was not written by `export`, is damaged, or has
            maps that do not sum to its logits; or if the JSON beside it is of
            another file.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        engine: EngineName | None = None,
        threads: int | None = None,
    ) -> None:
        self._path = pathlib.Path(path).expanduser().absolute()
        self._engine_name = _find_engine(self._path, engine)
        if threads is not None:
            check_int("threads", threads)
        self._threads = threads
        if not self._path.is_file():
            raise FileNotFoundError(f"There is no file {self._name}")
        self.sha256 = hash_file(self._path)
        check_facts_beside(self._path, self.sha256)
        self._engine = self._open()
        self._facts = parse_facts(self._engine.facts, self._path)
        self._outputs = _check_outputs(self._engine, self._facts, self._name)
        self.num_classes = self._check_answers()

    class_names = property(lambda self: self._facts.class_names)
    image_shape = property(lambda self: self._facts.image_shape)
    fit = property(lambda self: self._facts.fit)
    layers = property(lambda self: self._facts.layers)
    centered = property(lambda self: self._facts.centered)
    several_labels = property(lambda self: self._facts.several_labels)

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
            outputs = self._run(batch)
            of_rows = chosen[rows] if isinstance(chosen, np.ndarray) else chosen
            columns = make_columns(outputs, self._facts, of_rows, maps, centers)
            if check:
                columns["sum_error"] = self._check_sums(outputs)
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
        values = finite_array("map_", map_)
        if values.ndim != 2 or not values.size:
            raise ValueError(
                "`map_` must have shape (h, w), with at least one location. "
                f"Received: shape {values.shape}"
            )
        pixels = self._drawable(image, size)
        (laid,) = resize_maps(values[None], pixels.shape[:2])
        if not check_bool("negative", negative):
            laid = np.maximum(laid, 0)
        vmax = (
            float(np.abs(laid).max())
            if vmax is None
            else check_float("vmax", vmax, least=0)
        )
        return png_bytes(lay_map(pixels, laid, vmax))

    def __reduce__(self) -> tuple[Any, ...]:
        arguments = (self._path, self._engine_name, self._threads, self.sha256)
        return _open_again, arguments

    def __repr__(self) -> str:
        return f"Explainer({str(self._path)!r}, {self._engine_name!r})"

    @property
    def _name(self) -> str:
        return printable(str(self._path))

    def _open(self) -> Engine:
        """Open the file in this process."""
        self._process = os.getpid()
        try:
            return _ENGINES[self._engine_name].open_file(
                self._path, self._threads
            )
        except ImportError:
            raise
        # Each library raises exceptions of its own.
        except Exception as e:
            reason = " ".join(str(e).split())[:300]
            raise ValueError(
                f"{self._name} cannot be opened. It may be incomplete or of "
                f"another format: {reason}"
            ) from e

    def _run(self, images: np.ndarray) -> Mapping[str, np.ndarray]:
        if self._process != os.getpid():
            # The threads of a session do not live on in a process that was
            # forked.
            self._engine = self._open()
        return self._engine.run(images, self._outputs)

    def _check_answers(self) -> int:
        """Run the file once, and return the number of classes.

        Raises:
            ValueError: If the outputs do not fit the facts, or if the maps do
                not sum to the logits.
        """
        rng = np.random.default_rng(0)
        image = rng.uniform(0, 255, (1, *self.image_shape)).astype("float32")
        try:
            outputs = self._run(image)
        except Exception as e:
            reason = " ".join(str(e).split())[:300]
            raise ValueError(
                f"{self._name} cannot be run on an image {self.image_shape}: "
                f"{reason}"
            ) from e
        num_classes = outputs["logits"].shape[-1]
        named = len(self.class_names or range(num_classes))
        shapes = {name: value.shape for name, value in outputs.items()}
        if named != num_classes or any(
            (*shape[:1], *shape[-1:]) != (1, num_classes)
            or len(shape) != (2 if name == "logits" else 4)
            for name, shape in shapes.items()
        ):
            raise ValueError(
                f"{self._name}: its outputs must be of its {named} classes. "
                f"Received: {shapes}"
            )
        self._check_sums(outputs)
        return num_classes

    def _check_sums(self, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
        errors = sum_errors(outputs, self._facts)
        check_sums(errors, outputs["logits"], self._name)
        return errors

    def _check_centered(self, centered: bool | None) -> bool:
        if centered is None:
            return self.centered
        if not check_bool("centered", centered) and self.centered:
            raise ValueError(
                "`centered` must be True or None, because the maps in "
                f"{self._name} are centered; export raw maps without "
                "`centered=True`. Received: centered=False"
            )
        return centered

    def _check_classes(
        self, classes: Classes, batch: int, name: str = "classes"
    ) -> CheckedClasses:
        return check_classes(
            classes, batch, self.num_classes, self.class_names, name
        )

    def _drawable(self, image: Any, size: Any) -> np.ndarray:
        """Return the pixels `(H, W, 1 or 3)` of a picture to draw on."""
        sources = list_sources(image)
        if sources is None:
            if size is not None:
                raise ValueError(
                    "`size` must be None for an array, which is drawn at its "
                    f"own size. Received: size={size!r}"
                )
            return drawable_image(image)
        if len(sources) != 1:
            raise ValueError(
                f"`image` must be one picture. Received: {len(sources)}"
            )
        height, width, channels = self.image_shape
        if size is not None:
            asked = check_size("size", size)
            if asked[0] * width != asked[1] * height:
                raise ValueError(
                    "`size` must have the aspect ratio of the images, "
                    f"{height} x {width}. Received: size={size!r}"
                )
            height, width = asked
        return read_picture(sources[0], (height, width, channels), self.fit)


def _find_engine(path: pathlib.Path, engine: str | None) -> str:
    """Return the name of the engine for a file, or raise."""
    engines = _ENDINGS.get(path.suffix.lower())
    if engines is None:
        raise ValueError(
            f"`path` must end in {' or '.join(_ENDINGS)}. Received: "
            f"path={str(path)!r}"
        )
    if engine is None:
        return engines[0]
    check_option("engine", engine, get_args(EngineName))
    if engine not in engines:
        raise ValueError(
            f"`engine` must be one that runs {path.suffix} files: "
            f"{', '.join(engines)}. Received: engine={engine!r}"
        )
    return engine


def _check_outputs(engine: Engine, facts: Facts, name: str) -> list[str]:
    """Return the names of the outputs that the facts name, or raise."""
    outputs = ["logits", "class_maps"]
    outputs += [f"class_maps_{layer}" for layer in facts.layers[:-1]]
    missing = [output for output in outputs if output not in engine.outputs]
    if missing:
        raise ValueError(
            f"{name} lacks the outputs {', '.join(missing)}. It has "
            f"{', '.join(engine.outputs)}"
        )
    return outputs


def _open_again(
    path: pathlib.Path, engine: EngineName, threads: int | None, sha256: str
) -> Explainer:
    """Open the file of a pickled explainer."""
    explainer = Explainer(path, engine, threads)
    if explainer.sha256 != sha256:
        raise ValueError(
            f"{explainer._name} is another file than the one of the explainer "
            "that was pickled"
        )
    return explainer
