"""The coarse grid on which maps of many images are summed."""

import dataclasses
import math

import numpy as np

from keras_facnn.regions import area_weights
from keras_facnn.regions import touched

# Larger maps are summed over cells. A place is then never smaller than a tenth
# of the image, in which a crop still shows something.
_MOST_CELLS = 10
# Cells that are farther apart than this are in no one place.
_SCATTERED = 0.22


@dataclasses.dataclass(frozen=True)
class Grid:
    """Equal cells of an image, each of one location of a map or of several.

    Where a location lies in several cells, its value is divided among them.

    Args:
        height: The height of the maps.
        width: Their width.
    """

    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int]:
        """How many cells there are, `(rows, columns)`."""
        rows, columns = (
            math.ceil(n / math.ceil(n / _MOST_CELLS))
            for n in (self.height, self.width)
        )
        return rows, columns

    @property
    def cells(self) -> int:
        """How many cells there are in all."""
        return math.prod(self.shape)

    def sum(self, maps: np.ndarray) -> np.ndarray:
        """Sum maps `(..., h, w)` over each cell: `(..., rows, columns)`.

        This holds for arrays and for tensors.
        """
        down, across = (
            (area_weights(size, count) * size / count).astype("float32")
            for size, count in zip(
                (self.height, self.width), self.shape, strict=True
            )
        )
        if isinstance(maps, np.ndarray):
            return down @ maps @ across.T
        from keras import ops

        lines = ops.matmul(maps, ops.convert_to_tensor(across.T))
        return ops.matmul(ops.convert_to_tensor(down), lines)

    @property
    def centers(self) -> tuple[np.ndarray, np.ndarray]:
        """The row and column of each cell's center, in 0..1, `(cells,)`."""
        rows, columns = self.shape
        y, x = (
            (np.arange(rows) + 0.5) / rows,
            (np.arange(columns) + 0.5) / columns,
        )
        return np.repeat(y, columns), np.tile(x, rows)

    @property
    def zones(self) -> dict[str, np.ndarray]:
        """Parts of the image, each as booleans `(rows, columns)`.

        The border is the outermost ring of cells, a corner is a fifth of each
        side, and the center is the middle half of each side.
        """
        y, x = (c.reshape(self.shape) for c in self.centers)
        border = np.zeros(self.shape, bool)
        border[[0, -1]] = border[:, [0, -1]] = True
        near = [(v < 0.2) | (v > 0.8) for v in (y, x)]
        return {
            "border": border,
            "corners": near[0] & near[1],
            "center": (abs(y - 0.5) < 0.25) & (abs(x - 0.5) < 0.25),
        }

    @property
    def parts(self) -> np.ndarray:
        """The cells of each of up to 4x4 equal parts, booleans `(N, cells)`."""
        y, x = (np.minimum((c * 4).astype(int), 3) for c in self.centers)
        numbers = 4 * y + x
        return np.stack([numbers == n for n in np.unique(numbers)])

    def grown(self, cells: np.ndarray) -> np.ndarray:
        """Return some cells with all cells that touch them."""
        import scipy

        wide = scipy.ndimage.binary_dilation(self._mask(cells), np.ones((3, 3)))
        return np.flatnonzero(wide)

    def locations(self, cells: np.ndarray) -> np.ndarray:
        """Return which locations of the maps touch some cells, `(h, w)`."""
        return touched(self._mask(cells), (self.height, self.width))

    def _mask(self, cells: np.ndarray) -> np.ndarray:
        """Return some cells as booleans `(rows, columns)`."""
        mask = np.zeros(self.shape, bool)
        mask.ravel()[cells] = True
        return mask

    def spread(self, cells: np.ndarray) -> float:
        """Return the mean distance from the median, as a share of the side."""
        y, x = (center[cells] for center in self.centers)
        return float(np.hypot(y - np.median(y), x - np.median(x)).mean())

    def pixels(self, cells: np.ndarray, height: int, width: int) -> np.ndarray:
        """Return which pixels of an image lie in some cells, `(H, W)`."""
        inside = np.zeros((height, width), bool)
        for cell in cells:
            left, top, right, bottom = self.box(cell)
            inside[
                round(top * height) : round(bottom * height),
                round(left * width) : round(right * width),
            ] = True
        return inside

    def box(self, cell: int) -> tuple[float, float, float, float]:
        """Return a cell as `(left, top, right, bottom)`, in 0..1."""
        rows, columns = self.shape
        row, column = divmod(int(cell), columns)
        return (
            column / columns,
            row / rows,
            (column + 1) / columns,
            (row + 1) / rows,
        )

    def in_words(self, cells: np.ndarray) -> str:
        """Return where some cells are, such as "at the lower left"."""
        used = np.unique(cells)
        if len(used) > 0.6 * self.cells:
            return "all over the image"
        border = self.zones["border"].ravel()
        counts = np.bincount(cells, minlength=self.cells)
        if (
            counts[border].sum() > 0.8 * counts.sum()
            and len(used) > border.sum() / 2
        ):
            return "along the border"
        if self.spread(cells) > _SCATTERED:
            return "in several places"
        y, x = (float(np.median(c[cells])) for c in self.centers)
        down = "upper" if y < 1 / 3 else "lower" if y > 2 / 3 else ""
        across = "left" if x < 1 / 3 else "right" if x > 2 / 3 else ""
        if down and across:
            return f"at the {down} {across}"
        if down:
            return "at the top" if down == "upper" else "at the bottom"
        return f"at the {across}" if across else "in the middle"
