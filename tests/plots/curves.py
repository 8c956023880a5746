"""Results with curves, for tests of figures."""

import numpy as np

from keras_facnn.metrics import PixelRemoval


def removal(fractions, accuracy, images=1):
    """The result of images that all have the same curve."""
    curves = np.tile(np.asarray(accuracy, "float64"), (images, 1))
    return PixelRemoval(
        values=np.trapezoid(curves, fractions, axis=1),
        metric="pixel_removal",
        fractions=list(fractions),
        hits=curves,
        probabilities=curves,
    )
