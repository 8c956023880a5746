"""The coarse grid on which an audit looks at maps."""

import dataclasses
import math

import numpy as np
import scipy
from keras import ops

# Larger maps are summed over blocks. A place is then never smaller than a tenth
# of the image, in which a crop still shows something.
_MOST_CELLS = 10


@dataclasses.dataclass(frozen=True)
class Grid:
    """Blocks of the locations of a map.

    Args:
        height: The height of the maps.
        width: Their width.
    """

    height: int
    width: int

    @property
    def block(self) -> tuple[int, int]:
        """How many locations a cell has, down and across."""
        return (
            math.ceil(self.height / _MOST_CELLS),
            math.ceil(self.width / _MOST_CELLS),
        )

    @property
    def shape(self) -> tuple[int, int]:
        """How many cells there are, `(rows, columns)`."""
        down, across = self.block
        return math.ceil(self.height / down), math.ceil(self.width / across)

    @property
    def cells(self) -> int:
        """How many cells there are in all."""
        return math.prod(self.shape)

    def sum(self, maps: np.ndarray) -> np.ndarray:
        """Sum maps `(..., h, w)` over each cell: `(..., rows, columns)`.

        This holds for arrays and for tensors.
        """
        down, across = self.block
        rows, columns = self.shape
        before = tuple(maps.shape[:-2])
        padding = [(0, 0)] * len(before) + [
            (0, rows * down - self.height),
            (0, columns * across - self.width),
        ]
        if any(after for _, after in padding):
            maps = ops.pad(maps, padding)
        lead = tuple(-1 if n is None else n for n in before)
        blocks = ops.reshape(maps, (*lead, rows, down, columns, across))
        return ops.sum(blocks, axis=(-3, -1))

    @property
    def areas(self) -> np.ndarray:
        """The share of the map that each cell covers, `(rows, columns)`."""
        down, across = self.block
        rows, columns = (
            np.minimum(step, size - step * np.arange(count)) / size
            for step, size, count in (
                (down, self.height, self.shape[0]),
                (across, self.width, self.shape[1]),
            )
        )
        return np.outer(rows, columns)

    @property
    def centers(self) -> tuple[np.ndarray, np.ndarray]:
        """The row and column of each cell's center, in 0..1, `(cells,)`."""
        down, across = self.block
        rows, columns = self.shape
        y, x = (
            (start + np.minimum(start + step, size)) / 2 / size
            for start, step, size in (
                (np.arange(rows) * down, down, self.height),
                (np.arange(columns) * across, across, self.width),
            )
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
        mask = np.zeros(self.shape, bool)
        mask.ravel()[cells] = True
        wide = scipy.ndimage.binary_dilation(mask, np.ones((3, 3)))
        return np.flatnonzero(wide)

    def locations(self, cells: np.ndarray) -> np.ndarray:
        """Return which locations of the maps are in some cells, `(h, w)`."""
        mask = np.zeros(self.shape, bool)
        mask.ravel()[cells] = True
        down, across = self.block
        fine = mask.repeat(down, axis=0).repeat(across, axis=1)
        return fine[: self.height, : self.width]

    def spread(self, cells: np.ndarray) -> float:
        """Return the mean distance from the median, as a share of the side."""
        y, x = (center[cells] for center in self.centers)
        return float(np.hypot(y - np.median(y), x - np.median(x)).mean())

    def box(self, cell: int, grow: float = 0) -> tuple[float, ...]:
        """Return a cell as `(left, top, right, bottom)`, in 0..1.

        Args:
            cell: The cell's number, row by row.
            grow: By how many cells to enlarge the box on each side.
        """
        row, column = divmod(int(cell), self.shape[1])
        down, across = self.block
        edges = (
            (column - grow) * across / self.width,
            (row - grow) * down / self.height,
            (column + 1 + grow) * across / self.width,
            (row + 1 + grow) * down / self.height,
        )
        left, top, right, bottom = (min(max(e, 0.0), 1.0) for e in edges)
        return left, top, right, bottom
