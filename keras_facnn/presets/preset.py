"""Presets: folders of `config.json`, `metadata.json`, `model.weights.h5`."""

import hashlib
import inspect
import json
import os
import pathlib
import shutil
import tempfile
import warnings

import h5py
import keras
import numpy as np

from keras_facnn.checks import check_int
from keras_facnn.presets import remote
from keras_facnn.version import __version__

_CONFIG = "config.json"
_METADATA = "metadata.json"
_WEIGHTS = "model.weights.h5"
_FILES = {_CONFIG, _METADATA, _WEIGHTS}
_CLASS_NAME = "keras_facnn>FACNN"
# These belong to a run of the model, not to the model.
_NOT_IN_PRESETS = {
    "dtype",
    "name",
    "trainable",
    "frozen_layers",
    "stochastic_depth",
    # Where a backbone was cut is in its config.
    "feature_layer",
}
# Presets from before these arguments lack them.
_ADDED_LATER = {"backbone", "fused"}
_BUNDLED = pathlib.Path(__file__).parent

# What a user may change without touching what the weights mean.
_FREE = {
    "num_classes",
    "image_shape",
    "synchronized_batch_norm",
    "deep_alignment",
    "stochastic_depth",
    "dtype",
    "name",
}


def bundled_presets():
    """Metadata of the presets that ship with the package, by name."""
    return {
        path.parent.name: json.loads(path.read_text("utf-8"))
        for path in sorted(_BUNDLED.glob(f"*/{_METADATA}"))
    }


def load_preset(cls, handle, load_weights=True, **overrides):
    """Builds a model from a preset; see `FACNN.from_preset`."""
    read, weights_path = _locate(handle)
    text = read(_CONFIG)
    config = _parse_config(cls, text, handle)
    unknown = set(overrides) - set(_arguments(cls))
    if unknown:
        raise ValueError(
            f"`overrides` must be arguments of {cls.__name__}: "
            f"{', '.join(_arguments(cls))}. Received: {sorted(unknown)}"
        )
    if not load_weights:
        return _build(cls, {**config, **overrides}, handle)

    fixed = set(overrides) - _FREE
    if fixed:
        raise ValueError(
            f"The weights of {handle!r} fit its own architecture alone. With "
            f"weights, only {', '.join(sorted(_FREE))} can be changed; pass "
            f"load_weights=False to train from scratch. Received: "
            f"{ {k: overrides[k] for k in sorted(fixed)} }"
        )
    metadata = _parse_metadata(read(_METADATA), text, config, handle)
    if "num_classes" not in overrides and "image_shape" not in overrides:
        model = _build(cls, {**config, **overrides}, handle)
        _load_weights(model, weights_path(metadata), handle)
        model.preset_metadata = metadata
        return model

    source = _build(cls, config, handle)
    num_classes = check_int(
        "num_classes", overrides.get("num_classes", source.num_classes)
    )
    if num_classes != source.num_classes:
        config["maps_per_class"] = _widths_kept(source, num_classes)
        # These describe the old classes.
        metadata.pop("class_names", None)
        metadata.pop("metrics", None)
    model = cls(**{**config, **overrides})
    if model.image_shape[-1] != source.image_shape[-1]:
        raise ValueError(
            f"The weights of {handle!r} were trained on images of "
            f"{source.image_shape[-1]} channels. "
            f"Received: image_shape={model.image_shape}"
        )
    _load_weights(source, weights_path(metadata), handle)
    _transfer(source, model, handle)
    model.preset_metadata = metadata
    return model


def save_preset(model, directory, metadata=None, weights_dtype="float32"):
    """Writes a model as a preset folder; see `FACNN.save_to_preset`."""
    if weights_dtype not in ("float32", "float16"):
        raise ValueError(
            '`weights_dtype` must be "float32" or "float16". '
            f"Received: weights_dtype={weights_dtype!r}"
        )
    directory = pathlib.Path(directory)
    _check_replaceable(directory)
    config = model.get_config()
    arrays = model.get_weights()
    with np.errstate(over="ignore"):
        stored = [a.astype(weights_dtype) for a in arrays]
    if not all(np.isfinite(a).all() for a in stored):
        raise ValueError(
            f"The weights are not finite as {weights_dtype}; nothing was "
            "saved. Use weights_dtype='float32', or look for NaN in training."
        )
    # A fresh model, so that no optimizer state comes along.
    for key in _NOT_IN_PRESETS:
        config.pop(key, None)
    copy = type(model).from_config({**config, "dtype": weights_dtype})
    copy.set_weights(stored)

    directory.parent.mkdir(parents=True, exist_ok=True)
    temporary = pathlib.Path(
        tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent)
    )
    try:
        folder = temporary / "new"
        folder.mkdir()
        copy.save_weights(folder / _WEIGHTS)
        _write_json(
            folder / _CONFIG, {"class_name": _CLASS_NAME, "config": config}
        )
        record = {
            **(metadata or {}),
            "keras_version": keras.__version__,
            "keras_facnn_version": __version__,
            "parameters": model.count_params(),
            "input": {"shape": list(model.image_shape), "range": [0, 255]},
            "config": {"sha256": remote.file_sha256(folder / _CONFIG)},
            "weights": {
                "sha256": remote.file_sha256(folder / _WEIGHTS),
                "dtype": weights_dtype,
            },
        }
        _check_class_names(record, config["num_classes"], directory)
        _write_json(folder / _METADATA, record)
        _swap(folder, directory, temporary / "old")
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


# --- Finding ---


def _locate(handle):
    """How to read a preset's texts, and the path of its weights."""
    if not isinstance(handle, (str, os.PathLike)):
        raise ValueError(
            "A preset must be a name, a folder, `hf://user/repo` or "
            f"`https://...`. Received: {handle!r}"
        )
    handle = os.fspath(handle)
    if remote.is_remote(handle):
        url = remote.folder_url(handle)

        def read(name):
            return remote.fetch_text(url + name)

        def weights_path(metadata):
            return remote.fetch_weights(
                url + _WEIGHTS, metadata["weights"]["sha256"]
            )

        return read, weights_path

    folder = _BUNDLED / handle if handle in bundled_presets() else None
    if folder is None and os.path.isdir(handle):
        folder = pathlib.Path(handle)
    if folder is None:
        raise ValueError(
            f"There is no preset {handle!r}. Bundled presets: "
            f"{', '.join(bundled_presets()) or 'none'}. A preset can also be "
            "a local folder, `hf://user/repo` or `https://...`."
        )

    def read(name):
        return _existing(folder / name).read_text("utf-8")

    def weights_path(metadata):
        path = _existing(folder / _WEIGHTS)
        received = remote.file_sha256(path)
        expected = metadata["weights"]["sha256"]
        if received != expected:
            raise ValueError(
                f"{path} is damaged or was changed: its sha256 should be "
                f"{expected}. Received: {received}. Get the preset again."
            )
        return path

    return read, weights_path


def _existing(path):
    if not path.is_file():
        raise FileNotFoundError(
            f"The preset {str(path.parent)!r} lacks {path.name}. A preset "
            f"holds {', '.join(sorted(_FILES))}; "
            "`FACNN.save_to_preset` writes them."
        )
    return path


# --- Checking ---


def _arguments(cls):
    signature = inspect.signature(cls.__init__).parameters
    return [n for n in signature if n not in ("self", "kwargs")] + ["name"]


def _parse_json(text, filename, handle):
    try:
        value = json.loads(text)
    except json.JSONDecodeError as e:
        raise ValueError(
            f"{filename} of the preset {str(handle)!r} is not valid JSON: {e}"
        ) from None
    if not isinstance(value, dict):
        raise ValueError(
            f"{filename} of the preset {str(handle)!r} must hold a JSON "
            f"object. Received: {type(value).__name__}"
        )
    return value


def _parse_config(cls, text, handle):
    """Checks a config and returns the arguments of the constructor."""
    outer = _parse_json(text, _CONFIG, handle)
    where = f"{_CONFIG} of the preset {str(handle)!r}"
    if outer.get("class_name") != _CLASS_NAME:
        raise ValueError(
            f"{where} must be of an FA-CNN, with class_name={_CLASS_NAME!r}. "
            f"Received: class_name={outer.get('class_name')!r}"
        )
    config = outer.get("config")
    expected = set(_arguments(cls)) - _NOT_IN_PRESETS
    received = set(config) if isinstance(config, dict) else set()
    missing = expected - received - _ADDED_LATER
    if missing or received - expected:
        raise ValueError(
            f"{where} must give exactly the arguments of FACNN. "
            f"Missing: {sorted(missing)}. "
            f"Unknown: {sorted(received - expected)}"
        )
    return config


def _parse_metadata(text, config_text, config, handle):
    metadata = _parse_json(text, _METADATA, handle)
    where = f"{_METADATA} of the preset {str(handle)!r}"
    for part in ("config", "weights"):
        entry = metadata.get(part)
        sha256 = entry.get("sha256") if isinstance(entry, dict) else None
        if (
            not isinstance(sha256, str)
            or len(sha256) != 64
            or set(sha256) - set("0123456789abcdef")
        ):
            raise ValueError(
                f'{where} must hold the SHA-256 of the {part}, {{"{part}": '
                f'{{"sha256": ...}}}}. Received: {part}={entry!r}'
            )
    expected = metadata["config"]["sha256"]
    received = hashlib.sha256(config_text.encode("utf-8")).hexdigest()
    if received != expected:
        raise ValueError(
            f"{_CONFIG} of the preset {str(handle)!r} is damaged or was "
            f"changed: its sha256 should be {expected}. Received: {received}. "
            "Get the preset again, or change arguments in `from_preset`."
        )
    _check_class_names(metadata, config["num_classes"], handle)
    return metadata


def _check_class_names(metadata, num_classes, handle):
    names = metadata.get("class_names")
    if names is not None and (
        not isinstance(names, list)
        or not all(isinstance(n, str) for n in names)
        or len(names) != num_classes
    ):
        raise ValueError(
            f"`class_names` in {_METADATA} of the preset {str(handle)!r} must "
            f"be {num_classes} strings. Received: {names!r}"
        )


# --- Loading ---


def _build(cls, config, handle):
    try:
        return cls(**config)
    except (TypeError, ValueError) as e:
        raise ValueError(
            f"The config of the preset {str(handle)!r} builds no model: {e}"
        ) from e


def _load_weights(model, path, handle):
    try:
        # Keras skips what a model has no layer for; here every value counts.
        stored = _count_values(path)
        if stored != model.count_params():
            raise ValueError(f"the file holds {stored:,} values.")
        model.load_weights(path)
    except (ValueError, KeyError, OSError) as e:
        raise ValueError(
            f"The weights of the preset {str(handle)!r} do not fit its config "
            f"({model.count_params():,} parameters). Get the preset again, or "
            f"ask whoever published it. What came: {e}"
        ) from e


def _count_values(path):
    """Number of values in an HDF5 file that may not point out of itself."""

    def count(group):
        total = 0
        for name in group:
            item = group[name]
            if type(group.get(name, getlink=True)) is not h5py.HardLink:
                raise ValueError(f"{name} in the file is a link.")
            if isinstance(item, h5py.Group):
                total += count(item)
            elif item.external or item.is_virtual or item.size is None:
                raise ValueError(f"{name} in the file holds no values.")
            else:
                total += item.size
        return total

    with h5py.File(path) as file:
        return count(file)


def _widths_kept(source, num_classes):
    """Maps a class that keep each stage about as wide as it was."""
    first = source.maps_per_class[0]
    new_first = max(1, round(source.num_classes * first / num_classes))
    return [n // first * new_first for n in source.maps_per_class]


def _transfer(source, model, handle):
    """Copies every weight that fits; where one is cut or new, says so."""
    partly = []
    new_weights = []
    for old, new in zip(source.weights, model.weights, strict=True):
        value = keras.ops.convert_to_numpy(new).copy()
        old_value = keras.ops.convert_to_numpy(old)
        common = tuple(
            slice(min(a, b)) for a, b in zip(old.shape, new.shape, strict=True)
        )
        value[common] = old_value[common]
        new_weights.append(value)
        if old.shape != new.shape:
            partly.append(f"{new.path} {tuple(old.shape)}->{tuple(new.shape)}")
    model.set_weights(new_weights)
    if partly:
        warnings.warn(
            f"num_classes={model.num_classes} does not divide the widths of "
            f"{str(handle)!r}, so {len(partly)} of {len(new_weights)} weights "
            "were cut, or extended by fresh values, among them "
            + ", ".join([x for x in partly if "/kernel" in x][:3]),
            stacklevel=4,
        )


# --- Saving ---


def _check_replaceable(directory):
    if not directory.exists():
        return
    inside = {p.name for p in directory.iterdir()} if directory.is_dir() else 0
    if inside == 0 or not inside <= _FILES:
        raise ValueError(
            "`directory` must be a new or empty folder, or a preset to "
            f"replace. Received: {str(directory)!r}, which holds other things"
        )


def _swap(new, directory, old):
    if not directory.exists():
        new.rename(directory)
        return
    directory.rename(old)
    try:
        new.rename(directory)
    except OSError:
        old.rename(directory)
        raise


def _write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n", "utf-8")
