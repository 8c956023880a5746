"""Grad-CAM by tf-keras-vis, an independent reference on TensorFlow."""

from collections.abc import Sequence

import keras
import numpy as np

from keras_facnn import attribution


def grad_cam(
    model: keras.Model,
    images: np.ndarray,
    classes: int | Sequence[int] | np.ndarray,
    *,
    layer: str | int,
    batch_size: int = 32,
) -> np.ndarray:
    """Return the maps of `tf_keras_vis.gradcam.Gradcam`.

    The options make it compute the same as `keras_facnn.attribution.grad_cam`.
    It uses the named layer, not the convolution before it, and one score per
    image. It neither normalizes nor resizes the maps.

    Args:
        model: Functional `keras.Model` from images `(B, H, W, channels)` to
            `(B, C)`.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        classes: Number of a class for all images, or one number per image.
        layer: Name of one of the model's own layers, or number of an FA layer.
        batch_size: Images per pass.

    Returns:
        A float32 array `(B, h, w)`, at the layer's own resolution.

    Raises:
        ImportError: If tf-keras-vis is not installed.
        RuntimeError: If the backend is not TensorFlow.
        ValueError: If the layer's channels are not its last axis.
    """
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            "tf-keras-vis needs KERAS_BACKEND=tensorflow. Received: "
            f"KERAS_BACKEND={keras.backend.backend()}"
        )
    try:
        from tf_keras_vis.gradcam import Gradcam
        from tf_keras_vis.utils.scores import CategoricalScore
    except ImportError as e:
        raise ImportError("This needs `pip install tf-keras-vis`.") from e

    numbers = np.broadcast_to(classes, len(images))
    gradcam = Gradcam(model, clone=False)
    name = f"fa_{layer}" if isinstance(layer, int) else layer
    maps = np.concatenate(
        [
            gradcam(
                CategoricalScore(numbers[start : start + batch_size].tolist()),
                images[start : start + batch_size].astype("float32"),
                penultimate_layer=name,
                seek_penultimate_conv_layer=False,
                normalize_cam=False,
                expand_cam=False,
            )
            for start in range(0, len(images), batch_size)
        ]
    )
    # tf-keras-vis always takes the last axis as the channels.
    ours = attribution.grad_cam(model, images[:1], numbers[:1], layer=layer)
    if maps.shape[1:] != ours.shape[1:]:
        raise ValueError(
            "`layer` must have its channels in the last axis. "
            f"Received: layer={layer!r}"
        )
    return maps
