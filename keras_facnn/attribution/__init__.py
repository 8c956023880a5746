"""Compute maps that explain a model's decisions about images."""

from keras_facnn.attribution._ablation_cam import ablation_cam
from keras_facnn.attribution._cam import cam
from keras_facnn.attribution._expected_gradients import expected_gradients
from keras_facnn.attribution._fa_maps import contrast
from keras_facnn.attribution._fa_maps import disagreement
from keras_facnn.attribution._gradient_cam import grad_cam
from keras_facnn.attribution._gradient_cam import grad_cam_plus_plus
from keras_facnn.attribution._gradient_cam import hires_cam
from keras_facnn.attribution._gradient_cam import layer_cam
from keras_facnn.attribution._input_gradients import integrated_gradients
from keras_facnn.attribution._input_gradients import saliency
from keras_facnn.attribution._occlusion import occlusion
from keras_facnn.attribution._rise import rise
from keras_facnn.attribution._score_cam import score_cam
from keras_facnn.attribution._smooth_grad import smooth_grad
from keras_facnn.attribution._smooth_grad import var_grad

__all__ = [
    "ablation_cam",
    "cam",
    "contrast",
    "disagreement",
    "expected_gradients",
    "grad_cam",
    "grad_cam_plus_plus",
    "hires_cam",
    "integrated_gradients",
    "layer_cam",
    "occlusion",
    "rise",
    "saliency",
    "score_cam",
    "smooth_grad",
    "var_grad",
]
