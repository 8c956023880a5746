"""Notice whether a model has changed."""

import functools
import itertools
import operator
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_facnn._backend.tensors import is_compiled_in
from keras_facnn._checks.models import all_layers

# Attributes that Keras gives every layer and that affect what it computes.
_COUNTS = {"_trainable", "_dtype_policy", "autocast"}
# Attributes that Keras sets on a model that is compiled, trained or run.
_TRAINER = {
    "optimizer",
    "history",
    "stop_training",
    "stop_evaluating",
    "stop_predicting",
    "_compile_config",
    "_compiled_trainable_state",
    "_eval_epoch_iterator",
    "_jax_state",
}
# The attribute of a model that holds what `cache` keeps for it.
CACHE = "_keras_facnn_cache"


class Snapshot:
    """What a model computes with: its variables, layers and their attributes.

    Attributes of Python's built-in types and NumPy arrays are compared by
    value, all others by identity. The values of variables do not count. Nor do
    attributes that Keras itself uses to track a layer.

    Args:
        model: Any `keras.Model`.
    """

    def __init__(self, model: keras.Model) -> None:
        self._variables = model.variables
        self._layers = list(all_layers(model))
        self._parts = list(map(_parts, self._layers))
        self._prepare()

    def matches(self, model: keras.Model) -> bool:
        """Return whether the model is the same as when this was taken."""
        if not _are_same(model.variables, self._variables) or not _are_same(
            list(all_layers(model)), self._layers
        ):
            return False
        if self._is_untouched():
            return True
        if list(map(_parts, self._layers)) != self._parts:
            return False
        self._prepare()
        return True

    def _prepare(self) -> None:
        """Store the objects that attributes are, to compare them quickly."""
        self._types: list[type] = []
        self._counts: list[int] = []
        self._getters: list[Callable[[Any], Any]] = []
        self._values: list[Any] = []
        self._varying: list[tuple[dict[str, Any], str, Any]] = []
        for layer, (kind, frozen) in zip(
            self._layers, self._parts, strict=True
        ):
            fixed = {}
            for name, value in _attributes(layer).items():
                if _is_fixed(value):
                    fixed[name] = value
                else:
                    self._varying.append((vars(layer), name, frozen[name]))
            self._types.append(kind)
            self._counts.append(len(vars(layer)))
            self._getters.append(operator.itemgetter(*fixed))
            self._values += fixed.values()

    def _is_untouched(self) -> bool:
        """Return quickly, without a loop, whether no attribute was replaced."""
        owned = list(map(vars, self._layers))
        if (
            list(map(type, self._layers)) != self._types
            or list(map(len, owned)) != self._counts
        ):
            return False
        try:
            values = list(
                itertools.chain.from_iterable(
                    map(operator.call, self._getters, owned)
                )
            )
            return _are_same(values, self._values) and all(
                _frozen(attributes[name]) == frozen
                for attributes, name, frozen in self._varying
            )
        except KeyError:
            return False


class _Object:
    """A value that is compared by identity.

    A layer that stores a tensor of a call stores another one at the next call.
    If a compiled function does not keep the tensor's value, all such tensors
    count as equal.
    """

    def __init__(self, value: Any) -> None:
        self.is_tensor = _is_tensor(value)
        self.any = self.is_tensor and not is_compiled_in(value)
        # A tensor of a graph must not outlive it.
        self.value = None if self.any else value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Object):
            return False
        if self.any or other.any:
            return self.is_tensor and other.is_tensor
        return self.value is other.value


def _are_same(some: Sequence[Any], others: Sequence[Any]) -> bool:
    return len(some) == len(others) and all(map(operator.is_, some, others))


def _parts(layer: Any) -> tuple[type, dict[str, Any]]:
    """Return what a layer computes with, for a later comparison."""
    return type(layer), {
        name: _frozen(value) for name, value in _attributes(layer).items()
    }


def _attributes(layer: Any) -> dict[str, Any]:
    """Return the attributes that affect what a layer computes, by name."""
    ignored = _bookkeeping(isinstance(layer, keras.Model))
    return {
        name: value
        for name, value in vars(layer).copy().items()
        if name not in ignored and not name.startswith("_self_")
    }


@functools.cache
def _bookkeeping(of_model: bool) -> set[str]:
    """Return the names that Keras itself uses to track a layer or model."""
    layer: Any = keras.Layer(name="bookkeeping")
    names = set(vars(layer))
    if of_model:
        x = keras.Input((1,), name="bookkeeping")
        names |= vars(keras.Model(x, x, name="bookkeeping")).keys()
        names |= _TRAINER | {CACHE}
    return names - _COUNTS


def _frozen(value: Any, depth: int = 8) -> Any:
    """Return a copy of a value, which equals copies of the same value."""
    kind = type(value)
    if depth and isinstance(value, (list, tuple)):
        return kind, [_frozen(item, depth - 1) for item in value]
    if depth and isinstance(value, dict):
        items = value.copy().items()
        return kind, [(key, _frozen(item, depth - 1)) for key, item in items]
    if isinstance(value, (set, frozenset)):
        return kind, set(value)
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape, value.tobytes()
    if isinstance(value, _PLAIN):
        return kind, value
    return _Object(value)


def _is_fixed(value: Any) -> bool:
    """Return whether a value can only change by being replaced."""
    if isinstance(value, tuple):
        return all(map(_is_fixed, value))
    return not (
        isinstance(value, (list, dict, set, np.ndarray)) or _is_tensor(value)
    )


def _is_tensor(value: Any) -> bool:
    return not isinstance(value, keras.Variable) and ops.is_tensor(value)


_PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic)
