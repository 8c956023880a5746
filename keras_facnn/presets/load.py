"""Build a model from a preset."""

import contextlib
import json
import os
import pathlib
import warnings
from typing import Any

import keras

from keras_facnn._backend.initializers import skip_initializers
from keras_facnn._checks.messages import callers_stacklevel
from keras_facnn._checks.numbers import check_int
from keras_facnn._checks.text import printable
from keras_facnn._files import folders
from keras_facnn.layers.classwise_conv_2d import ClasswiseConv2D
from keras_facnn.presets import config as configs
from keras_facnn.presets import files
from keras_facnn.presets import hub
from keras_facnn.presets import remote
from keras_facnn.presets import weights
from keras_facnn.presets.provenance import Provenance
from keras_facnn.presets.record import parse_record

Handle = str | os.PathLike

_BUNDLED = pathlib.Path(__file__).parent

# Weights can be transferred to other classes.
_FREE = configs.FREE | {"num_classes"}


def bundled_presets() -> dict[str, dict[str, Any]]:
    """Return the metadata of the presets in the package, by name."""
    return {
        path.parent.name: json.loads(path.read_bytes())
        for path in sorted(_BUNDLED.glob(f"*/{files.METADATA}"))
    }


class BundledPresets:
    """The attribute `FACNN.presets`, of the class and of each model."""

    def __get__(self, model: Any, cls: type) -> dict[str, dict[str, Any]]:
        return bundled_presets()


def read_preset(
    cls: Any,
    source: Any,
    handle: Handle,
    load_weights: bool,
    overrides: dict[str, Any],
) -> Any:
    """Return the model of a preset.

    Args:
        cls: The class `FACNN`.
        source: Result of `find_source`.
        handle: Name of the preset in messages.
        load_weights: Whether to load its weights.
        overrides: Arguments of `FACNN` to change.
    """
    data = source.read(files.CONFIG)
    config = configs.parse_config(cls, data, handle)
    if not load_weights:
        return _build(cls, {**config, **overrides}, handle)

    fixed = set(overrides) - _FREE
    if fixed:
        raise ValueError(
            f"The weights of {handle!r} fit only its own architecture. With "
            f"weights, only {', '.join(sorted(_FREE))} can be changed; pass "
            f"load_weights=False to train from scratch. Received: "
            f"{ {k: overrides[k] for k in sorted(fixed)} }"
        )
    _check_config(config, handle)
    if config.get("left_out") and "num_classes" in overrides:
        raise ValueError(
            f"The preset {handle!r} leaves evidence of its classes out "
            "(`FACNN.without`), so it can't be adapted to other classes. "
            f"Received: num_classes={overrides['num_classes']!r}"
        )
    record = parse_record(
        source.read(files.METADATA), data, config["num_classes"], handle
    )
    if "num_classes" not in overrides and "image_shape" not in overrides:
        with skip_initializers():
            model = _build(cls, {**config, **overrides}, handle)
        _load_weights(model, source, record, handle)
        model.provenance = Provenance.at_load(model, record, are_preset_s=True)
        return model

    with skip_initializers():
        original = _build(cls, config, handle)
    num_classes = check_int(
        "num_classes", overrides.get("num_classes", original.num_classes)
    )
    keeps_all = num_classes == original.num_classes
    if not keeps_all:
        config["maps_per_class"] = _widths_kept(original, num_classes)
    configs.check_config({**config, **overrides})
    # New classes keep initial weights where the preset has none for them.
    with skip_initializers() if keeps_all else contextlib.nullcontext():
        model = cls(**{**config, **overrides})
    if model.image_shape[-1] != original.image_shape[-1]:
        raise ValueError(
            f"The weights of {handle!r} were trained on images of "
            f"{original.image_shape[-1]} channels. "
            f"Received: image_shape={model.image_shape}"
        )
    _load_weights(original, source, record, handle)
    _transfer(original, model, handle)
    if "num_classes" in overrides:
        # The metadata describes the old classes and their data, not the new
        # ones.
        record = {"transferred_from": record}
    model.provenance = Provenance.at_load(model, record, are_preset_s=False)
    return model


def find_source(handle: Handle) -> Any:
    """Return an object that reads the files of a preset, or raise.

    It is a `files.Folder`, a `hub.Repository` or a `remote.Website`.
    """
    name = os.fspath(handle) if isinstance(handle, os.PathLike) else handle
    if not isinstance(name, str):
        raise ValueError(
            "A preset must be a name, a folder, a `.keras` file, "
            f"`hf://user/repo` or `https://...`. Received: {handle!r}"
        )
    if name.startswith("hf://"):
        return hub.Repository(name)
    if "://" in name:
        return remote.Website(name)

    folder = pathlib.Path(os.path.expanduser(name))
    bundled = bundled_presets()
    if name in bundled:
        if (folder / files.CONFIG).is_file():
            warnings.warn(
                f"{name!r} names the bundled preset. To load the local folder "
                f"of the same name, pass {f'./{name}'!r}.",
                stacklevel=callers_stacklevel(),
            )
        return files.Folder(_BUNDLED / name)
    if os.path.isfile(folder):
        raise ValueError(_is_a_file(name, folder))
    if not name or not folders.exists(folder):
        raise ValueError(
            f"There is no preset {name!r}. Bundled presets: "
            f"{', '.join(bundled) or 'none'}. A preset can also be a local "
            "folder, a `.keras` file, `hf://user/repo` or `https://...`."
        )
    return files.Folder(folder)


def _is_a_file(name: str, path: pathlib.Path) -> str:
    """Return the message for a handle that is a file."""
    if path.name in files.ALL:
        hint = f" of a preset. Pass its folder, {str(path.parent)!r}"
    elif path.suffix == ".h5":
        hint = (
            ". Load a whole model by `keras.saving.load_model`, and save it as "
            "a `.keras` file, which `from_preset` reads"
        )
    elif path.suffix in (".zip", ".tar", ".gz", ".tgz"):
        hint = ". Unpack it first"
    else:
        hint = ""
    return (
        f"A preset is a folder that holds {', '.join(files.ALL)}. "
        f"Received: {name!r}, which is a file{hint}"
    )


def _build(cls: Any, config: dict[str, Any], handle: Handle) -> Any:
    _check_config(config, handle)
    try:
        return cls(**config)
    except (TypeError, ValueError) as e:
        raise _builds_nothing(handle, e) from e


def _check_config(config: dict[str, Any], handle: Handle) -> None:
    try:
        configs.check_config(config)
    except ValueError as e:
        raise _builds_nothing(handle, e) from e


def _builds_nothing(handle: Handle, error: Exception) -> ValueError:
    return ValueError(
        f"The config of the preset {str(handle)!r} builds no model: "
        + printable(str(error))
    )


def _load_weights(
    model: Any, source: Any, record: dict[str, Any], handle: Handle
) -> None:
    parameters = model.count_params()
    largest = weights.largest_file(parameters, len(model.weights))
    path = source.weights(record["weights"]["sha256"], largest)
    weights.check_file(path, parameters, handle)
    weights.load(model, path, handle)


def _widths_kept(source: Any, num_classes: int) -> list[int]:
    """Return maps per class that keep each stage about as wide as it was."""
    first = source.maps_per_class[0]
    new_first = max(1, round(source.num_classes * first / num_classes))
    return [n // first * new_first for n in source.maps_per_class]


def _transfer(source: Any, model: Any, handle: Handle) -> None:
    """Copy every weight that fits, and warn if some were cut or extended."""
    changed, total, kept = 0, 0, 0
    new_weights = []
    old_classes, new_classes = source.num_classes, model.num_classes
    classwise = {
        layer.kernel.path
        for layer in model.layers
        if isinstance(layer, ClasswiseConv2D)
    }
    for old, new in zip(source.weights, model.weights, strict=True):
        is_classwise = new.path in classwise
        # Compare dense kernels, whose shape depends only on the number of maps.
        old_value, value = (
            keras.ops.convert_to_numpy(
                ClasswiseConv2D.dense_kernel(w, classes) if is_classwise else w
            )
            for w, classes in ((old, old_classes), (new, new_classes))
        )
        value = value.copy()
        common = tuple(
            slice(min(a, b))
            for a, b in zip(old_value.shape, value.shape, strict=True)
        )
        value[common] = old_value[common]
        total, kept = total + value.size, kept + value[common].size
        fits = old_value.shape == value.shape
        if is_classwise:
            # A new class that owns the maps of several old classes keeps all
            # their weights.
            fits = fits and old_classes % new_classes == 0
            value = keras.ops.convert_to_numpy(
                ClasswiseConv2D.own_kernel(value, new_classes)
            )
        new_weights.append(value)
        changed += not fits
    model.set_weights(new_weights)
    if changed:
        warnings.warn(
            f"num_classes={new_classes} does not divide the widths of "
            f"{str(handle)!r}, or splits classes of its class-wise layers. "
            f"{kept / total:.1%} of the new model's values are from the "
            f"preset, and the others are newly initialized: {changed} of "
            f"{len(new_weights)} weights were cut or extended at their ends.",
            stacklevel=callers_stacklevel(),
        )
