"""The page of `keras-facnn demo`. Needs Gradio."""

from keras_facnn.demo.serving import check_installed
from keras_facnn.demo.serving import serve

__all__ = ["check_installed", "serve"]
