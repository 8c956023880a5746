"""The formats that there are, and which one to write."""

import importlib
import importlib.util
import os
import pathlib
from typing import Literal
from typing import get_args

import keras

from keras_facnn._checks.arguments import check_option
from keras_facnn._checks.packages import how_to_install
from keras_facnn.export.format import Format

# Each is also the name of a file of this folder, which defines `FORMAT`.
FormatName = Literal["onnx", "openvino", "litert", "tf_saved_model"]

FORMATS: dict[str, Format] = {
    name: importlib.import_module(f"keras_facnn.export.{name}").FORMAT
    for name in get_args(FormatName)
}


def find_format(filepath: str | os.PathLike, format: str | None = None) -> str:
    """Return the name of the format to write.

    Args:
        filepath: Where to write. Its ending decides if `format` is None.
        format: The name of a format, or None.

    Raises:
        ValueError: If there is no such format, or `filepath` does not have its
            ending.
    """
    path = pathlib.Path(filepath)
    if path.name.lower() in {form.ending for form in FORMATS.values()}:
        raise ValueError(
            "`filepath` must name a file, such as 'model.onnx', or a folder. "
            f"Received: filepath={str(filepath)!r}"
        )
    ending = path.suffix.lower()
    if format is None:
        for name, known in FORMATS.items():
            if ending == known.ending:
                return name
        endings = ", ".join(f.ending for f in FORMATS.values() if f.ending)
        raise ValueError(
            f"`filepath` must end in one of {endings}, or have no ending, for "
            f"a SavedModel; or name the `format`. Received: {filepath}"
        )
    expected = FORMATS[check_option("format", format, tuple(FORMATS))].ending
    if expected and ending != expected:
        raise ValueError(
            f"`filepath` must end in {expected} for format={format!r}. "
            f"Received: {filepath}"
        )
    return format


def check_can_write(name: str) -> None:
    """Raise if the backend, or a missing package, can't write a format.

    Args:
        name: The name of the format.

    Raises:
        RuntimeError: If Keras does not write the format on this backend.
        ImportError: If a package is missing.
    """
    form = FORMATS[name]
    backend = keras.backend.backend()
    if backend not in form.backends:
        raise RuntimeError(
            f"format={name!r} cannot be written on the backend {backend}. "
            f"It can on {' and '.join(form.backends)}: save the model with "
            "`save_to_preset`, and run `KERAS_BACKEND="
            f"{form.backends[0]} keras-facnn export FOLDER OUT`."
        )
    missing = [
        package
        for module, package in form.packages.items()
        if not _is_installed(module)
    ]
    if missing:
        raise ImportError(
            f"format={name!r} needs {' and '.join(missing)}: "
            + how_to_install(form.backends[0], "export")
        )


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
