"""Ways to see a map. Needs Matplotlib: `pip install keras-facnn[plots]`."""

from keras_facnn.plots._plots import colorize
from keras_facnn.plots._plots import compare
from keras_facnn.plots._plots import explanation
from keras_facnn.plots._plots import maps_by_layer
from keras_facnn.plots._plots import overlay
from keras_facnn.plots._plots import pixel_removal
from keras_facnn.plots._plots import why

__all__ = [
    "compare",
    "maps_by_layer",
    "explanation",
    "overlay",
    "colorize",
    "pixel_removal",
    "why",
]
