"""Images in figures."""

import typing
import warnings

import numpy as np

from keras_facnn._checks.images import check_images
from keras_facnn._checks.messages import callers_stacklevel
from keras_facnn.types import Images

if typing.TYPE_CHECKING:
    from matplotlib.axes import Axes

# How much of the light of a photo is left below a map. All colors of maps are
# brighter, even over a white photo.
_LIGHT_BELOW_MAPS = 0.5

# Left, right, bottom and top of an image, as `imshow` takes them.
Extent = tuple[float, float, float, float]


def drawable_images(images: Images) -> np.ndarray:
    """Return images as uint8, and warn if they are not in 0..255.

    Args:
        images: Array `(B, H, W, 1 or 3)`.
    """
    images = check_images(images)
    if images.shape[-1] not in (1, 3):
        raise ValueError(
            "`images` must have 1 channel (gray) or 3 (RGB) to be drawn. "
            f"Received: images of shape {images.shape}"
        )
    if images.dtype == np.uint8:
        return images
    pixels = images.astype("float32")
    least, most = float(pixels.min()), float(pixels.max())
    scaled = images.dtype.kind not in "iu" and least >= 0 and 0 < most <= 1
    if scaled:
        warnings.warn(
            "`images` should be in 0..255. They are in 0..1, and are drawn as "
            "if multiplied by 255.",
            stacklevel=callers_stacklevel(),
        )
        pixels = pixels * 255
    elif least < 0 or most > 255:
        warnings.warn(
            "`images` should be in 0..255. Values outside are drawn as 0 or "
            f"255. Received: values from {least:.3g} to {most:.3g}",
            stacklevel=callers_stacklevel(),
        )
    return np.clip(pixels.round(), 0, 255).astype("uint8")


def drawable_image(image: np.ndarray) -> np.ndarray:
    """Return one image `(H, W, 1 or 3)` as `drawable_images` does."""
    return drawable_images(np.asarray(image)[None])[0]


def dim_image(image: np.ndarray) -> np.ndarray:
    """Return the dark, gray copy `(H, W, 1)` of an image that maps lie on.

    All color in a figure is then the map's, on clothes of any color.

    Args:
        image: Array `(H, W, 1 or 3)`, 0..255.
    """
    # The luma of ITU-R BT.601, as in Pillow and browsers.
    weights = [0.299, 0.587, 0.114] if image.shape[-1] == 3 else [1.0]
    gray = image @ np.array(weights)[:, None]
    return (_LIGHT_BELOW_MAPS * gray).round().astype("uint8")


def draw_image(
    ax: "Axes", image: np.ndarray, extent: Extent | None = None
) -> None:
    """Draw an image `(H, W, 1 or 3)`, 0..255, without ticks."""
    ax.imshow(
        image[..., 0] if image.shape[-1] == 1 else image,
        cmap="gray",
        vmin=0,
        vmax=255,
        extent=extent,
    )
    ax.set_xticks([])
    ax.set_yticks([])
