"""Draw maps over images. This needs Matplotlib: `keras-facnn[plots]`."""

from keras_facnn.plots._colorize import colorize
from keras_facnn.plots._compare import compare
from keras_facnn.plots._explanation import explanation
from keras_facnn.plots._maps_by_layer import maps_by_layer
from keras_facnn.plots._overlay import overlay
from keras_facnn.plots._pixel_removal import pixel_removal
from keras_facnn.plots._similarity_by_layer import similarity_by_layer

__all__ = [
    "colorize",
    "compare",
    "explanation",
    "maps_by_layer",
    "overlay",
    "pixel_removal",
    "similarity_by_layer",
]
