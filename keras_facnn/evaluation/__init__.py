"""Measure how good a classifier is on photos, and show where it fails."""

from keras_facnn.evaluation._evaluate import evaluate
from keras_facnn.evaluation._fit_temperature import fit_temperature
from keras_facnn.evaluation.evaluation import Evaluation

__all__ = ["Evaluation", "evaluate", "fit_temperature"]
