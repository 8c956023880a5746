"""Run a classifier over photos, a batch at a time."""

from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_facnn._backend.forward import compiled_scores_function
from keras_facnn._backend.forward import progress_bar
from keras_facnn._backend.forward import run_in_batches
from keras_facnn._checks.models import check_finite_outputs
from keras_facnn._checks.numbers import check_int
from keras_facnn.evaluation.broken import Broken
from keras_facnn.evaluation.photos import Photos
from keras_facnn.types import OnError


def read_outputs(
    model: Any,
    photos: Photos,
    on_error: OnError,
    batch_size: int,
    verbose: int,
) -> Iterator[tuple[np.ndarray, list[int]]]:
    """Yield a classifier's outputs, and the indices of their photos.

    Args:
        model: A classifier.
        photos: The photos.
        on_error: As in `load_folder`. A warning at the end names the photos
            that were skipped.
        batch_size: Positive integer, images per forward pass.
        verbose: 1 shows a progress bar, 0 does not.

    Raises:
        ValueError: If no photo can be read.
    """
    broken = Broken(on_error)
    size = check_int("batch_size", batch_size)
    function = compiled_scores_function(model)
    bar = progress_bar(len(photos), verbose, "photo")
    for images, index, tried in photos.batches(size, broken.add):
        if index:
            yield outputs_of_batch(function, images, size), index
        bar.add(tried)
    broken.warn(len(photos))


def outputs_of_batch(
    function: Callable[[Any], Any], images: np.ndarray, size: int
) -> np.ndarray:
    """Return a classifier's outputs, which must be finite, for one batch.

    Args:
        function: Result of `compiled_scores_function`.
        images: Up to `size` images.
        size: Positive integer, images per forward pass.
    """
    outputs = run_in_batches(function, images, size, one_size=True)
    check_finite_outputs(outputs)
    return outputs
