"""The colors of maps, and the images below them, as pixels."""

import functools
import warnings

import numpy as np

from keras_facnn._checks.images import check_images
from keras_facnn._checks.messages import callers_stacklevel
from keras_facnn.types import Images

# The opacity of the brightest color.
OPACITY = 0.85
# The smallest end of a color scale, so that it can divide a map of zeros.
LEAST_VMAX = float(np.finfo("float32").tiny)
# How much of the light of a photo is left below a map. All colors of maps are
# brighter, even over a white photo.
_LIGHT_BELOW_MAPS = 0.5
# The upper half of Matplotlib's color map inferno: red, green and blue of 128
# colors.
_INFERNO = bytes.fromhex(
    "bc3754bd3853bf3952c03a51c13a50c33b4fc43c4ec63d4dc73e4cc83f4bca404acb4149"
    "cc4248ce4347cf4446d04545d24644d34743d44842d54a41d74b3fd84c3ed94d3dda4e3c"
    "db503bdd513ade5238df5337e05536e15635e25734e35933e45a31e55c30e65d2fe75e2e"
    "e8602de9612bea632aeb6429eb6628ec6726ed6925ee6a24ef6c23ef6e21f06f20f1711f"
    "f1731df2741cf3761bf37819f47918f57b17f57d15f67e14f68013f78212f78410f8850f"
    "f8870ef8890cf98b0bf98c0af98e09fa9008fa9207fa9407fb9606fb9706fb9906fb9b06"
    "fb9d07fc9f07fca108fca309fca50afca60cfca80dfcaa0ffcac11fcae12fcb014fcb216"
    "fcb418fbb61afbb81dfbba1ffbbc21fbbe23fac026fac228fac42afac62df9c72ff9c932"
    "f9cb35f8cd37f8cf3af7d13df7d340f6d543f6d746f5d949f5db4cf4dd4ff4df53f4e156"
    "f3e35af3e55df2e661f2e865f2ea69f1ec6df1ed71f1ef75f1f179f2f27df2f482f3f586"
    "f3f68af4f88ef5f992f6fa96f8fb9af9fc9dfafda1fcffa4"
)


@functools.cache
def fading_colors(opacity: float = OPACITY) -> np.ndarray:
    """Return the colors of a map: red, orange, yellow; transparent at 0.

    They are the upper half of inferno, whose lightness grows evenly, so that
    color-blind readers can tell them apart. In the lower half, positive and
    negative values would both be purple.

    Args:
        opacity: Float in [0, 1], the opacity of the brightest color.

    Returns:
        A float64 array `(256, 4)` of red, green, blue and opacity, 0..1.
    """
    colors = np.empty((256, 4))
    inferno = np.frombuffer(_INFERNO, "uint8").reshape(-1, 3) / 255
    colors[:, :3] = np.repeat(inferno, 2, axis=0)
    colors[:, 3] = opacity * np.linspace(0, 1, 256)
    colors.flags.writeable = False
    return colors


def lay_map(
    image: np.ndarray,
    pixels: np.ndarray,
    vmax: float,
    opacity: float = OPACITY,
) -> np.ndarray:
    """Return the pixels of an image with a map over it.

    Negative values have the same colors with red and blue exchanged.

    Args:
        image: uint8 array `(H, W, 1 or 3)`.
        pixels: Float array `(H, W)`, the map at the size of the image.
        vmax: Absolute value of the brightest color.
        opacity: Float in [0, 1], the opacity of the brightest color.

    Returns:
        A uint8 array `(H, W, 3)`.
    """
    shares = np.minimum(np.abs(pixels) / max(vmax, LEAST_VMAX), 1)
    steps = np.minimum((256 * shares).astype(int), 255)
    colors = fading_colors(opacity)[steps]
    negative = pixels < 0
    colors[negative, :3] = colors[negative, 2::-1]
    alpha = colors[..., 3:]
    laid = alpha * colors[..., :3] * 255 + (1 - alpha) * dim_image(image)
    return laid.round().astype("uint8")


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
