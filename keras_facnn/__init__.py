"""FA-CNN in Keras 3: image classifiers whose feature maps explain them."""

import importlib

from keras_facnn import attribution
from keras_facnn import gradients
from keras_facnn import layers
from keras_facnn import metrics
from keras_facnn.maps import resize_maps
from keras_facnn.model import FACNN
from keras_facnn.pictures import load_images
from keras_facnn.version import __version__

__all__ = [
    "FACNN",
    "__version__",
    "attribution",
    "gradients",
    "layers",
    "load_images",
    "metrics",
    "plots",
    "resize_maps",
]


def __getattr__(name):
    # `plots` needs Matplotlib, so it is imported when it is first asked for.
    if name == "plots":
        return importlib.import_module("keras_facnn.plots")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
