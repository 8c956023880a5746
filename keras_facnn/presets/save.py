"""Write the files of a preset."""

import functools
import hashlib
import os
import pathlib
from typing import Any

import keras
import numpy as np

from keras_facnn._backend.initializers import skip_initializers
from keras_facnn._checks.text import join_first
from keras_facnn._files import folders
from keras_facnn._files.system_files import is_of_system
from keras_facnn.presets import config as configs
from keras_facnn.presets import files
from keras_facnn.presets import record as records
from keras_facnn.presets import weights
from keras_facnn.presets.load import bundled_presets
from keras_facnn.types import WeightsDtype
from keras_facnn.version import __version__

# A file that `keras_facnn.train` writes beside those of a preset.
REPORT = "report.html"


def write_files(
    folder: pathlib.Path,
    model: Any,
    copy: Any,
    metadata: dict[str, Any],
    weights_dtype: WeightsDtype,
) -> None:
    """Write the files of a preset.

    Args:
        folder: An empty folder.
        model: A `FACNN`.
        copy: Result of `copy_to_save`.
        metadata: The metadata of the model, in types of JSON.
        weights_dtype: The dtype of `copy`.
    """
    config = configs.config_bytes(model.get_config())
    (folder / files.CONFIG).write_bytes(config)
    copy.save_weights(folder / files.WEIGHTS)
    _check_weights(copy, folder / files.WEIGHTS)
    record = {
        **metadata,
        "format": records.FORMAT,
        "keras_version": keras.__version__,
        "keras_facnn_version": __version__,
        "parameters": model.count_params(),
        "input": {"shape": list(model.image_shape), "range": [0, 255]},
        "config": {"sha256": hashlib.sha256(config).hexdigest()},
        "weights": {
            "sha256": files.sha256_of(folder / files.WEIGHTS),
            "dtype": weights_dtype,
        },
    }
    (folder / files.METADATA).write_bytes(records.signed_bytes(record))


def folder_to_write(directory: str | os.PathLike) -> pathlib.Path:
    """Return the folder that a save creates or replaces, or raise."""
    name = (
        os.fspath(directory)
        if isinstance(directory, os.PathLike)
        else directory
    )
    if (
        not isinstance(name, str)
        or not name
        or any(part in name for part in ("://", "\0"))
    ):
        raise ValueError(
            "`directory` must be the path of a folder on this machine. "
            f"Received: directory={directory!r}"
        )
    if name in bundled_presets():
        raise ValueError(
            "`directory` must not be the name of a bundled preset, because "
            "`from_preset` would load the bundled preset. Use "
            f"{f'./{name}'!r} to save and to load. "
            f"Received: directory={directory!r}"
        )
    # If the path is a link, its target is replaced.
    target = pathlib.Path(os.path.realpath(os.path.expanduser(name)))
    folders.check_place("directory", target)
    folders.restore(target)
    if os.path.lexists(target):
        what = folders.reading(
            target, functools.partial(_content_to_keep, target)
        )
        if what:
            raise ValueError(
                "`directory` must be a new or empty folder, or a preset of an "
                "FA-CNN to replace, with nothing else in it. "
                f"Received: {str(directory)!r}, which {what}"
            )
    return target


def _content_to_keep(target: pathlib.Path) -> str | None:
    """Return what a user would lose if a path were replaced, or None."""
    if not target.is_dir():
        return "is a file"
    inside = {
        path.name for path in target.iterdir() if not is_of_system(path.name)
    }
    if not inside:
        return None
    # The report is about the model, and is replaced with it.
    known = {*files.ALL, REPORT}
    if inside | {REPORT} != known:
        names = sorted(inside - known) or sorted(inside)
        return f"holds {join_first(map(repr, names))}"
    try:
        data = files.Folder(target).read(files.CONFIG)
        config = files.parse_json(data, files.CONFIG, target)
    except ValueError as e:
        return f"holds another model: {e}"
    if config.get("class_name") != configs.CLASS_NAME:
        return f"holds another model, of {config.get('class_name')!r}"
    return None


def copy_to_save(model: Any, dtype: WeightsDtype) -> Any:
    """Return a new model of the same weights, without an optimizer's state."""
    with np.errstate(over="ignore"):
        values = [
            # The count of `Normalization` is an integer.
            value if value.dtype.kind == "i" else value.astype(dtype)
            for value in model.get_weights()
        ]
    config = configs.kept(model.get_config())
    with skip_initializers():
        copy = type(model).from_config({**config, "dtype": dtype})
    copy.set_weights(values)
    fault = weights.find_fault(copy)
    if fault:
        raise ValueError(
            f"The weights are {fault}; nothing was saved. Use "
            "weights_dtype='float32', or check the training for NaN."
        )
    return copy


def _check_weights(model: Any, path: pathlib.Path) -> None:
    """Raise if Keras wrote other values than the model's own.

    Keras adds LoRA's weights to the kernels that they change, and writes some
    wrapped layers twice.
    """
    stored = weights.count_values(path)
    if stored != model.count_params():
        raise ValueError(
            "The model can't be saved as a preset, because its weights file "
            "would not fit its config. A layer saves other values than its "
            "own weights, as layers with LoRA and SpectralNormalization do. "
            "Save a .keras file with `model.save` instead. Nothing was saved. "
            f"Received: a model of {model.count_params():,} parameters, "
            f"of which Keras writes {stored:,} values"
        )
