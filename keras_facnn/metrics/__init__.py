"""Measure how good maps are."""

from keras_facnn.metrics._average_drop import average_drop
from keras_facnn.metrics._average_drop import average_increase
from keras_facnn.metrics._compare import Comparison
from keras_facnn.metrics._compare import compare
from keras_facnn.metrics._concentration import complexity
from keras_facnn.metrics._concentration import sparseness
from keras_facnn.metrics._exactness import exactness
from keras_facnn.metrics._faithfulness import faithfulness_correlation
from keras_facnn.metrics._faithfulness import faithfulness_estimate
from keras_facnn.metrics._faithfulness import sensitivity_n
from keras_facnn.metrics._infidelity import infidelity
from keras_facnn.metrics._localization import energy_pointing_game
from keras_facnn.metrics._localization import grid_pointing_game
from keras_facnn.metrics._localization import make_grids
from keras_facnn.metrics._localization import pointing_game
from keras_facnn.metrics._localization import relevance_rank_accuracy
from keras_facnn.metrics._max_box_accuracy import MaxBoxAccuracy
from keras_facnn.metrics._max_box_accuracy import max_box_accuracy
from keras_facnn.metrics._pixel_removal import PixelRemoval
from keras_facnn.metrics._pixel_removal import pixel_removal
from keras_facnn.metrics._probability_curve import ProbabilityCurve
from keras_facnn.metrics._probability_curve import deletion
from keras_facnn.metrics._probability_curve import insertion
from keras_facnn.metrics._randomization import cascading_randomization
from keras_facnn.metrics._randomization import efficient_randomization
from keras_facnn.metrics._result import Result
from keras_facnn.metrics._robustness import local_lipschitz
from keras_facnn.metrics._robustness import max_sensitivity
from keras_facnn.metrics._similarity import pearson
from keras_facnn.metrics._similarity import spearman
from keras_facnn.metrics._similarity import top_iou
from keras_facnn.metrics._similarity_by_layer import SimilarityByLayer
from keras_facnn.metrics._similarity_by_layer import similarity_by_layer

__all__ = [
    "Comparison",
    "MaxBoxAccuracy",
    "PixelRemoval",
    "ProbabilityCurve",
    "Result",
    "SimilarityByLayer",
    "average_drop",
    "average_increase",
    "cascading_randomization",
    "compare",
    "complexity",
    "deletion",
    "efficient_randomization",
    "energy_pointing_game",
    "exactness",
    "faithfulness_correlation",
    "faithfulness_estimate",
    "grid_pointing_game",
    "infidelity",
    "insertion",
    "local_lipschitz",
    "make_grids",
    "max_box_accuracy",
    "max_sensitivity",
    "pearson",
    "pixel_removal",
    "pointing_game",
    "relevance_rank_accuracy",
    "sensitivity_n",
    "similarity_by_layer",
    "sparseness",
    "spearman",
    "top_iou",
]
