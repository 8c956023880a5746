"""FA-CNN in Keras 3: image classifiers whose feature maps explain them."""

import importlib
import importlib.util
import os

from keras_facnn._checks.packages import how_to_install
from keras_facnn._checks.text import printable
from keras_facnn.cli.start import start_command
from keras_facnn.version import __version__

start_command()
_no_keras: Exception | None = None
try:
    importlib.import_module("keras")
except (ImportError, ValueError) as e:
    # Told to whoever asks for a name, so that the command line can answer.
    _no_keras = e
else:
    from keras_facnn import attribution
    from keras_facnn import layers
    from keras_facnn import metrics
    from keras_facnn.maps import resize_maps
    from keras_facnn.model import FACNN
    from keras_facnn.pictures.image_folder import ImageFolder
    from keras_facnn.pictures.image_folder import load_folder
    from keras_facnn.pictures.reading import load_images
    from keras_facnn.presets import upload_preset
    from keras_facnn.training.losses import EvidencePenalty

__all__ = [
    "EvidencePenalty",
    "FACNN",
    "ImageFolder",
    "__version__",
    "attribution",
    "layers",
    "load_folder",
    "load_images",
    "metrics",
    "plots",
    "printable",
    "resize_maps",
    "upload_preset",
]
# So that `from keras_facnn import *` needs nothing that is not installed.
if importlib.util.find_spec("matplotlib") is None:
    __all__.remove("plots")


def __getattr__(name):
    if _no_keras is not None and name in __all__:
        backends = ("tensorflow", "jax", "torch")
        named = os.environ.get("KERAS_BACKEND") or "tensorflow"
        here = [
            b for b in backends if b != named and importlib.util.find_spec(b)
        ]
        hint = how_to_install("jax") + (
            ", or tensorflow or torch in place of jax, and set KERAS_BACKEND "
            "to that"
        )
        if here:
            hint = f"set KERAS_BACKEND={here[0]}, which is installed; or {hint}"
        raise ImportError(
            "Keras cannot be imported with the backend that KERAS_BACKEND or "
            "~/.keras/keras.json names, or with tensorflow, where they name "
            f"none ({_no_keras}). To go on, {hint}"
        ) from _no_keras
    # `plots` needs Matplotlib, so it is imported when it is first asked for.
    if name == "plots":
        if importlib.util.find_spec("matplotlib") is None:
            raise ImportError(
                f"`keras_facnn.plots` needs Matplotlib: {how_to_install(name)}"
            )
        return importlib.import_module("keras_facnn.plots")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
