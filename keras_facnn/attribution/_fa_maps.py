"""Compute exact maps that only an FA-CNN has, without a gradient."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_facnn._checks.classes import check_classes_for
from keras_facnn._checks.images import check_images
from keras_facnn._checks.models import check_fa_model
from keras_facnn._checks.models import check_images_for
from keras_facnn._graph.layer_path import layer_name
from keras_facnn.explaining.layer_readers import check_layer
from keras_facnn.explaining.layer_readers import read_layers
from keras_facnn.maps import pick_classes
from keras_facnn.types import Classes
from keras_facnn.types import Images


def contrast(
    model: keras.Model,
    images: Images,
    a: Classes,
    b: Classes,
    *,
    batch_size: int = 32,
) -> np.ndarray:
    """Return maps that show why the answer is class `a` and not class `b`.

    A map is `s / (h w) * (M_a - M_b)`, with `M` the class maps at the last FA
    layer and `s` the head's scale. By completeness, its sum over the image is
    exactly the logit margin `y_a - y_b`.

    Args:
        model: A `FACNN`.
        images: Array `(B, H, W, channels)`, 0..255.
        a: A class, its number or name, or a sequence of B; None means the
            predicted class of each image.
        b: As `a`.
        batch_size: Positive integer, images per forward pass.

    Returns:
        A float32 NumPy array `(B, h, w)`; positive values are evidence for `a`.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> maps = keras_facnn.attribution.contrast(model, images, 3, 5)
    >>> logits = model.predict(images, verbose=0)
    >>> margin = logits[:, 3] - logits[:, 5]
    >>> bool(np.allclose(maps.sum((1, 2)), margin, atol=1e-4))
    True
    """
    check_fa_model(model)
    images = check_images(images, model.image_shape)
    a = check_classes_for(model, a, len(images), "a")
    b = check_classes_for(model, b, len(images), "b")
    if isinstance(a, str) or isinstance(b, str):
        raise ValueError(
            "`a` and `b` must be classes, one per image, not 'all'. "
            f"Received: a={a!r}, b={b!r}"
        )
    logits, maps = model.predict_with_maps(images, batch_size=batch_size)
    scale = float(ops.convert_to_numpy(model.head.scale))
    difference = pick_classes(maps, a, logits) - pick_classes(maps, b, logits)
    return scale / math.prod(maps.shape[1:3]) * difference


def disagreement(
    model: keras.Model,
    images: Images,
    classes: Classes = None,
    *,
    layer: str | int | None = None,
    batch_size: int = 32,
) -> np.ndarray:
    """Return how far the R maps of a class differ at each location.

    It is the standard deviation over the R maps whose mean is the class map. If
    it is large compared to the class map, only a few of the R maps contribute
    to the class map.

    Args:
        model: A `FACNN`.
        images: Array `(B, H, W, channels)`, 0..255.
        classes: None for the predicted class of each image, an integer, the
            name of a class, a sequence of B of these, or `"all"`.
        layer: FA layer, a number or a name. None means the last.
        batch_size: Positive integer, images per forward pass.

    Returns:
        A float32 NumPy array `(B, h, w)`, or `(B, h, w, C)` for `"all"`, in the
        units of the class map.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(4,))
    >>> images = np.zeros((2, 32, 32, 3), "uint8")
    >>> keras_facnn.attribution.disagreement(model, images).shape
    (2, 32, 32)
    """
    check_fa_model(model)
    images = check_images_for(model, images)
    classes = check_classes_for(model, classes, len(images))
    number = check_layer(model, layer)
    name = layer_name(number)

    def spread(outputs: Any) -> Any:
        maps = ops.cast(outputs[name], "float32")
        shape = ops.shape(maps)
        own = ops.reshape(
            maps,
            (
                -1,
                *shape[1:3],
                model.num_classes,
                shape[3] // model.num_classes,
            ),
        )
        return ops.std(own, axis=-1)

    logits, maps = read_layers(
        model, images, [name], spread, batch_size, key=("disagreement", number)
    )
    return pick_classes(maps, classes, logits)
