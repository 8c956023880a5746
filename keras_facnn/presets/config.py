"""`config.json`: the arguments of the model, checked before it is built."""

import inspect

import keras

from keras_facnn.architecture.architecture import check_architecture
from keras_facnn.presets import files

CLASS_NAME = "keras_facnn>FACNN"
# These belong to a run of the model, or to what is said of it, not to it.
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
# Presets from before these arguments lack them.
ADDED_LATER = frozenset(
    {
        "fused",
        "threshold",
        "backbone",
        "feature_layer",
        "classwise_layers",
        "padding",
    }
)


def arguments(cls: type[keras.Model]) -> list:
    """Names of the arguments that build a model."""
    signature = inspect.signature(cls.__init__).parameters
    return [n for n in signature if n not in ("self", "kwargs")] + ["name"]


def kept(config: dict) -> dict:
    """What a preset keeps of a model's `get_config()`."""
    return {k: v for k, v in config.items() if k not in NOT_IN_PRESETS}


def config_bytes(config: dict) -> bytes:
    """The file of a model's `get_config()`."""
    return files.json_bytes({"class_name": CLASS_NAME, "config": kept(config)})


def parse_config(cls: type[keras.Model], data: bytes, handle: object) -> dict:
    """Checks a config and returns the arguments of the constructor."""
    outer = files.parse_json(data, files.CONFIG, handle)
    where = f"{files.CONFIG} of the preset {str(handle)!r}"
    if outer.get("class_name") != CLASS_NAME:
        raise ValueError(
            f"{where} must be of an FA-CNN, with class_name={CLASS_NAME!r}. "
            f"Received: class_name={outer.get('class_name')!r}"
        )
    config = outer.get("config")
    expected = {*arguments(cls), "fused"} - NOT_IN_PRESETS
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
    if not isinstance(config.get("backbone"), (dict, type(None))):
        raise ValueError(
            f"`backbone` in {where} must be the config of a model, or null. "
            f"Received: {config['backbone']!r}"
        )
    return config


def check_config(config: dict) -> None:
    """Raise where arguments describe no FA-CNN, or one that is too large.

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
