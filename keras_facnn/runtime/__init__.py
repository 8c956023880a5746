"""Explain with an exported file, without Keras.

This needs NumPy, Pillow and ONNX Runtime, or OpenVINO.
"""

from keras_facnn.runtime.explainer import Explainer

__all__ = ["Explainer"]
