"""Runs Keras functions over batches, and leaves the model as it was.

Keras' own `predict` takes the variables out of the model while it runs on JAX,
so an error, Ctrl-C or a second thread loses them.
"""

import os
import threading

import keras
import numpy as np
from keras import ops
from keras import tree

from keras_facnn._backend.gradients import breaks_in_fork
from keras_facnn._backend.gradients import compiled_function
from keras_facnn._backend.snapshot import CACHE
from keras_facnn._backend.snapshot import Snapshot
from keras_facnn._checks.arguments import check_verbose
from keras_facnn._checks.arrays import as_float32
from keras_facnn._checks.classes import check_one_class_per_image
from keras_facnn._checks.models import check_finite_outputs
from keras_facnn._checks.numbers import check_int

_LOCK = threading.RLock()


class _Cache:
    """What was made for a model. It dies with it; Keras does not save it."""

    def __init__(self, model):
        self.forget(model)

    def forget(self, model):
        self.made = {}
        self.snapshot = Snapshot(model)

    def look(self, model):
        """Notes the present state of the model as that of all that is kept."""
        if not self.snapshot.matches(model):
            self.snapshot = Snapshot(model)


def cached(model, key, make):
    """What `make()` returned for this model and key, made once.

    It is made anew after the model was changed: its layers, or an attribute of
    one, see `Snapshot`; other values of the same variables need nothing new.

    Args:
        model: Any `keras.Model`.
        key: Hashable.
        make: Function of nothing.
    """
    with _LOCK:
        keeping = _cache_of(model)
        if not keeping.snapshot.matches(model):
            keeping.forget(model)
        if key not in keeping.made:
            keeping.made[key] = make()
            keeping.look(model)
        return keeping.made[key]


def cached_function(model, key, make):
    """As `kept`: the function that `make` returns, compiled for inference.

    What layers note in themselves while it runs is no change of the model.

    Args:
        model: The model whose variables the function reads.
        key: Hashable.
        make: Function of nothing to a function of tensors.
    """

    def compiled():
        function, called = make(), []

        def noted(*args):
            called.append(True)
            return function(*args)

        compute = compiled_function(noted, model.variables)

        def call(*args):
            outputs = compute(*args)
            # Where it was compiled before, no layer was called.
            if called:
                called.clear()
                with _LOCK:
                    _cache_of(model).look(model)
            return outputs

        return call

    return cached(model, key, compiled)


def _cache_of(model):
    if CACHE not in vars(model):
        vars(model)[CACHE] = _Cache(model)
    return vars(model)[CACHE]


def run_in_batches(
    function, arrays, batch_size=32, verbose=0, unit="image", one_size=False
):
    """Calls a compiled function batch by batch.

    Args:
        function: What `cached_function` returned.
        arrays: Array, or tuple of arrays of one length, its arguments, which
            it gets as float32.
        batch_size: Positive integer, entries a call.
        verbose: 1 shows a progress bar, 0 does not.
        unit: What the bar counts.
        one_size: Whether the first batch, too, is filled up to `batch_size`,
            so that calls of several lengths compile once.

    Returns:
        NumPy arrays, nested as the function's outputs; floats are float32.

    Raises:
        RuntimeError: In a forked child on JAX or TensorFlow, whose threads did
            not come along, so that it would hang. On PyTorch, too, a child
            hangs that was forked after its parent computed with several
            threads: call `torch.set_num_threads(1)` first thing in the child,
            as PyTorch's DataLoader does in its workers.
    """
    arrays = arrays if isinstance(arrays, tuple) else (arrays,)
    batch_size = check_int("batch_size", batch_size)
    check_not_forked()
    total = len(arrays[0])
    # Another shape would compile anew; PyTorch compiles nothing.
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


def progress_bar(total, verbose, unit):
    """Keras' progress bar; `verbose` is checked."""
    verbose = check_verbose(verbose)
    return keras.utils.Progbar(total, verbose=verbose, unit_name=unit)


def compute_scores(model, images, batch_size=32):
    """The outputs `(B, C)` of a classifier, float32.

    Args:
        model: A functional Keras model of one input and one output.
        images: Float32 array `(B, H, W, channels)`.
        batch_size: Positive integer, images a forward pass.
    """
    logits = run_in_batches(compiled_scores_function(model), images, batch_size)
    check_finite_outputs(logits)
    return logits


def compiled_scores_function(model):
    """A compiled function of images to a classifier's one output `(B, C)`."""

    return cached_function(model, "outputs", lambda: scores_function(model))


def scores_function(model):
    """A function of images, a tensor, to a classifier's one output `(B, C)`.

    It calls the model, which may be other than its graph.
    """
    (expected,) = (tuple(y.shape[1:]) for y in tree.flatten(model.outputs))

    def scores(x):
        found = tree.flatten(model(x, training=False))
        if [tuple(y.shape[1:]) for y in found] != [expected]:
            shapes = [(None, *y.shape[1:]) for y in found]
            raise ValueError(
                "`model` must put out what its graph says, one tensor of shape "
                f"{(None, *expected)}. Received: {model.name!r} of the class "
                f"{type(model).__name__}, whose `call` gave tensors of shapes "
                f"{shapes}"
            )
        return found[0]

    return scores


def class_per_image(model, images, classes, batch_size):
    """The class of each image, int `(B,)`: `classes`, or the predicted ones.

    Args:
        model: A classifier, which predicts where `classes` is None.
        images: Float32 array `(B, H, W, channels)`.
        classes: What `check_classes` returned; "all" is refused.
        batch_size: Positive integer, images a forward pass.
    """
    if check_one_class_per_image(classes) is None:
        return compute_scores(model, images, batch_size).argmax(axis=-1)
    return classes


def check_not_forked():
    """Raises in a forked child where any computation would hang."""
    if _is_lost:
        backend = {"jax": "JAX", "tensorflow": "TensorFlow"}[
            keras.backend.backend()
        ]
        raise RuntimeError(
            f"{backend} does not work in a forked process, since its threads "
            "stay in the parent. Start workers by "
            '`multiprocessing.get_context("spawn")`, or import keras_facnn '
            "only in the child."
        )


def _note_fork():
    global _is_lost
    _is_lost = breaks_in_fork()


# Whether this process was forked from one in which the backend computed.
_is_lost = False
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


def _padded(array, length):
    return np.concatenate(
        [array, np.repeat(array[-1:], length - len(array), axis=0)]
    )


def _to_numpy(tensor):
    if keras.backend.is_float_dtype(
        keras.backend.standardize_dtype(tensor.dtype)
    ):
        tensor = ops.cast(tensor, "float32")
    return ops.convert_to_numpy(tensor)
