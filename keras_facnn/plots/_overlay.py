import typing

import numpy as np

from keras_facnn._checks.arguments import check_bool
from keras_facnn._checks.numbers import check_float
from keras_facnn.maps import resize_maps
from keras_facnn.plots.checks import check_map
from keras_facnn.plots.images import draw_image
from keras_facnn.plots.images import drawable_image
from keras_facnn.plots.maps import draw_map

if typing.TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage


def overlay(
    ax: "Axes",
    image: np.ndarray,
    map_: np.ndarray,
    vmax: float | None = None,
    opacity: float = 0.65,
    color: bool = False,
) -> "AxesImage":
    """Draw a map over its image.

    Args:
        ax: Matplotlib axes to draw on.
        image: Array `(H, W, 1 or 3)`, 0..255.
        map_: Non-negative array `(h, w)`, at any resolution. Black is 0.
        vmax: Value of the brightest color; None is the map's largest value.
            Give maps that are to be compared the same `vmax`.
        opacity: Float in [0, 1], the opacity of the map.
        color: If True, the image keeps its colors, and the opacity of the map
            grows from 0, where the map is 0, to `opacity`, where it is `vmax`.
            If False, the map has one opacity and lies over a gray copy of the
            image.

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
    if not check_bool("color", color):
        image = image.astype("float32").mean(axis=-1, keepdims=True)
    draw_image(ax, image)
    return draw_map(ax, pixels, vmax, opacity, fading=color)
