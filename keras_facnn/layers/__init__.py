"""Order-preserving layers: every channel stays with one class."""

from keras_facnn.layers.class_major_mask import ClassMajorMask
from keras_facnn.layers.class_major_repeat import ClassMajorRepeat
from keras_facnn.layers.class_mean import ClassMean
from keras_facnn.layers.classwise_conv_2d import ClasswiseConv2D
from keras_facnn.layers.dampened_skip import DampenedSkip
from keras_facnn.layers.edge_padding import EdgePadding
from keras_facnn.layers.global_avg_pool_3d_head import GlobalAvgPool3DHead
from keras_facnn.layers.pixel_stem import PixelStem
from keras_facnn.layers.subtract_least_class import SubtractLeastClass

__all__ = [
    "ClassMajorMask",
    "ClassMajorRepeat",
    "ClassMean",
    "ClasswiseConv2D",
    "DampenedSkip",
    "EdgePadding",
    "GlobalAvgPool3DHead",
    "PixelStem",
    "SubtractLeastClass",
]
