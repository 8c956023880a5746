"""Ways to judge a map: functions of maps to numbers."""

from keras_facnn.metrics.similarity import pearson

__all__ = ["pearson"]
