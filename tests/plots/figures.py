"""Helpers for the tests of figures."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from keras_facnn.explaining.explanation import Explanation


def drawn_on(ax):
    """Return the pixels of the first image that axes show."""
    return np.asarray(ax.images[0].get_array())


def words_on(ax):
    """Return the texts inside axes."""
    return [text.get_text() for text in ax.texts]


def texts_of(figure):
    """Return the sentences and the caption of a figure, each in one line."""
    return [" ".join(text.get_text().split()) for text in figure.texts]


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
            "layer_maps": {2: 9 * maps[..., 0], 4: maps[..., len(names) // 2]},
            "layer_probabilities": np.stack([p] * 5, 1),
            "class_names": names,
            **fields,
        }
    )


def assert_all_text_is_readable(figure):
    """Assert that no text leaves the figure, and that none covers another."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    boxes = [ax.title.get_window_extent(renderer) for ax in figure.axes]
    boxes += [text.get_window_extent(renderer) for text in figure.texts]
    boxes = [box for box in boxes if box.width > 1]
    for box in boxes:
        assert 0 <= box.x0 and box.x1 <= figure.bbox.x1
        assert 0 <= box.y0 and box.y1 <= figure.bbox.y1
    panels = [ax.get_window_extent() for ax in figure.axes]
    for i, box in enumerate(boxes):
        assert box.count_overlaps(boxes[:i] + panels) == 0
