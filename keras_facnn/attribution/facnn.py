"""What only an FA-CNN can say, exactly and without a gradient."""

import math

import numpy as np
from keras import ops

from keras_facnn.checks import check_classes
from keras_facnn.checks import check_images
from keras_facnn.maps import pick_classes


def contrast(model, images, a, b, *, batch_size=32):
    """Why class `a` and not class `b`: a map that sums to the logit margin.

    `s / (h w) * (M_a - M_b)`, with `M` the class maps at the last FA layer and
    `s` the head's scale. By completeness its sum over the image is exactly
    `y_a - y_b`.

    Args:
        model: A `FACNN`.
        images: Array `(B, H, W, channels)`, 0..255.
        a: Integer or sequence of B integers, or None for the predicted class.
        b: As `a`; None is the predicted class.
        batch_size: Positive integer, images a forward pass.

    Returns:
        A float32 NumPy array `(B, h, w)`; positive where it speaks for `a`.

    Example:

    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> maps = keras_facnn.attribution.contrast(model, images, 3, 5)
    >>> logits = model.predict(images, verbose=0)
    >>> margin = logits[:, 3] - logits[:, 5]
    >>> bool(np.allclose(maps.sum((1, 2)), margin, atol=1e-4))
    True
    """
    images = check_images(images, model.image_shape)
    a, b = (check_classes(c, len(images), model.num_classes) for c in (a, b))
    if isinstance(a, str) or isinstance(b, str):
        raise ValueError(
            "`a` and `b` must be classes, one an image, not 'all'. "
            f"Received: a={a!r}, b={b!r}"
        )
    logits, maps = model.predict_with_maps(images, batch_size=batch_size)
    scale = float(ops.convert_to_numpy(model.head.scale))
    difference = pick_classes(maps, a, logits) - pick_classes(maps, b, logits)
    return scale / math.prod(maps.shape[1:3]) * difference


def disagreement(model, images, classes=None, *, layer=None, batch_size=32):
    """How far the R maps of a class differ, place by place.

    The standard deviation over the maps that the class map is the mean of:
    where it is large against the class map, few of the R maps carry it.

    Args:
        model: A `FACNN`.
        images: Array `(B, H, W, channels)`, 0..255.
        classes: None for the predicted class of each image, an integer, a
            sequence of B integers, or `"all"`.
        layer: FA layer, a number or a name. None is the last.
        batch_size: Positive integer, images a forward pass.

    Returns:
        A float32 NumPy array `(B, h, w)`, or `(B, h, w, C)` for `"all"`, in
        the units of the class map.

    Example:

    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(4,))
    >>> images = np.zeros((2, 32, 32, 3), "uint8")
    >>> keras_facnn.attribution.disagreement(model, images).shape
    (2, 32, 32)
    """
    images = check_images(images, model.image_shape)
    classes = check_classes(classes, len(images), model.num_classes)
    extractor = model.feature_extractor(
        [model.num_layers if layer is None else layer]
    )
    spread = []
    for start in range(0, len(images), batch_size):
        (maps,) = extractor.predict_on_batch(
            images[start : start + batch_size]
        ).values()
        maps = np.asarray(maps, "float32")
        maps = maps.reshape(*maps.shape[:3], model.num_classes, -1)
        spread.append(maps.std(axis=-1))
    logits = None
    if classes is None:
        logits = model.predict(images, batch_size=batch_size, verbose=0)
    return pick_classes(np.concatenate(spread), classes, logits)
