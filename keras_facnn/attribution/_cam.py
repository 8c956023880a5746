import keras
import numpy as np

from keras_facnn._backend.cache import cached
from keras_facnn._backend.cache import cached_function
from keras_facnn._backend.forward import run_in_batches
from keras_facnn._checks.classes import check_classes
from keras_facnn._checks.models import check_finite_outputs
from keras_facnn._checks.models import check_images_for
from keras_facnn._checks.models import classifier_shapes
from keras_facnn._checks.numbers import check_int
from keras_facnn.architecture.trained_heads import read_trained_head
from keras_facnn.types import Classes
from keras_facnn.types import Images


def cam(
    model: keras.Model,
    images: Images,
    classes: Classes = None,
    *,
    batch_size: int = 32,
) -> np.ndarray:
    """Return exact class activation maps (CAM) from one forward pass.

    The map of class `c` is `sum_k w_kc A_k`. Here `A` are the last feature maps
    and `w` the weights of the one dense layer after their average. The map
    spreads the logit over the image: the logit is `mean(map) + b_c`, with `b`
    the dense layer's bias. `relu(map) / (h * w)` is the Grad-CAM map of the
    logit at the layer of `A`. The map itself may be negative, and is neither
    normalized nor resized.

    Source: Zhou et al., "Learning Deep Features for Discriminative
    Localization", arXiv 1512.04150, equation 2.

    Args:
        model: Functional or sequential `keras.Model` from images
            `(B, H, W, channels)` to `(B, C)` that ends in
            `GlobalAveragePooling2D` and one `Dense` or 1x1 `Conv2D`, optionally
            with `Dropout` and `Flatten` between them. If a softmax or sigmoid
            follows, the maps explain its logits. Any of these layers may be in
            a nested model. For a `FACNN`, the maps are its class maps times
            the head's scale.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        classes: None for the predicted class of each image, an integer, a
            sequence of B integers, or `"all"`.
        batch_size: Positive integer, images per forward pass.

    Returns:
        A float32 NumPy array `(B, h, w)`, or `(B, h, w, C)` for `"all"`, at
        the last feature maps' own resolution.

    Raises:
        ValueError: If the model does not end in these layers.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras.Sequential(
    ...     [
    ...         keras.Input((32, 32, 3)),
    ...         keras.layers.Conv2D(8, 3, strides=2, padding="same"),
    ...         keras.layers.GlobalAveragePooling2D(),
    ...         keras.layers.Dense(10, use_bias=False),
    ...     ]
    ... )
    >>> images = np.random.default_rng(0).uniform(0, 1, (2, 32, 32, 3))
    >>> maps = keras_facnn.attribution.cam(model, images, "all")
    >>> maps.shape
    (2, 16, 16, 10)
    >>> logits = model.predict(images, verbose=0)
    >>> bool(np.allclose(maps.mean((1, 2)), logits, atol=1e-5))
    True
    """
    _, num_classes = classifier_shapes(model)
    head = cached(model, "cam", lambda: read_trained_head(model))
    images = check_images_for(model, images)
    names = getattr(model, "class_names", None)
    classes = check_classes(classes, len(images), num_classes, names)
    batch_size = check_int("batch_size", batch_size)
    function = cached_function(
        model,
        "cam features",
        lambda: lambda x: head.features(x, training=False),
    )
    maps = []
    for start in range(0, len(images), batch_size):
        a = run_in_batches(
            function, images[start : start + batch_size], batch_size
        )
        weights, bias = head.weights()
        logits = a.mean((1, 2)) @ weights + bias
        check_finite_outputs(logits)
        if isinstance(classes, str):
            maps.append(a @ weights)
            continue
        if classes is None:
            chosen = np.argmax(logits, axis=-1)
        else:
            chosen = classes[start : start + batch_size]
        maps.append(np.einsum("bhwk,kb->bhw", a, weights[:, chosen]))
    return np.concatenate(maps)
