import typing

import numpy as np

from keras_facnn._checks.numbers import check_float
from keras_facnn.colors import OPACITY
from keras_facnn.colors import dim_image
from keras_facnn.colors import drawable_image
from keras_facnn.maps import resize_maps
from keras_facnn.plots.checks import check_map
from keras_facnn.plots.images import draw_image
from keras_facnn.plots.maps import draw_map

if typing.TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage


def overlay(
    ax: "Axes",
    image: np.ndarray,
    map_: np.ndarray,
    vmax: float | None = None,
    opacity: float = OPACITY,
) -> "AxesImage":
    """Draw a map over a dark, gray copy of its image.

    The larger a value, the yellower and the less transparent it is. All color
    is the map's, so that it can be seen on an image of any color, also by
    color-blind readers.

    Args:
        ax: Matplotlib axes to draw on.
        image: Array `(H, W, 1 or 3)`, 0..255.
        map_: Array `(h, w)`, at any resolution. Values of at most 0 are not
            drawn.
        vmax: Value of the brightest color; None is the map's largest value.
            Give maps that are to be compared the same `vmax`.
        opacity: Float in [0, 1], the opacity of the map where it is `vmax`.

    Returns:
        The Matplotlib image of the map, for a color bar.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> from matplotlib.figure import Figure
    >>> ax = Figure().add_subplot()
    >>> image = np.zeros((32, 32, 3), "uint8")
    >>> drawn = keras_facnn.plots.overlay(ax, image, np.eye(8))
    >>> drawn.get_array().shape
    (32, 32)
    """
    image = drawable_image(image)
    (pixels,) = resize_maps(check_map("map_", map_)[None], image.shape[:2])
    opacity = check_float("opacity", opacity, least=0, most=1)
    if vmax is not None:
        vmax = check_float("vmax", vmax, least=0)
    draw_image(ax, dim_image(image))
    return draw_map(ax, pixels, vmax, opacity)
