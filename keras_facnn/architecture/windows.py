"""How a window moves along an axis of maps, before and after dilation."""

import dataclasses
import math
from collections.abc import Iterator


@dataclasses.dataclass(frozen=True)
class Axis:
    """An axis of a model's maps, and of the finer maps of its dilated copy.

    Cell `phase + dilation * i` of the finer maps has the value of cell `i` of
    the maps. All other cells lie between them.

    Attributes:
        stride: Pixels per cell of the model's maps.
        size: Cells of the model's maps.
        dilation: Cells of the finer maps per cell of the model's maps.
        phase: An integer in `0..dilation - 1`.
    """

    stride: int
    size: int
    dilation: int = 1
    phase: int = 0

    def fits(self, cells: int) -> bool:
        """Return whether finer maps of this size have exactly these cells."""
        return (
            0 <= self.phase < self.dilation
            and math.ceil((cells - self.phase) / self.dilation) == self.size
        )


@dataclasses.dataclass(frozen=True)
class Window:
    """A window that a layer moves along an axis.

    Attributes:
        size: The number of cells in the window.
        stride: The number of cells between windows.
        rate: The number of cells between cells of a window.
        before, after: The number of cells that padding adds at each end.
    """

    size: int
    stride: int = 1
    rate: int = 1
    before: int = 0
    after: int = 0

    @property
    def reach(self) -> int:
        """The number of cells from the first of a window to its last."""
        return (self.size - 1) * self.rate

    def count(self, cells: int) -> int:
        """Return how many windows there are along so many cells."""
        cells += self.before + self.after
        return (cells - self.reach - 1) // self.stride + 1

    def padded_same(self, cells: int) -> "Window":
        """Return the window with the padding that Keras calls "same"."""
        count = math.ceil(cells / self.stride)
        pad = max((count - 1) * self.stride + self.reach + 1 - cells, 0)
        return dataclasses.replace(self, before=pad // 2, after=pad - pad // 2)


def finer_windows(
    window: Window, axis: Axis, cells: int, stride: int
) -> Iterator[tuple[Window, Axis]]:
    """Yield the windows that compute finer maps, the most centered first.

    A window on finer maps takes steps that are smaller by a factor, and its
    cells are farther apart by the dilation of its input.

    Args:
        window: The window on the model's maps.
        axis: Of the layer's input.
        cells: The size of the finer maps that the layer reads.
        stride: The largest number of pixels per cell of finer maps. The strides
            of the finer input and output must divide each other.

    Yields:
        Pairs of a window and the axis of the layer's output.
    """
    coarse = axis.stride * window.stride
    fine = min(coarse, stride)
    step = fine * axis.dilation // axis.stride
    out = Axis(coarse, window.count(axis.size), coarse // fine)
    if out.dilation == 1:
        yield window, out
        return
    spread = Window(window.size, step, window.rate * axis.dilation)
    padded = window.before or window.after
    # Windows that do not overlap tile the maps, so they need padding where
    # smaller steps make them overlap.
    if window.stride == 1:
        total = axis.dilation * (window.before + window.after)
        pads = [axis.dilation * window.before]
    elif padded or window.reach < window.stride:
        total = max(spread.reach + 1 - step, 0)
        pads = sorted(range(total + 1), key=lambda n: abs(2 * n - total))
    else:
        total, pads = 0, [0]
    for before in pads:
        phase = axis.phase - axis.dilation * window.before + before
        changed = dataclasses.replace(
            spread, before=before, after=total - before
        )
        finer = dataclasses.replace(out, phase=phase // step)
        if phase % step == 0 and finer.fits(changed.count(cells)):
            yield changed, finer
