"""Build layers without initial weights, where the weights are set next."""

import contextlib
import functools
import threading
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

_LOCK = threading.Lock()
_THREAD = threading.local()


@contextlib.contextmanager
def skip_initializers() -> Iterator[None]:
    """Create weights of layers as NaN, without a call of their initializers.

    Use it only where all weights are set right after the layers are built, from
    a file or another model. Initial values would be lost then, and they take
    long: JAX compiles each initializer for each shape. Arrays of NaN are
    NumPy's, so nothing compiles, and a weight that was not set is not mistaken
    for one that was.

    This affects only the thread that enters the scope. Weights that are not
    floats and seeds of random layers get their initial values as always. No
    random number that Keras or Python draws later changes.

    Example:

    >>> import keras
    >>> from keras_facnn._backend.initializers import skip_initializers
    >>> layer = keras.layers.Dense(1, use_bias=False)
    >>> with skip_initializers():
    ...     layer.build((None, 2))
    >>> layer.get_weights()
    [array([[nan],
           [nan]], dtype=float32)]
    """
    before = getattr(_THREAD, "skips", False)
    with _changed_add_weight():
        _THREAD.skips = True
        try:
            yield
        finally:
            _THREAD.skips = before


def call_without_initializers(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function that builds a model and sets all its weights."""
    with skip_initializers():
        return function(*args)


# --- How layers are reached ---

# How many scopes are open, in all threads, and what they replaced.
_open = 0
_original: Any = None


@contextlib.contextmanager
def _changed_add_weight() -> Iterator[None]:
    """Replace `keras.Layer.add_weight` while any thread needs it.

    Layers have no other door that all weights go through: the initializers of
    some are fixed, and a config that names others would be saved with them.
    """
    global _open, _original
    with _LOCK:
        if not _open:
            _original = keras.Layer.add_weight
            keras.Layer.add_weight = _replacement(_original)
        _open += 1
    try:
        yield
    finally:
        with _LOCK:
            _open -= 1
            if not _open:
                keras.Layer.add_weight = _original


def _replacement(add_weight: Callable[..., Any]) -> Callable[..., Any]:
    """Return `add_weight`, with NaN for initial values in threads that skip."""

    @functools.wraps(add_weight)
    def replaced(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(_THREAD, "skips", False):
            # The initializer comes second, after the shape.
            if len(args) > 1:
                args = (args[0], _unset(args[1]), *args[2:])
            else:
                kwargs["initializer"] = _unset(kwargs.get("initializer"))
        return add_weight(layer, *args, **kwargs)

    return replaced


def _unset(initializer: Any) -> Callable[..., Any]:
    """Return an initializer that makes NaN, or calls another one for counts."""

    def initialize(shape: Any, dtype: Any = None) -> Any:
        if not keras.backend.is_float_dtype(dtype):
            given = "zeros" if initializer is None else initializer
            return keras.initializers.get(given)(shape, dtype=dtype)
        values = np.full(shape, np.nan, "float32")
        return keras.ops.convert_to_tensor(values, dtype)

    return initialize
