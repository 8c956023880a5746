"""Read and write `config.json`, the arguments that build the model."""

import inspect
from collections.abc import Mapping
from typing import Any

from keras_facnn.architecture.architecture import check_architecture
from keras_facnn.presets import files

CLASS_NAME = "keras_facnn>FACNN"
# These describe a run of the model, or where its weights came from.
NOT_IN_PRESETS = frozenset(
    {
        "dtype",
        "name",
        "trainable",
        "frozen_layers",
        "stochastic_depth",
        "preset_metadata",
        "weights_at_load",
    }
)
# Arguments that change neither the classes nor what the weights mean.
FREE = frozenset(
    {
        "image_shape",
        "synchronized_batch_norm",
        "deep_alignment",
        "stochastic_depth",
        "dtype",
        "name",
    }
)
# Presets that are older than these arguments do not have them.
ADDED_LATER = frozenset(
    {
        "fused",
        "threshold",
        "backbone",
        "feature_layer",
        "classwise_layers",
        "branch_depth",
        "padding",
        "projection",
        "left_out",
    }
)


def arguments(cls: Any) -> list[str]:
    """Return the names of the arguments that build a model."""
    signature = inspect.signature(cls.__init__).parameters
    return [n for n in signature if n not in ("self", "kwargs")] + ["name"]


def kept(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a preset keeps of a model's `get_config()`."""
    return {k: v for k, v in config.items() if k not in NOT_IN_PRESETS}


def config_bytes(config: Mapping[str, Any]) -> bytes:
    """Return the file of a model's `get_config()`."""
    return files.json_bytes({"class_name": CLASS_NAME, "config": kept(config)})


def parse_config(cls: Any, data: bytes, handle: files.Handle) -> dict[str, Any]:
    """Return the arguments of the constructor that a file holds, or raise.

    Args:
        cls: The class `FACNN`.
        data: The bytes of the file.
        handle: Name of the preset in messages.
    """
    outer = files.parse_json(data, files.CONFIG, handle)
    where = f"{files.CONFIG} of the preset {str(handle)!r}"
    if outer.get("class_name") != CLASS_NAME:
        raise ValueError(
            f"{where} must be of an FA-CNN, with class_name={CLASS_NAME!r}. "
            f"Received: class_name={outer.get('class_name')!r}"
        )
    config = outer.get("config")
    expected = {*arguments(cls), "fused", "left_out"} - NOT_IN_PRESETS
    config = config if isinstance(config, dict) else {}
    received = set(config)
    missing = expected - received - ADDED_LATER
    if missing or received - expected:
        raise ValueError(
            f"{where} must give exactly the arguments of FACNN. "
            f"Missing: {sorted(missing)}. "
            f"Unknown: {sorted(received - expected)}"
        )
    for name in (
        "batch_norm_gain",
        "synchronized_batch_norm",
        "fused",
        "threshold",
    ):
        if not isinstance(config.get(name, False), bool):
            raise ValueError(
                f"`{name}` in {where} must be true or false. "
                f"Received: {config[name]!r}"
            )
    for name in ("backbone", "left_out"):
        if not isinstance(config.get(name), (dict, type(None))):
            raise ValueError(
                f"`{name}` in {where} must be a config, or null. "
                f"Received: {config[name]!r}"
            )
    return config


def check_config(config: Mapping[str, Any]) -> None:
    """Raise if arguments describe no FA-CNN, or one that is too large.

    Nothing is built.
    """
    if not isinstance(config.get("image_shape"), (list, tuple)):
        raise ValueError(
            "`image_shape` must be (height, width, channels). "
            f"Received: image_shape={config.get('image_shape')!r}"
        )
    names = inspect.signature(check_architecture).parameters
    check_architecture(
        **{name: config[name] for name in names if name in config},
        hybrid=config.get("backbone") is not None,
    )
