"""Compute the outputs of images that are altered one by one, in batches."""

import itertools
from collections.abc import Callable
from collections.abc import Iterable

import keras
import numpy as np

from keras_facnn._backend.forward import compiled_scores_function
from keras_facnn._backend.forward import progress_bar
from keras_facnn._backend.forward import run_in_batches
from keras_facnn._checks.arguments import check_bool
from keras_facnn._checks.models import check_finite_outputs
from keras_facnn._checks.numbers import check_int
from keras_facnn._checks.numbers import check_memory
from keras_facnn._graph.probabilities import probabilities_function
from keras_facnn.attribution._perturbation import scoring_function


def altered_probabilities(
    model: keras.Model,
    images: Iterable[np.ndarray],
    shape: tuple[int, ...],
    *,
    from_logits: bool | None,
    batch_size: int,
    verbose: int,
) -> np.ndarray:
    """Return the probabilities of images, of which few are held at once.

    Args:
        model: A classifier.
        images: n images, such as a generator makes.
        shape: `(n, H, W, channels)`.
        from_logits, batch_size, verbose: As in `pixel_removal`.

    Returns:
        An array `(n, C)`.
    """
    batch_size = min(check_int("batch_size", batch_size), shape[0])
    if from_logits is not None:
        from_logits = check_bool("from_logits", from_logits)
    function = compiled_scores_function(model)
    as_probabilities = probabilities_function(model, from_logits)

    def probabilities(batch: np.ndarray) -> np.ndarray:
        outputs = run_in_batches(function, batch, batch_size, one_size=True)
        check_finite_outputs(outputs)
        return as_probabilities(outputs)

    return _in_batches(probabilities, images, shape, batch_size, verbose)


def altered_scores(
    model: keras.Model,
    images: Iterable[np.ndarray],
    shape: tuple[int, ...],
    *,
    probabilities: bool,
    batch_size: int,
    verbose: int,
) -> np.ndarray:
    """Return the scores of images, of which few are held at once.

    Args:
        model, images, shape: As in `altered_probabilities`.
        probabilities: Whether scores are probabilities, as in `occlusion`, or
            the model's outputs.
        batch_size, verbose: As in `pixel_removal`.

    Returns:
        A float64 array `(n, C)`.
    """
    batch_size = min(check_int("batch_size", batch_size), shape[0])
    probabilities = check_bool("probabilities", probabilities)
    function = scoring_function(model, probabilities, batch_size)
    scores = _in_batches(function, images, shape, batch_size, verbose)
    check_finite_outputs(scores)
    return scores


def _in_batches(
    function: Callable[[np.ndarray], np.ndarray],
    images: Iterable[np.ndarray],
    shape: tuple[int, ...],
    batch_size: int,
    verbose: int,
) -> np.ndarray:
    """Return a function's values of images, joined along the first axis."""
    total, *image_shape = shape
    check_memory("`batch_size` and `images`", batch_size, *image_shape)
    images = iter(images)
    bar = progress_bar(total, verbose, "image")
    parts = []
    while batch := list(itertools.islice(images, batch_size)):
        parts.append(function(np.stack(batch)))
        bar.add(len(batch))
    return np.concatenate(parts)
