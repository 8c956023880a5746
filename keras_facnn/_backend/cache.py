"""Keep what was made for a model until the model changes."""

import threading
from collections.abc import Callable
from collections.abc import Hashable
from typing import Any

import keras

from keras_facnn._backend.compilation import compiled_function
from keras_facnn._backend.snapshot import CACHE
from keras_facnn._backend.snapshot import Snapshot

_LOCK = threading.RLock()


class _Cache:
    """Everything that was made for a model. Keras does not save it."""

    def __init__(self, model: keras.Model) -> None:
        self.clear(model)

    def clear(self, model: keras.Model) -> None:
        self.made: dict[Hashable, Any] = {}
        self.snapshot = Snapshot(model)

    def accept_state(self, model: keras.Model) -> None:
        """Keep everything that was made, also for the model's present state."""
        if not self.snapshot.matches(model):
            self.snapshot = Snapshot(model)


def cached(model: keras.Model, key: Hashable, make: Callable[[], Any]) -> Any:
    """Return what `make()` returned for this model and key, made only once.

    It is made again after the model has changed: its layers, or an attribute of
    a layer, see `Snapshot`. New values of the same variables are no change.

    Args:
        model: Any `keras.Model`.
        key: Anything hashable.
        make: Function without arguments.
    """
    with _LOCK:
        cache = _cache_of(model)
        if not cache.snapshot.matches(model):
            cache.clear(model)
        if key not in cache.made:
            cache.made[key] = make()
            cache.accept_state(model)
        return cache.made[key]


def cached_function(
    model: keras.Model,
    key: Hashable,
    make: Callable[[], Callable[..., Any]],
) -> Callable[..., Any]:
    """Return the function that `make` returns, compiled for inference, once.

    What layers store in their own attributes while the function runs does not
    count as a change of the model.

    Args:
        model: The model whose variables the function reads.
        key: Anything hashable, as for `cached`.
        make: Function without arguments that returns a function of tensors.
    """

    def compiled() -> Callable[..., Any]:
        function = make()
        called: list[bool] = []

        def noted(*args: Any) -> Any:
            called.append(True)
            return function(*args)

        compute = compiled_function(noted, model.variables)

        def call(*args: Any) -> Any:
            outputs = compute(*args)
            # If it was compiled before, no layer was called.
            if called:
                called.clear()
                with _LOCK:
                    _cache_of(model).accept_state(model)
            return outputs

        return call

    return cached(model, key, compiled)


def _cache_of(model: keras.Model) -> _Cache:
    if CACHE not in vars(model):
        vars(model)[CACHE] = _Cache(model)
    return vars(model)[CACHE]
