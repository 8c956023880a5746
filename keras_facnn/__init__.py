"""FA-CNN in Keras 3: image classifiers whose feature maps explain them."""

from keras_facnn import attribution
from keras_facnn import gradients
from keras_facnn import layers
from keras_facnn import metrics
from keras_facnn.maps import resize_maps
from keras_facnn.model import FACNN
from keras_facnn.version import __version__

__all__ = [
    "FACNN",
    "__version__",
    "attribution",
    "gradients",
    "layers",
    "metrics",
    "resize_maps",
]
