"""The colors of maps in all figures, for Matplotlib."""

import functools

from matplotlib.colors import ListedColormap

from keras_facnn.colors import OPACITY
from keras_facnn.colors import fading_colors


@functools.cache
def fading_color_map(opacity: float = OPACITY) -> ListedColormap:
    """Return `fading_colors` as a color map."""
    return ListedColormap(fading_colors(opacity))
