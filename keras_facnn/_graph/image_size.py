"""Check that images are large enough for a model of any size."""

import keras
import numpy as np

from keras_facnn._backend.cache import cached
from keras_facnn._graph.nodes import is_graph_model


def check_image_size(model: keras.Model, images: np.ndarray) -> None:
    """Raise if images are too small for a model that takes any size."""
    if None not in model.inputs[0].shape[1:] or not is_graph_model(model):
        return
    shape = (1, *images.shape[1:])

    def find_error() -> str | None:
        try:
            keras.Function(
                list(model.inputs), list(model.outputs)
            ).compute_output_shape([shape])
        except ValueError as e:
            return " ".join(str(e).split())
        return None

    error = cached(model, ("image size", shape), find_error)
    if error:
        raise ValueError(
            "`images` must be large enough that no layer of the model has an "
            f"empty output. Received: images of shape {images.shape}, for "
            f"which Keras raises: {error}"
        )
