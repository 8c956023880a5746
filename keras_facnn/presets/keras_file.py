"""Build a model from a `.keras` file, of an FA-CNN or of a classifier."""

import contextlib
import os
import pathlib
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any
from typing import NoReturn

from keras_facnn._backend.initializers import skip_initializers
from keras_facnn._checks.text import printable
from keras_facnn.architecture.backbone_config import backbone_from_config
from keras_facnn.architecture.backbone_config import check_only_keras
from keras_facnn.presets import config as configs
from keras_facnn.presets import files
from keras_facnn.presets import weights

SUFFIX = ".keras"
# Beside the weights, a file may hold a few more values for each of them, which
# its optimizer kept.
_MOST_PER_WEIGHT = 4
# The bit of a file's flags in an archive.
_ENCRYPTED = 1


def is_keras_file(handle: files.Handle) -> bool:
    """Return whether a handle is the path of a `.keras` file that exists."""
    name = os.fspath(handle) if isinstance(handle, os.PathLike) else handle
    return (
        isinstance(name, str)
        and name.endswith(SUFFIX)
        and os.path.isfile(os.path.expanduser(name))
    )


def read_keras_file(
    cls: Any,
    handle: files.Handle,
    load_weights: bool,
    overrides: dict[str, Any],
) -> Any:
    """Return the FA-CNN of a `.keras` file, or the one of its classifier.

    No code of the file runs: it may hold only an FA-CNN or layers of Keras' own
    classes.

    Args:
        cls: The class `FACNN`.
        handle: The path of the file.
        load_weights: Whether to load the weights, which must be true.
        overrides: Arguments of `FACNN` to change.
    """
    if not load_weights:
        raise ValueError(
            "`load_weights` must be True for a `.keras` file. "
            f"Received: load_weights=False, handle={str(handle)!r}"
        )
    fixed = {k: overrides[k] for k in sorted(set(overrides) - configs.FREE)}
    if fixed:
        raise ValueError(
            f"The weights of {str(handle)!r} fit only its own architecture. "
            f"Only {', '.join(sorted(configs.FREE))} can be changed. "
            f"Received: {fixed}"
        )
    path = pathlib.Path(os.path.expanduser(os.fspath(handle)))
    with _opened(path, handle) as archive:
        config = _read_config(archive, handle)
        if config.get("registered_name") == configs.CLASS_NAME:
            with skip_initializers():
                model = _facnn(cls, config.get("config"), overrides, handle)
            _load_weights(model, archive, handle)
            return model
        with skip_initializers():
            classifier = _classifier(config, handle)
        _load_weights(classifier, archive, handle)
    return cls.from_classifier(classifier, **overrides)


@contextlib.contextmanager
def _opened(
    path: pathlib.Path, handle: files.Handle
) -> Iterator[zipfile.ZipFile]:
    """Open a file, and turn errors of a damaged one into a clear one."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError) as e:
        _refuse(handle, f"is damaged, or no `{SUFFIX}` file of Keras 3: {e}")


def _read_config(
    archive: zipfile.ZipFile, handle: files.Handle
) -> dict[str, Any]:
    data = _entry(archive, files.CONFIG, files.LARGEST_JSON, handle)
    with data as file:
        return files.parse_json(file.read(), files.CONFIG, handle)


def _entry(
    archive: zipfile.ZipFile, name: str, largest: int, handle: files.Handle
) -> Any:
    """Return a file in an archive, open, after a check of its size."""
    try:
        info = archive.getinfo(name)
    except KeyError:
        _refuse(handle, f"holds no {name}, as those of `model.save` do")
    if info.flag_bits & _ENCRYPTED:
        _refuse(handle, "is encrypted, so that Keras can't read it either")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        _refuse(handle, f"holds {name} in a compression that Keras never uses")
    files.check_file_size(info.file_size, largest, f"{name} in {str(handle)!r}")
    return archive.open(name)


def _facnn(
    cls: Any, config: Any, overrides: dict[str, Any], handle: files.Handle
) -> Any:
    """Return the FA-CNN of a config."""
    try:
        config = {**config, **overrides}
        configs.check_config(config)
        check_only_keras(config)
        return cls.from_config(config)
    except (AttributeError, KeyError, TypeError, ValueError) as e:
        _refuse(handle, f"builds no FA-CNN: {e}")


def _classifier(config: dict[str, Any], handle: files.Handle) -> Any:
    """Return the classifier of a config."""
    # The optimizer and the loss are not needed.
    config = {k: v for k, v in config.items() if k != "compile_config"}
    try:
        return backbone_from_config(config, "float32")
    except ValueError as e:
        _refuse(
            handle,
            "must hold a classifier made of Keras' own layers, or an FA-CNN. "
            "If you trust the file, load it by `keras.saving.load_model`, and "
            "convert it by `FACNN.from_classifier`. "
            f"{e}",
        )


def _load_weights(
    model: Any, archive: zipfile.ZipFile, handle: files.Handle
) -> None:
    """Load the weights in an archive into a model that they must fit."""
    parameters = model.count_params()
    most = _MOST_PER_WEIGHT * weights.largest_file(
        parameters, len(model.weights)
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        _entry(archive, files.WEIGHTS, most, handle) as file,
    ):
        path = pathlib.Path(folder, files.WEIGHTS)
        with path.open("wb") as copy:
            shutil.copyfileobj(file, copy)
        weights.check_linked_nowhere(path, most // 4, parameters, handle)
        weights.load(model, path, handle)


def _refuse(handle: files.Handle, why: str) -> NoReturn:
    raise ValueError(printable(f"The file {str(handle)!r} {why}")) from None
