"""Find or set which layers of a model are frozen, also in nested models."""

from collections.abc import Collection
from typing import Any

import keras


def frozen_layers(model: keras.Layer, prefix: str = "") -> list[str]:
    """Return the names of frozen layers, or paths for layers inside layers."""
    frozen = []
    for layer in _sublayers(model):
        path = prefix + layer.name
        if not layer.trainable:
            frozen.append(path)
        if layer.trainable or isinstance(layer, keras.Model):
            frozen += frozen_layers(layer, f"{path}/")
    return frozen


def freeze_layers(
    model: keras.Layer, frozen: Collection[str], prefix: str = ""
) -> None:
    """Freeze the layers that `frozen_layers` returned, and unfreeze others."""
    for layer in _sublayers(model):
        path = prefix + layer.name
        trainable = path not in frozen
        # Assigning the same value again would also unfreeze single weights,
        # such as the kernel that LoRA freezes.
        if layer.trainable != trainable:
            layer.trainable = trainable
        if trainable or isinstance(layer, keras.Model):
            freeze_layers(layer, frozen, f"{path}/")


def _sublayers(layer: Any) -> list[keras.Layer]:
    """Return the layers of a model, or those that another layer wraps."""
    if isinstance(layer, keras.Model):
        return layer.layers
    return layer._flatten_layers(recursive=False, include_self=False)
