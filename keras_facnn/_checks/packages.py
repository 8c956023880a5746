"""Say how to install what is missing."""

import importlib.util
import os


def how_to_install(*extras: str) -> str:
    """Return the command that installs some of this package's extras.

    It names both ways: from an index, and from a checkout.

    Args:
        *extras: Names from `project.optional-dependencies`.
    """
    listed = ",".join(extras)
    return (
        f"pip install 'keras-facnn[{listed}]' (in a checkout: pip install "
        f"'.[{listed}]')"
    )


def missing_backend(error: Exception) -> ImportError:
    """Return the error to raise if Keras finds no backend.

    Args:
        error: The error that the import of Keras raised.
    """
    named = os.environ.get("KERAS_BACKEND") or "tensorflow"
    installed = [
        backend
        for backend in ("tensorflow", "jax", "torch")
        if backend != named and importlib.util.find_spec(backend)
    ]
    hint = how_to_install("jax") + (
        ", or tensorflow or torch in place of jax, and set KERAS_BACKEND to "
        "that"
    )
    if installed:
        hint = (
            f"set KERAS_BACKEND={installed[0]}, which is installed; or {hint}"
        )
    return ImportError(
        "Keras cannot be imported with the backend that KERAS_BACKEND or "
        "~/.keras/keras.json names, or with tensorflow if they name none "
        f"({error}). To continue, {hint}"
    )


def skipped_keras() -> ImportError:
    """Return the error to raise if a process shall not import Keras."""
    return ImportError(
        "This process runs an exported file, and does not import Keras, which "
        "this name needs. `keras_facnn.runtime` needs no Keras"
    )


def missing_matplotlib(name: str) -> ImportError:
    """Return the error to raise if Matplotlib is missing for `name`."""
    return ImportError(f"`{name}` needs Matplotlib: {how_to_install('plots')}")
