"""Open a file of `export`, check it and run it."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any
from typing import Literal
from typing import TypeAlias
from typing import get_args

import numpy as np

from keras_facnn._checks.arguments import check_option
from keras_facnn._checks.numbers import check_int
from keras_facnn._checks.text import printable
from keras_facnn.runtime import onnxruntime
from keras_facnn.runtime import openvino
from keras_facnn.runtime.engine import Engine
from keras_facnn.runtime.facts import check_facts_beside
from keras_facnn.runtime.facts import hash_model
from keras_facnn.runtime.facts import parse_facts
from keras_facnn.runtime.sums import check_sums
from keras_facnn.runtime.sums import sum_errors

EngineName: TypeAlias = Literal["onnxruntime", "openvino"]
Precision: TypeAlias = Literal["float32", "bfloat16"]

_ENGINES = {"onnxruntime": onnxruntime, "openvino": openvino}
# The engines that run files of each ending, the default first.
_ENDINGS = {".onnx": ("onnxruntime", "openvino"), ".xml": ("openvino",)}


class ModelFile:
    """A file that `FACNN.export` wrote, opened.

    It is run once on random pixels, and refused if its maps do not sum to its
    logits. Several threads may use it. If it is pickled, other processes open
    the same file.

    Args:
        path, engine, threads, precision: As in `Explainer`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        engine: EngineName | None = None,
        threads: int | None = None,
        precision: Precision = "float32",
    ) -> None:
        self._path = pathlib.Path(path).expanduser().absolute()
        self._engine_name = _find_engine(self._path, engine)
        if threads is not None:
            check_int("threads", threads)
        self._threads = threads
        check_option("precision", precision, get_args(Precision))
        if precision not in _ENGINES[self._engine_name].PRECISIONS:
            raise ValueError(
                f'`precision` must be "float32" for engine='
                f'{self._engine_name!r}; engine="openvino" computes in others. '
                f"Received: precision={precision!r}"
            )
        self._precision = precision
        self._name = printable(str(self._path))
        self.sha256 = hash_model(self._path)
        check_facts_beside(self._path, self.sha256)
        self._engine = self._open()
        self._process = os.getpid()
        self.facts = parse_facts(self._engine.facts, self._path)
        self._outputs = self._find_outputs()
        self.num_classes = self._check_answers()

    def __reduce__(self) -> tuple[Any, ...]:
        return _open_again, (self._arguments, self.sha256)

    def __repr__(self) -> str:
        return f"{str(self._path)!r}, engine={self._engine_name!r}"

    @property
    def _arguments(self) -> tuple[Any, ...]:
        return self._path, self._engine_name, self._threads, self._precision

    def run(self, images: np.ndarray) -> Mapping[str, np.ndarray]:
        """Return the logits and maps of float32 images, by name."""
        if self._process != os.getpid():
            # The threads of an engine do not live on in a process that was
            # forked.
            self._engine = self._open()
            # Last, for threads that ask meanwhile.
            self._process = os.getpid()
        return self._engine.run(images, self._outputs)

    def check_sums(self, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return how far sums of maps are from logits, or raise if too far."""
        errors = sum_errors(outputs, self.facts)
        check_sums(errors, outputs["logits"], self._name)
        return errors

    def _open(self) -> Engine:
        """Open the file in this process."""
        engine = _ENGINES[self._engine_name]
        try:
            return engine.open_file(self._path, self._threads, self._precision)
        except ImportError:
            raise
        # Each library raises exceptions of its own.
        except Exception as e:
            raise ValueError(
                f"{self._name} cannot be opened. It may be incomplete or of "
                f"another format: {_reason(e)}"
            ) from e

    def _find_outputs(self) -> list[str]:
        """Return the names of the outputs that the facts name, or raise."""
        outputs = ["logits", "class_maps"]
        outputs += [f"class_maps_{layer}" for layer in self.facts.layers[:-1]]
        missing = [name for name in outputs if name not in self._engine.outputs]
        if missing:
            raise ValueError(
                f"{self._name} lacks the outputs {', '.join(missing)}. It has "
                f"{', '.join(self._engine.outputs)}"
            )
        return outputs

    def _check_answers(self) -> int:
        """Run the file once, and return the number of classes.

        Raises:
            ValueError: If the outputs do not fit the facts, or if the maps do
                not sum to the logits.
        """
        shape = self.facts.image_shape
        image = np.random.default_rng(0).uniform(0, 255, (1, *shape))
        try:
            outputs = self.run(image.astype("float32"))
        except Exception as e:
            raise ValueError(
                f"{self._name} cannot be run on an image {shape}: {_reason(e)}"
            ) from e
        classes = outputs["logits"].shape[-1]
        named = len(self.facts.class_names or range(classes))
        for name, values in outputs.items():
            ndim = 2 if name == "logits" else 4
            if values.ndim != ndim or values.shape[-1] != named:
                raise ValueError(
                    f"{self._name}: the output {name} must be of its {named} "
                    f"classes. Received: shape {values.shape}"
                )
        self.check_sums(outputs)
        return classes


def _find_engine(path: pathlib.Path, engine: str | None) -> str:
    """Return the name of the engine for a file, or raise."""
    engines = _ENDINGS.get(path.suffix.lower())
    if engines is None:
        raise ValueError(
            f"`path` must end in {' or '.join(_ENDINGS)}. "
            f"Received: path={str(path)!r}"
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


def _open_again(arguments: tuple[Any, ...], sha256: str) -> ModelFile:
    """Open a file that was pickled."""
    opened = ModelFile(*arguments)
    if opened.sha256 != sha256:
        raise ValueError(
            f"{printable(str(arguments[0]))} was replaced by another file "
            "since it was opened elsewhere"
        )
    return opened


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
