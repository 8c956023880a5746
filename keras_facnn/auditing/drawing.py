"""Pictures of a report: images with outlined cells, crops, and heat maps."""

import functools
import typing

import numpy as np
import scipy

from keras_facnn.auditing.looks import shrunk
from keras_facnn.auditing.reason import Member
from keras_facnn.auditing.sample import Pick
from keras_facnn.grid import Grid
from keras_facnn.types import Fit

if typing.TYPE_CHECKING:
    from keras_facnn.auditing.result import Audit

# The shorter side in pixels of what is read, of a picture and of a crop.
_READ, _SHOWN, _CROP = 360, 220, 90
# A white line beside a black one is visible on any picture.
_LINES = ((0, 0, 0), (255, 255, 255))


class Pictures:
    """The images of the sample of an audit, read again.

    Args:
        audit: The audit.

    Attributes:
        gone: The paths of those that could not be read.
    """

    def __init__(self, audit: "Audit") -> None:
        height, width, channels = audit.image_shape
        times = _READ / min(height, width)
        self._shape = round(height * times), round(width * times), channels
        self._fit: Fit = audit.facts.get("fit") or "crop"
        self._grid = audit.statistics.grid
        self.gone: set[str] = set()
        # A picture shows up in several reasons, mostly of one class.
        self._read = functools.lru_cache(maxsize=200)(self._read_again)

    def _read_again(self, pick: Pick) -> np.ndarray | None:
        source = pick.path if pick.picture is None else pick.picture
        if source is None:
            return None
        from keras_facnn.pictures.reading import read_picture

        try:
            pixels = read_picture(source, self._shape, self._fit)
        except (OSError, ValueError):
            if pick.path is not None:
                self.gone.add(pick.path)
            return None
        return np.repeat(pixels, 3 // pixels.shape[-1], axis=-1)

    def picture(self, pick: Pick) -> np.ndarray | None:
        """Return an image as the model saw it, or None if it is gone."""
        pixels = self._read(pick)
        return None if pixels is None else _shrunk(pixels, _SHOWN)

    def outlined(self, member: Member) -> np.ndarray | None:
        """Return an image with a line around the cells of a reason."""
        pixels = self.picture(member.pick)
        if pixels is None or len(member.cells) == self._grid.cells:
            return pixels
        return outline(pixels, self._grid, member.cells)

    def crop(self, member: Member) -> np.ndarray | None:
        """Return the place of most evidence, with one cell around it."""
        pixels = self._read(member.pick)
        if pixels is None:
            return None
        height, width = pixels.shape[:2]
        left, top, right, bottom = self._grid.box(member.cells[0])
        side = 3 * max((right - left) * width, (bottom - top) * height)
        side = min(round(side), height, width)
        x = round((left + right) / 2 * width - side / 2)
        y = round((top + bottom) / 2 * height - side / 2)
        x = min(max(x, 0), width - side)
        y = min(max(y, 0), height - side)
        return _shrunk(pixels[y : y + side, x : x + side], _CROP)


def outline(pixels: np.ndarray, grid: Grid, cells: np.ndarray) -> np.ndarray:
    """Return an image with a line around some cells, which stay visible.

    Args:
        pixels: uint8 array `(H, W, 3)`.
        grid: The grid of the cells.
        cells: Integers, the cells.
    """
    result = pixels.copy()
    square = np.ones((3, 3), bool)
    # A black line outside, and a white one inside of it.
    outer = grid.pixels(cells, *pixels.shape[:2])
    for color in reversed(_LINES):
        inner = scipy.ndimage.binary_erosion(
            outer, square, iterations=2, border_value=0
        )
        result[outer & ~inner] = color
        outer = inner
    return result


def heat_map(values: np.ndarray) -> str:
    """Return a map as an `img` element, a pixel per cell.

    Args:
        values: Floats `(rows, columns)`. Positive ones are red to yellow,
            negative ones blue, as in all figures.
    """
    from keras_facnn import plots
    from keras_facnn.pictures.encoding import png_uri

    gray = np.full((*values.shape, 3), 100, "uint8")
    rows, columns = values.shape
    height = round(160 * rows / columns)
    return (
        f'<img class="heat" alt="heat map" width="160" height="{height}" '
        f'src="{png_uri(plots.colorize(gray, values))}">'
    )


def _shrunk(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return an image whose shorter side has at most so many pixels."""
    times = min(side / min(pixels.shape[:2]), 1)
    height, width = (round(n * times) for n in pixels.shape[:2])
    return shrunk(pixels, height, width)
