"""Helpers for the tests of figures."""

import numpy as np

from keras_facnn.explaining.explanation import Explanation


def drawn_on(ax):
    """Return the pixels of the first image that axes show."""
    return np.asarray(ax.images[0].get_array())


def words_on(ax):
    """Return the texts inside axes."""
    return [text.get_text() for text in ax.texts]


def explanation_of(pictures, names=("ant", "bee", "cat"), **fields):
    """Return an explanation of random maps, with some fields replaced."""
    rng = np.random.default_rng(1)
    count = len(pictures)
    p = rng.dirichlet(np.ones(len(names)), count)
    maps = rng.uniform(size=(count, 4, 4, len(names))).astype("float32")
    return Explanation(
        **{
            "images": pictures,
            "classes": p.argmax(-1),
            "probabilities": p,
            "maps": maps,
            "layer_maps": {2: 9 * maps[..., 0], 4: maps[..., 1]},
            "layer_probabilities": np.stack([p] * 5, 1),
            "class_names": names,
            **fields,
        }
    )
