"""Serve an exported model over HTTP. Imports no Keras.

`serve` is what `keras-facnn serve` runs. `make_app` returns the ASGI
application, for servers that have one already.
"""

from keras_facnn.serving.settings import Settings

__all__ = ["Settings", "make_app", "serve"]

# The other modules need Starlette, which is not always installed.
_HOMES = {"make_app": "app", "serve": "server"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    module = importlib.import_module(f"keras_facnn.serving.{_HOMES[name]}")
    return getattr(module, name)
