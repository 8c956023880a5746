"""A model that forgets what it learned, and remembers it again."""

import contextlib
from collections.abc import Iterator
from collections.abc import Sequence

import keras
import numpy as np


def shuffle_weights(
    weights: Sequence[np.ndarray], rng: np.random.Generator
) -> list[np.ndarray]:
    """Weights, as of `get_weights`, with the entries of each in random order.

    Each keeps its shape, and the distribution of its entries.
    """
    return [rng.permutation(w.ravel()).reshape(w.shape) for w in weights]


@contextlib.contextmanager
def restored_weights(model: keras.Model) -> Iterator[None]:
    """Gives a model its weights back at the end, also after an error."""
    before = model.get_weights()
    try:
        yield
    finally:
        model.set_weights(before)
