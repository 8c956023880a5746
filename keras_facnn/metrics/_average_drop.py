"""Keep of an image what a map shows, and compare the probabilities."""

from collections.abc import Iterator

import keras
import numpy as np

from keras_facnn.maps import resize_maps
from keras_facnn.metrics._altered_images import altered_probabilities
from keras_facnn.metrics._pixel_curves import check_images_and_labels
from keras_facnn.metrics._pixel_curves import check_varying_maps
from keras_facnn.metrics._pixel_curves import spread_rows
from keras_facnn.metrics._result import Result
from keras_facnn.types import Images
from keras_facnn.types import Labels
from keras_facnn.types import Maps

_SOURCE = "Chattopadhay et al. 2018, arXiv 1710.11063, section 4.1"


def average_drop(
    model: keras.Model,
    images: Images,
    labels: Labels,
    maps: Maps,
    *,
    from_logits: bool | None = None,
    batch_size: int = 16,
    verbose: int = 0,
) -> Result:
    """Return how much of the probability is lost if only a map's part is kept.

    Each map is resized to pixels and scaled to 0..1, and the image is
    multiplied by it. If the probability of the class was Y and becomes O, the
    value of the image is `max(0, Y - O) / Y`. It takes two forward passes per
    image.

    A map of ones, except for one pixel, scores nearly 0, which is the best
    value, for any model. So does any map that covers nearly all of the image.

    Source: Chattopadhay et al., "Grad-CAM++", arXiv 1710.11063, section 4.1.
    Its flaw was found by Poppi et al., "Revisiting The Evaluation of Class
    Activation Mapping for Explainability", arXiv 2104.10252.

    Args:
        model: `keras.Model` from images `(B, H, W, channels)` to `(B, C)`.
        images: Array `(B, H, W, channels)`, in the range that the model takes,
            in which 0 should mean nothing, such as black.
        labels: B integers, the classes whose probability is measured, or names
            if the model knows them.
        maps: Array `(B, h, w)`, of any resolution and scale.
        from_logits: Whether the model's outputs are logits. Then their softmax
            gives the probabilities, or their sigmoid for an FA-CNN with a
            threshold. If None, outputs count as probabilities if the last layer
            has a sigmoid, or if they are in 0..1 and sum to 1.
        batch_size: Positive integer, images per forward pass.
        verbose: 1 shows a progress bar, 0 does not.

    Returns:
        A `Result` whose values `(B,)` are in 0..1; the source has percent. They
        are NaN where a map is constant, so that it can't be scaled, and where
        the probability was 0.

    Raises:
        ValueError: If all maps are constant.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> maps = model.class_maps(images, classes=[3, 5])
    >>> result = keras_facnn.metrics.average_drop(model, images, [3, 5], maps)
    >>> 0 <= result.mean <= 1
    True
    """
    before, after = _probabilities(
        model, images, labels, maps, from_logits, batch_size, verbose
    )
    return Result(
        values=np.divide(
            np.maximum(before - after, 0),
            before,
            out=np.full(before.shape, np.nan),
            where=before > 0,
        ),
        metric="average_drop",
        higher_is_better=False,
        definition="the share by which the probability falls when the image is "
        "multiplied by its map",
        source=_SOURCE,
    )


def average_increase(
    model: keras.Model,
    images: Images,
    labels: Labels,
    maps: Maps,
    *,
    from_logits: bool | None = None,
    batch_size: int = 16,
    verbose: int = 0,
) -> Result:
    """Return how often the probability rises if only a map's part is kept.

    The images are those of `average_drop`. The value of an image is 1 if the
    probability of its class rises when the image is multiplied by its map, and
    0 otherwise. It takes two forward passes per image.

    Source: Chattopadhay et al., "Grad-CAM++", arXiv 1710.11063, section 4.1,
    "increase in confidence". It has the flaw of `average_drop`.

    Args:
        model: `keras.Model` from images `(B, H, W, channels)` to `(B, C)`.
        images: As in `average_drop`.
        labels: B integers, the classes whose probability is measured, or names
            if the model knows them.
        maps: Array `(B, h, w)`, of any resolution and scale.
        from_logits: As in `average_drop`.
        batch_size: Positive integer, images per forward pass.
        verbose: 1 shows a progress bar, 0 does not.

    Returns:
        A `Result` whose values `(B,)` are 1 or 0. They are NaN where a map is
        constant, so that it can't be scaled.

    Raises:
        ValueError: If all maps are constant.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> maps = model.class_maps(images, classes=[3, 5])
    >>> result = keras_facnn.metrics.average_increase(
    ...     model, images, [3, 5], maps
    ... )
    >>> result.mean in (0, 0.5, 1)
    True
    """
    before, after = _probabilities(
        model, images, labels, maps, from_logits, batch_size, verbose
    )
    return Result(
        values=np.where(np.isnan(before), np.nan, after > before),
        metric="average_increase",
        higher_is_better=True,
        definition="whether the probability rises when the image is multiplied "
        "by its map",
        source=_SOURCE,
    )


def _probabilities(
    model: keras.Model,
    images: Images,
    labels: Labels,
    maps: Maps,
    from_logits: bool | None,
    batch_size: int,
    verbose: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities of the labels before and after, each `(B,)`.

    They are NaN where a map is constant.
    """
    images, labels = check_images_and_labels(model, images, labels)
    maps, varies = check_varying_maps(maps, images)
    size, kept = images.shape[1:3], np.flatnonzero(varies)

    def altered() -> Iterator[np.ndarray]:
        for index in kept:
            (pixels,) = resize_maps(maps[index : index + 1], size)
            pixels = (pixels - pixels.min()) / np.ptp(pixels)
            yield images[index]
            yield images[index] * pixels[..., None]

    p = altered_probabilities(
        model,
        altered(),
        (2 * len(kept), *images.shape[1:]),
        from_logits=from_logits,
        batch_size=batch_size,
        verbose=verbose,
    )
    p = p.reshape(len(kept), 2, -1)[np.arange(len(kept)), :, labels[kept]]
    before, after = spread_rows(p.astype("float64"), varies).T
    return before, after
