"""The colors of maps in all figures."""

import functools

import matplotlib
import numpy as np
from matplotlib.colors import ListedColormap

# The opacity of the brightest color.
OPACITY = 0.85
# The smallest end of a color scale, so that it can divide a map of zeros.
LEAST_VMAX = float(np.finfo("float32").tiny)


@functools.cache
def fading_color_map(opacity: float = OPACITY) -> ListedColormap:
    """Return the colors of a map: red, orange, yellow; transparent at 0.

    They are the upper half of inferno, whose lightness grows evenly, so that
    color-blind readers can tell them apart. In the lower half, positive and
    negative values would both be purple.

    Args:
        opacity: Float in [0, 1], the opacity of the brightest color.
    """
    values = np.linspace(0, 1, 256)
    colors = matplotlib.colormaps["inferno"](0.5 + values / 2)
    colors[:, 3] = opacity * values
    return ListedColormap(colors)
