"""The conventions that images, maps and classes share."""

import numpy as np
from keras import ops


def resize_maps(maps, size):
    """Resizes maps to pixels, bilinearly, with half-pixel centres.

    Args:
        maps: Array `(B, h, w)`, or `(B, h, w, C)` for all classes.
        size: A pair `(H, W)` of positive integers, in pixels.

    Returns:
        A float32 NumPy array `(B, H, W)` or `(B, H, W, C)`.

    Example:

    >>> keras_facnn.resize_maps(np.array([[[0.0, 1.0]]]), (1, 4)).tolist()
    [[[0.0, 0.25, 0.75, 1.0]]]
    """
    maps = np.asarray(maps, dtype="float32")
    if maps.ndim not in (3, 4):
        raise ValueError(
            "`maps` must have shape (B, h, w) or (B, h, w, C). "
            f"Received: maps of shape {maps.shape}"
        )
    try:
        height, width = (int(n) for n in size)
    except (TypeError, ValueError):
        height = width = 0
    if height < 1 or width < 1:
        raise ValueError(
            "`size` must be two positive integers (height, width). "
            f"Received: size={size!r}"
        )
    channels_last = maps if maps.ndim == 4 else maps[..., None]
    resized = ops.convert_to_numpy(
        ops.image.resize(
            channels_last,
            (height, width),
            interpolation="bilinear",
            data_format="channels_last",
        )
    )
    return resized if maps.ndim == 4 else resized[..., 0]


def check_images(images, image_shape=(None, None, None)):
    """Returns `images` as an array `(B, H, W, channels)`, or raises.

    Args:
        images: Array-like `(B, H, W, channels)`, 0..255, any real dtype.
        image_shape: The model's `(H, W, channels)`; None fits any size.

    Returns:
        A NumPy array.
    """
    if hasattr(images, "detach"):
        images = images.detach().cpu()
    images = np.asarray(images)
    if images.dtype.kind not in "biuf" and images.dtype.name != "bfloat16":
        raise ValueError(
            "`images` must be an array of real numbers in 0..255. "
            f"Received: images of dtype {images.dtype}"
        )
    expected = ", ".join("any" if n is None else str(n) for n in image_shape)
    hint = ""
    if images.ndim == len(image_shape):
        hint = " For one image, pass images[None]."
    if (
        images.ndim != 4
        or len(images) == 0
        or any(
            n is not None and n != m
            for n, m in zip(image_shape, images.shape[1:], strict=True)
        )
    ):
        raise ValueError(
            f"`images` must have shape (batch, {expected}), with at least one "
            f"image. Received: images of shape {images.shape}.{hint}"
        )
    return images


def classifier_shapes(model):
    """A classifier's image shape `(H, W, channels)` and number of classes."""
    try:
        (inputs,), (outputs,) = model.inputs, model.outputs
        (_, *image_shape), (_, num_classes) = inputs.shape, outputs.shape
    except (AttributeError, TypeError, ValueError):
        raise ValueError(
            "`model` must be a functional Keras model from images (B, H, W, "
            f"channels) to (B, classes). Received: model={model}"
        ) from None
    return tuple(image_shape), num_classes


def check_classes(classes, batch, num_classes):
    """Returns `classes` as None, "all" or an int array `(batch,)`, or raises.

    Args:
        classes: None (the predicted class of each image), an int, a sequence
            of `batch` ints, or "all".
        batch: The number of images.
        num_classes: The number of classes.
    """
    if classes is None or (isinstance(classes, str) and classes == "all"):
        return classes
    expected = (
        f'`classes` must be None, "all", an integer from 0 to '
        f"{num_classes - 1}, or {batch} of them, one an image."
    )
    if hasattr(classes, "detach"):
        classes = classes.detach().cpu()
    indices = np.asarray(classes)
    if indices.dtype.kind not in "iu" or indices.shape not in ((), (batch,)):
        raise ValueError(f"{expected} Received: classes={classes!r}")
    if indices.min() < 0 or indices.max() >= num_classes:
        raise ValueError(f"{expected} Received: classes={classes!r}")
    return np.broadcast_to(indices, (batch,)).astype(int)


def class_an_image(model, images, classes, batch_size):
    """Returns the one class of each image, `(batch,)` ints, or raises.

    Args:
        model: A classifier, which predicts where `classes` is None.
        images: Array `(B, H, W, channels)`.
        classes: None, or one class or several, which pass through; "all" is
            refused.
        batch_size: Positive integer, images a forward pass.
    """
    if isinstance(classes, str):
        raise ValueError(
            "`classes` must be None, an integer, or one integer an image. "
            f"Received: classes={classes!r}"
        )
    if classes is None:
        logits = model.predict(images, batch_size=batch_size, verbose=0)
        return np.argmax(logits, axis=-1)
    return classes


def pick_classes(values, classes, logits):
    """Takes one class an image off a trailing class axis, or all.

    Args:
        values: Array `(B, ..., C)`.
        classes: What `check_classes` returned.
        logits: Array `(B, C)`, which gives the predicted classes.

    Returns:
        `values` itself for "all", otherwise an array `(B, ...)`.
    """
    if isinstance(classes, str):
        return values
    if classes is None:
        classes = np.argmax(logits, axis=-1)
    return values[np.arange(len(values)), ..., classes]
