"""The color map of all figures."""

import functools

import matplotlib
import numpy as np
from matplotlib.colors import ListedColormap

# Perceptually uniform and safe for color-blind readers.
COLOR_MAP = "inferno"
# The smallest end of a color scale, so that it can divide a map of zeros.
LEAST_VMAX = float(np.finfo("float32").tiny)


@functools.cache
def fading_color_map(opacity: float) -> ListedColormap:
    """Return the colors of `COLOR_MAP`, transparent at 0.

    Args:
        opacity: Float in [0, 1], the opacity of the brightest color.
    """
    values = np.linspace(0, 1, 256)
    colors = matplotlib.colormaps[COLOR_MAP](values)
    colors[:, 3] = opacity * values**1.5
    return ListedColormap(colors)
