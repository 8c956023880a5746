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

from keras_facnn.presets import remote
from keras_facnn.version import __version__

_CONFIG = "config.json"
_METADATA = "metadata.json"
_WEIGHTS = "model.weights.h5"
_FILES = {_CONFIG, _METADATA, _WEIGHTS}
_CLASS_NAME = "keras_facnn>FACNN"
_BUNDLED = pathlib.Path(__file__).parent

# What a user may change without touching what the weights mean.
_FREE = {
    "num_classes",
    "image_shape",
    "synchronized_batch_norm",
    "deep_alignment",
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
    config = _parse_config(cls, read(_CONFIG), handle)
    unknown = set(overrides) - set(_arguments(cls))
    if unknown:
        raise ValueError(
            f"`overrides` must be arguments of {cls.__name__}: "
            f"{', '.join(_arguments(cls))}. Received: {sorted(unknown)}"
        )
    if not load_weights:
        return cls(**{**config, **overrides})

    fixed = set(overrides) - _FREE
    if fixed:
        raise ValueError(
            f"The weights of {handle!r} fit its own architecture alone. With "
            f"weights, only {', '.join(sorted(_FREE))} can be changed; pass "
            f"load_weights=False to train from scratch. Received: "
            f"{ {k: overrides[k] for k in sorted(fixed)} }"
        )
    image_shape = overrides.get("image_shape", config["image_shape"])
    if image_shape[-1] != config["image_shape"][-1]:
        raise ValueError(
            f"The weights of {handle!r} were trained on images of "
            f"{config['image_shape'][-1]} channels. "
            f"Received: image_shape={image_shape!r}"
        )
    metadata = _parse_metadata(read(_METADATA), config, handle)
    num_classes = overrides.get("num_classes", config["num_classes"])
    if num_classes == config["num_classes"]:
        model = cls(**{**config, **overrides})
        _load_weights(model, weights_path(metadata), handle)
    else:
        source = cls(**config)
        _load_weights(source, weights_path(metadata), handle)
        config["maps_per_class"] = _widths_kept(config, num_classes)
        model = cls(**{**config, **overrides})
        _transfer(source, model, handle)
        # These describe the old classes.
        metadata.pop("class_names", None)
        metadata.pop("metrics", None)
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
    copy = type(model).from_config({**config, "dtype": weights_dtype})
    copy.set_weights(stored)
    for key in ("dtype", "name"):
        config.pop(key)

    directory.parent.mkdir(parents=True, exist_ok=True)
    temporary = pathlib.Path(
        tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent)
    )
    try:
        folder = temporary / "new"
        folder.mkdir()
        copy.save_weights(folder / _WEIGHTS)
        record = {
            **(metadata or {}),
            **_facts(model, weights_dtype, _sha256(folder / _WEIGHTS)),
        }
        _check_metadata(record, config, directory)
        _write_json(
            folder / _CONFIG, {"class_name": _CLASS_NAME, "config": config}
        )
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
        received = _sha256(path)
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


def _sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()


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
    expected = set(_arguments(cls)) - {"dtype", "name"}
    received = set(config) if isinstance(config, dict) else set()
    if received != expected:
        raise ValueError(
            f"{where} must give exactly the arguments of FACNN. "
            f"Missing: {sorted(expected - received)}. "
            f"Unknown: {sorted(received - expected)}"
        )
    return config


def _parse_metadata(text, config, handle):
    metadata = _parse_json(text, _METADATA, handle)
    _check_metadata(metadata, config, handle)
    return metadata


def _check_metadata(metadata, config, handle):
    where = f"{_METADATA} of the preset {str(handle)!r}"
    weights = metadata.get("weights")
    sha256 = weights.get("sha256") if isinstance(weights, dict) else None
    if (
        not isinstance(sha256, str)
        or len(sha256) != 64
        or set(sha256) - set("0123456789abcdef")
    ):
        raise ValueError(
            f'{where} must hold the SHA-256 of the weights, {{"weights": '
            f'{{"sha256": ...}}}}. Received: weights={weights!r}'
        )
    names = metadata.get("class_names")
    if names is not None and (
        not isinstance(names, list)
        or not all(isinstance(n, str) for n in names)
        or len(names) != config["num_classes"]
    ):
        raise ValueError(
            f"`class_names` in {where} must be {config['num_classes']} "
            f"strings. Received: {names!r}"
        )


# --- Loading ---


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
    sizes = []
    with h5py.File(path) as file:
        file.visititems(lambda _, item: sizes.append(getattr(item, "size", 0)))
    return sum(sizes)


def _widths_kept(config, num_classes):
    """Maps a class that keep each stage about as wide as it was."""
    first = config["maps_per_class"][0]
    new_first = max(1, round(config["num_classes"] * first / num_classes))
    return [n // first * new_first for n in config["maps_per_class"]]


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
            "were cut, or extended by fresh values: " + ", ".join(partly),
            stacklevel=4,
        )


# --- Saving ---


def _facts(model, weights_dtype, sha256):
    return {
        "keras_version": keras.__version__,
        "keras_facnn_version": __version__,
        "parameters": model.count_params(),
        "input": {"shape": list(model.image_shape), "range": [0, 255]},
        "weights": {"sha256": sha256, "dtype": weights_dtype},
    }


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
