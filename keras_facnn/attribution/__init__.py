"""Ways to make a map: functions of a Keras model and images."""

from keras_facnn.attribution.grad_cam import grad_cam

__all__ = ["grad_cam"]
