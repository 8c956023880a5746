"""FA-CNN in Keras 3: image classifiers whose feature maps explain them."""

from keras_facnn import layers

__version__ = "0.1.0"

__all__ = ["layers"]
