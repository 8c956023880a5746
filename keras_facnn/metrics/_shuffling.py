"""Shuffle the weights of a model, and restore them."""

import contextlib
from collections.abc import Iterator
from collections.abc import Sequence

import keras
import numpy as np


def shuffle_weights(
    weights: Sequence[np.ndarray], rng: np.random.Generator
) -> list[np.ndarray]:
    """Return weights from `get_weights` with their entries in random order.

    Each weight keeps its shape and the distribution of its entries.
    """
    return [rng.permutation(w.ravel()).reshape(w.shape) for w in weights]


@contextlib.contextmanager
def restored_weights(model: keras.Model) -> Iterator[None]:
    """Restore a model's weights at the end, also after an error."""
    before = model.get_weights()
    try:
        yield
    finally:
        model.set_weights(before)
