"""Run a model over batches of images, and leave the model as it was.

Keras' own `predict` takes the variables out of the model while it runs on JAX,
so that an error, Ctrl-C or a second thread loses them.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops
from keras import tree

from keras_facnn._backend.cache import cached_function
from keras_facnn._backend.forking import check_not_forked
from keras_facnn._checks.arguments import check_verbose
from keras_facnn._checks.arrays import as_float32
from keras_facnn._checks.classes import CheckedClasses
from keras_facnn._checks.classes import check_one_class_per_image
from keras_facnn._checks.models import check_finite_outputs
from keras_facnn._checks.numbers import check_int
from keras_facnn._progress import Progress


def run_in_batches(
    function: Callable[..., Any],
    arrays: Any,
    batch_size: int = 32,
    verbose: int = 0,
    unit: str = "image",
    one_size: bool = False,
) -> Any:
    """Call a compiled function batch by batch.

    Args:
        function: Result of `cached_function`.
        arrays: The arguments of the function: an array, or a tuple of arrays of
            equal length. The function receives them as float32.
        batch_size: Positive integer, the number of entries per call.
        verbose: 1 shows a progress bar, 0 does not.
        unit: What the progress bar counts.
        one_size: Whether to pad the first batch, too, to `batch_size`, so that
            calls of several lengths compile only once.

    Returns:
        NumPy arrays, nested as the function's outputs; floats are float32.

    Raises:
        RuntimeError: In a forked child process on JAX or TensorFlow. Their
            threads stay in the parent, so that the child would hang. On
            PyTorch, too, a child hangs if its parent computed with several
            threads before the fork: call `torch.set_num_threads(1)` at the
            start of the child, as PyTorch's DataLoader does in its workers.
    """
    arrays = arrays if isinstance(arrays, tuple) else (arrays,)
    batch_size = check_int("batch_size", batch_size)
    check_not_forked()
    total = len(arrays[0])
    # Another shape would compile again; PyTorch compiles nothing.
    pads = keras.backend.backend() != "torch"
    bar = progress_bar(total, verbose, unit)
    parts = []
    for start in range(0, total, batch_size):
        batch = [as_float32(a[start : start + batch_size]) for a in arrays]
        n = len(batch[0])
        if pads and (one_size or 0 < start) and n < batch_size:
            batch = [_padded(a, batch_size) for a in batch]
        parts.append(
            tree.map_structure(
                lambda t, n=n: _to_numpy(t)[:n], function(*batch)
            )
        )
        bar.add(n)
    return tree.map_structure(lambda *values: np.concatenate(values), *parts)


def progress_bar(total: int, verbose: int | bool, unit: str) -> Progress:
    """Return what shows how far work is, after `verbose` is checked."""
    return Progress(total, unit, shown=bool(check_verbose(verbose)))


def scores_function(model: keras.Model) -> Callable[[Any], Any]:
    """Return a function from images, a tensor, to scores `(B, C)`.

    The scores are the classifier's one output. The function calls the model,
    which may compute something else than its graph.
    """
    (expected,) = (tuple(y.shape[1:]) for y in tree.flatten(model.outputs))

    def scores(x: Any) -> Any:
        found = tree.flatten(model(x, training=False))
        if [tuple(y.shape[1:]) for y in found] != [expected]:
            shapes = [(None, *y.shape[1:]) for y in found]
            raise ValueError(
                "`model` must return one tensor, of the shape that its graph "
                f"has: {(None, *expected)}. Received: {model.name!r} of the "
                f"class {type(model).__name__}, whose `call` gave tensors of "
                f"shapes {shapes}"
            )
        return found[0]

    return scores


def compiled_scores_function(model: keras.Model) -> Callable[[Any], Any]:
    """Return `scores_function(model)`, compiled."""
    return cached_function(model, "outputs", lambda: scores_function(model))


def compute_scores(
    model: keras.Model, images: np.ndarray, batch_size: int = 32
) -> np.ndarray:
    """Return the outputs `(B, C)` of a classifier, float32.

    Args:
        model: A functional Keras model with one input and one output.
        images: Float32 array `(B, H, W, channels)`.
        batch_size: Positive integer, images per forward pass.
    """
    scores = run_in_batches(compiled_scores_function(model), images, batch_size)
    check_finite_outputs(scores)
    return scores


def class_per_image(
    model: keras.Model,
    images: np.ndarray,
    classes: CheckedClasses,
    batch_size: int,
) -> np.ndarray:
    """Return the class of each image, predicted where `classes` is None.

    Args:
        model: A classifier.
        images: Float32 array `(B, H, W, channels)`.
        classes: What `check_classes` returned; "all" raises an error.
        batch_size: Positive integer, images per forward pass.

    Returns:
        An int array `(B,)`.
    """
    chosen = check_one_class_per_image(classes)
    if chosen is None:
        return compute_scores(model, images, batch_size).argmax(axis=-1)
    return chosen


def _padded(array: np.ndarray, length: int) -> np.ndarray:
    return np.concatenate(
        [array, np.repeat(array[-1:], length - len(array), axis=0)]
    )


def _to_numpy(tensor: Any) -> np.ndarray:
    if keras.backend.is_float_dtype(
        keras.backend.standardize_dtype(tensor.dtype)
    ):
        tensor = ops.cast(tensor, "float32")
    return ops.convert_to_numpy(tensor)
