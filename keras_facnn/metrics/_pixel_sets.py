"""Compare what a map says of sets of pixels with what the model loses."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_facnn.attribution._imputation import baseline_images
from keras_facnn.maps import resize_maps
from keras_facnn.metrics._altered_images import altered_scores
from keras_facnn.metrics._pixel_curves import replace_pixels
from keras_facnn.types import Baseline


def sums_and_falls(
    model: keras.Model,
    images: np.ndarray,
    labels: np.ndarray,
    maps: np.ndarray,
    sets_of: Callable[[int, np.ndarray], Iterable[np.ndarray]],
    count: int,
    baseline: Baseline,
    **options: Any,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums of maps over sets of pixels, and the falls of scores.

    A fall is the score of the image minus that of the image in which the pixels
    of the set are replaced by `baseline`.

    Args:
        model: A classifier.
        images: Float32 array `(B, H, W, channels)`.
        labels: Int array `(B,)`, the classes of the scores.
        maps: Array `(B, h, w)`. Maps are resized to pixels.
        sets_of: Function of an image's index and its map `(H, W)` that returns
            sets of pixels: arrays of locations, numbered row by row.
        count: The number of sets of each image.
        baseline: As in `pixel_removal`, except `"road"`.
        **options: Passed to `altered_scores`.

    Returns:
        Two float64 arrays `(B, count)`.
    """
    others = baseline_images(images, baseline)
    size = images.shape[1:3]
    sums: list[float] = []

    def altered() -> Iterator[np.ndarray]:
        for index, (image, other) in enumerate(
            zip(images, others, strict=True)
        ):
            (pixels,) = resize_maps(maps[index : index + 1], size)
            values = pixels.ravel().astype("float64")
            yield image
            for chosen in sets_of(index, pixels):
                sums.append(values[chosen].sum())
                yield replace_pixels(image, other, chosen)

    total = len(images) * (1 + count)
    scores = altered_scores(
        model, altered(), (total, *images.shape[1:]), **options
    )
    scores = scores.reshape(len(images), 1 + count, -1)
    of_label = scores[np.arange(len(images)), :, labels]
    falls = of_label[:, :1] - of_label[:, 1:]
    return np.reshape(sums, falls.shape), falls
