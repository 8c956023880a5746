"""Whether a model still is what it was."""

import functools
import itertools
import operator
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_facnn._backend.gradients import is_compiled_in
from keras_facnn._checks.models import all_layers

# Of what Keras gives every layer, this says what the layer computes.
_COUNTS = {"_trainable", "_dtype_policy", "autocast"}
# What Keras notes in a model that is compiled, trained or run.
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
# What is kept for a model, in `forward`.
CACHE = "_keras_facnn_kept"


class Snapshot:
    """What a model computes with: its variables, layers and their attributes.

    Attributes of Python's own types and arrays of NumPy count by their value,
    all others by what object they are. Values of variables do not count, nor
    does what Keras itself notes in a layer.

    Args:
        model: Any `keras.Model`.
    """

    def __init__(self, model: keras.Model):
        self._variables = model.variables
        self._layers = list(all_layers(model))
        self._parts = list(map(_parts, self._layers))
        self._prepare()

    def matches(self, model: keras.Model) -> bool:
        """Whether the model, which it was made of, is the same still."""
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

    def _prepare(self):
        """Notes the objects that attributes are, to compare them quickly."""
        self._types, self._counts, self._getters = [], [], []
        self._values: list = []
        self._varying = []
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

    def _is_untouched(self):
        """Whether nothing was put in place of anything; without a loop."""
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
    """What counts by identity.

    A tensor that a layer keeps of a call is not the same at the next. Where a
    compiled function would not hold its value, any tensor may be in its place.
    """

    def __init__(self, value):
        self.is_tensor = _is_tensor(value)
        self.any = self.is_tensor and not is_compiled_in(value)
        # A tensor of a graph must not outlive it.
        self.value = None if self.any else value

    def __eq__(self, other):
        if not isinstance(other, _Object):
            return False
        if self.any or other.any:
            return self.is_tensor and other.is_tensor
        return self.value is other.value


def _are_same(some, others):
    return len(some) == len(others) and all(map(operator.is_, some, others))


def _parts(layer):
    """What a layer computes with, to compare it with what it did before."""
    return type(layer), {
        name: _frozen(value) for name, value in _attributes(layer).items()
    }


def _attributes(layer):
    """Those of a layer that say what it computes, a dict by name."""
    noted = _noted(isinstance(layer, keras.Model))
    return {
        name: value
        for name, value in vars(layer).copy().items()
        if name not in noted and not name.startswith("_self_")
    }


@functools.cache
def _noted(of_model):
    """Names of what Keras itself notes in a layer, or in a model."""
    made: Any = keras.Layer(name="noted")
    names = set(vars(made))
    if of_model:
        x = keras.Input((1,), name="noted")
        names |= vars(keras.Model(x, x, name="noted")).keys()
        names |= _TRAINER | {CACHE}
    return names - _COUNTS


def _frozen(value, depth=8):
    """A copy that equals another one where both values are the same."""
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


def _is_fixed(value):
    """Whether a value can't change but by another one in its place."""
    if isinstance(value, tuple):
        return all(map(_is_fixed, value))
    return not (
        isinstance(value, (list, dict, set, np.ndarray)) or _is_tensor(value)
    )


def _is_tensor(value):
    return not isinstance(value, keras.Variable) and ops.is_tensor(value)


_PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic)
