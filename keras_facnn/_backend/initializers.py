"""Build layers without initial weights, where the weights are set next."""

import contextlib
import functools
import threading
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

# Whether this thread skips initializers.
_thread = threading.local()
_LOCK = threading.Lock()
# How many scopes are open in all threads, and the method that they replaced.
_num_open = 0
_add_weight: Any = None


@contextlib.contextmanager
def skip_initializers() -> Iterator[None]:
    """Create the weights of layers as NaN, and call no initializer.

    Use this only where all weights are set right after the layers are built,
    from a file or from another model. Initial values would be lost then, and
    they take long to make: JAX compiles each initializer for each shape. NaN
    comes from NumPy, which compiles nothing, and a weight that was not set is
    not mistaken for one that was.

    The scope is that of the thread that enters it. Seeds of random layers and
    weights of other types than float get their initial values as always.
    Random numbers that are drawn later stay the same.

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
    outer = _skips()
    with _replaced_add_weight():
        _thread.skips = True
        try:
            yield
        finally:
            _thread.skips = outer


def call_without_initializers(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function that builds a model and sets all its weights."""
    with skip_initializers():
        return function(*args)


def _skips() -> bool:
    return getattr(_thread, "skips", False)


@contextlib.contextmanager
def _replaced_add_weight() -> Iterator[None]:
    """Replace `keras.Layer.add_weight` as long as any thread needs it.

    All weights of all layers are made there. Some layers name no initializer
    in their config, and those that do would also save another one.
    """
    global _num_open, _add_weight
    with _LOCK:
        if not _num_open:
            _add_weight = keras.Layer.add_weight
            keras.Layer.add_weight = _skipping(_add_weight)
        _num_open += 1
    try:
        yield
    finally:
        with _LOCK:
            _num_open -= 1
            if not _num_open:
                keras.Layer.add_weight = _add_weight


def _skipping(add_weight: Callable[..., Any]) -> Callable[..., Any]:
    """Return `add_weight` without initializers in threads that skip them."""

    @functools.wraps(add_weight)
    def add(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if _skips() and len(args) > 1:
            # The initializer comes second, after the shape.
            args = (args[0], _unset(args[1]), *args[2:])
        elif _skips():
            kwargs["initializer"] = _unset(kwargs.get("initializer"))
        return add_weight(layer, *args, **kwargs)

    return add


def _unset(initializer: Any) -> Callable[..., Any]:
    """Return an initializer of NaN, which leaves other types to the given."""

    def initialize(shape: Any, dtype: Any = None) -> Any:
        if keras.backend.is_float_dtype(dtype):
            nan = np.full(shape, np.nan, "float32")
            return keras.ops.convert_to_tensor(nan, dtype)
        # Keras starts from zeros if an integer has no initializer.
        given = "zeros" if initializer is None else initializer
        return keras.initializers.get(given)(shape, dtype=dtype)

    return initialize
