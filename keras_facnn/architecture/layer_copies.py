"""Copies of a model's layers, for a graph that is built anew."""

from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

import keras

from keras_facnn.architecture.dilated_layers import NoExactForm


class LayerCopies:
    """Copies of layers, one per layer, and new layers beside them.

    All of them have different names. A copy has its layer's name, or, if an
    earlier copy has it, this name after those of the nested models that the
    layer is in.

    Args:
        taken: Names that no copy may have.
    """

    def __init__(self, taken: Iterable[str]) -> None:
        self._copies: dict[int, tuple[Any, Any, dict[str, Any]]] = {}
        self._names = set(taken)

    def copy(
        self,
        layer: Any,
        outer: Sequence[str] = (),
        changes: dict[str, Any] | None = None,
    ) -> Any:
        """Return the copy of a layer.

        Args:
            layer: A layer, or another operation of Keras.
            outer: Names of the nested models that it is in, the outermost
                first.
            changes: What to change in its config.

        Raises:
            NoExactForm: If it was copied with other changes before.
        """
        changes = changes or {}
        if id(layer) not in self._copies:
            name = self._unused(layer.name, "_".join([*outer, layer.name]))
            config = {**layer.get_config(), **changes, "name": name}
            copy = type(layer).from_config(config)
            self._copies[id(layer)] = layer, copy, changes
        _, copy, changed = self._copies[id(layer)]
        if changed != changes:
            raise NoExactForm("is called with maps of different strides")
        return copy

    def new(self, cls: Any, name: str, dtype: str, **options: Any) -> Any:
        """Return a layer of a class that reads maps, and has no weights."""
        return cls(
            name=self._unused(name, name),
            dtype=dtype,
            data_format="channels_last",
            **options,
        )

    def set_weights(self) -> None:
        """Give each copy, after it was called, the weights of its layer."""
        for layer, copy, _ in self._copies.values():
            if isinstance(layer, keras.Layer):
                copy.set_weights(layer.get_weights())

    def _unused(self, name: str, longer: str) -> str:
        """Return the first of two names that is not taken, or number it."""
        unused, number = name, 1
        while unused in self._names:
            unused = longer if number == 1 else f"{longer}_{number}"
            number += 1
        self._names.add(unused)
        return unused
