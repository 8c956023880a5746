import keras
import numpy as np

from keras_facnn._backend.forward import class_per_image
from keras_facnn._checks.numbers import check_int
from keras_facnn._graph.channel_axes import channel_axis
from keras_facnn._graph.cut import layer_path
from keras_facnn.attribution._perturbation import check_images_and_classes
from keras_facnn.types import Classes
from keras_facnn.types import Images


def tf_keras_vis_grad_cam(
    model: keras.Model,
    images: Images,
    classes: Classes = None,
    *,
    layer: str | int,
    batch_size: int = 32,
) -> np.ndarray:
    """Grad-CAM by tf-keras-vis: an independent reference, on TensorFlow alone.

    Calls `tf_keras_vis.gradcam.Gradcam` such that it computes what `grad_cam`
    does: at the layer that was named, not the convolution before it; as many
    scores as images; neither normalized nor resized.

    Args:
        model: Functional `keras.Model` from images `(B, H, W, channels)` to
            `(B, C)`.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        classes: None for the predicted class of each image, an integer, a
            class' name where the model knows names, or a sequence of B of
            these.
        layer: Name of one of the model's own layers, or its number, as
            `grad_cam` takes it.
        batch_size: Positive integer, images a forward pass.

    Returns:
        A float32 NumPy array `(B, h, w)`, at the layer's own resolution.

    Raises:
        ImportError: If tf-keras-vis is not installed.
        RuntimeError: If the backend is not TensorFlow.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.zeros((2, 32, 32, 3), "uint8")
    >>> keras_facnn.attribution.tf_keras_vis_grad_cam(
    ...     model, images, 3, layer=2
    ... ).shape  # doctest: +SKIP
    (2, 32, 32)
    """
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            "tf-keras-vis needs KERAS_BACKEND=tensorflow. Received: "
            f"{keras.backend.backend()}. `grad_cam` runs on every backend."
        )
    try:
        from tf_keras_vis.gradcam import Gradcam
        from tf_keras_vis.utils.scores import CategoricalScore
    except ImportError as e:
        raise ImportError("This needs `pip install tf-keras-vis`.") from e

    batch_size = check_int("batch_size", batch_size)
    images, classes, _ = check_images_and_classes(model, images, classes)
    classes = class_per_image(model, images, classes, batch_size)
    path = layer_path(model, layer)
    if "/" in path:
        raise ValueError(
            "`layer` must be one of the model's own layers, since tf-keras-vis "
            f"looks into no model inside it. Received: layer={layer!r}"
        )
    if channel_axis(model, path) != 3:
        raise ValueError(
            "`layer` must have its channels last, since tf-keras-vis takes "
            f"them for such; `grad_cam` reads both. Received: layer={layer!r}"
        )
    gradcam = Gradcam(model, clone=False)
    return np.concatenate(
        [
            gradcam(
                CategoricalScore(classes[start : start + batch_size].tolist()),
                images[start : start + batch_size],
                penultimate_layer=path,
                seek_penultimate_conv_layer=False,
                normalize_cam=False,
                expand_cam=False,
            )
            for start in range(0, len(images), batch_size)
        ]
    )
