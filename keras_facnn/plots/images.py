"""Images in figures."""

import typing

import numpy as np

if typing.TYPE_CHECKING:
    from matplotlib.axes import Axes

# Left, right, bottom and top of an image, as `imshow` takes them.
Extent = tuple[float, float, float, float]


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
