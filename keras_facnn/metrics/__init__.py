"""Ways to judge a map: maps in, numbers out."""

from keras_facnn.metrics._exactness import exactness
from keras_facnn.metrics._localization import energy_pointing_game
from keras_facnn.metrics._localization import grid_pointing_game
from keras_facnn.metrics._localization import make_grids
from keras_facnn.metrics._localization import pointing_game
from keras_facnn.metrics._pixel_removal import deletion
from keras_facnn.metrics._pixel_removal import insertion
from keras_facnn.metrics._pixel_removal import pixel_removal
from keras_facnn.metrics._randomization import cascading_randomization
from keras_facnn.metrics._similarity import pearson
from keras_facnn.metrics._similarity import similarity_by_layer
from keras_facnn.metrics._similarity import spearman
from keras_facnn.metrics._similarity import top_iou

__all__ = [
    "cascading_randomization",
    "deletion",
    "energy_pointing_game",
    "exactness",
    "grid_pointing_game",
    "insertion",
    "make_grids",
    "pearson",
    "pixel_removal",
    "pointing_game",
    "similarity_by_layer",
    "spearman",
    "top_iou",
]
