import numpy as np

from keras_facnn._checks.numbers import check_float
from keras_facnn.colors import OPACITY
from keras_facnn.colors import drawable_image
from keras_facnn.colors import lay_map
from keras_facnn.maps import resize_maps
from keras_facnn.plots.checks import check_map


def colorize(
    image: np.ndarray,
    map_: np.ndarray,
    vmax: float | None = None,
    opacity: float = OPACITY,
) -> np.ndarray:
    """Return the pixels of an image with a map over it.

    This needs no Matplotlib axes. The colors are those of `overlay`: positive
    values are red, orange and yellow on a dark, gray copy of the image.
    Negative values have a second color scale, from blue to pale blue.

    Args:
        image: Array `(H, W, 1 or 3)`, 0..255.
        map_: Array `(h, w)`, at any resolution.
        vmax: Absolute value of the brightest color; None is the map's largest
            absolute value.
        opacity: Float in [0, 1], the opacity of the map where its absolute
            value is `vmax`.

    Returns:
        A uint8 NumPy array `(H, W, 3)`.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> image = np.full((32, 32, 3), 90, "uint8")
    >>> pixels = keras_facnn.plots.colorize(image, np.eye(8))
    >>> pixels.shape, pixels[0, 31].tolist()
    ((32, 32, 3), [45, 45, 45])
    """
    image = drawable_image(image)
    (values,) = resize_maps(check_map("map_", map_)[None], image.shape[:2])
    opacity = check_float("opacity", opacity, least=0, most=1)
    vmax = (
        np.abs(values).max()
        if vmax is None
        else check_float("vmax", vmax, least=0)
    )
    return lay_map(image, values, vmax, opacity)
