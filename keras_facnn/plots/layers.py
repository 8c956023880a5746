"""The columns that `explanation(layers=True)` adds to a photograph."""

import itertools
import typing

import numpy as np
from matplotlib.ticker import FuncFormatter
from matplotlib.ticker import MaxNLocator
from matplotlib.ticker import PercentFormatter

from keras_facnn.explaining.explanation import Explanation
from keras_facnn.maps import strongest_rivals
from keras_facnn.plots.maps import draw_evidence
from keras_facnn.plots.maps import sum_of_evidence
from keras_facnn.plots.rows import Column
from keras_facnn.plots.rows import draw_view
from keras_facnn.plots.text import COLUMN
from keras_facnn.plots.text import cut_text
from keras_facnn.plots.text import draw_legend
from keras_facnn.plots.text import make_title
from keras_facnn.plots.text import percent

if typing.TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage


def layer_columns(
    explanation: Explanation,
) -> tuple[list[Column], list[list[str]]]:
    """Return the columns of a figure with layers, and their titles per row."""
    headings = ["photograph", "evidence for"]
    if explanation.maps.shape[-1] > 1:
        beside = "the next" if explanation.several_labels else "rival"
        headings += [f"evidence for {beside}"]
    layers = _maps_of_fa_layers(explanation)
    headings += [f"evidence at layer {n}" for n in layers]
    columns = [Column() for _ in headings]
    # There the color bar is.
    columns[-1] = Column(after=62)
    if _has_curve(explanation):
        headings += ["probability by layer"]
        columns += [Column(width=1.35 * COLUMN, before=30, after=6)]
    titles = []
    for row, p in enumerate(explanation.probabilities):
        classes = _two_classes(explanation, row)
        names = ["", *(explanation.name_of(c) for c in classes)]
        names += names[1:2] * len(layers)
        numbers = ["", *(percent(p[c]) for c in classes)]
        titles += [
            [
                make_title("" if row else heading, name, number)
                for heading, name, number in itertools.zip_longest(
                    headings, names, numbers, fillvalue=""
                )
            ]
        ]
    return columns, titles


def draw_layers(
    axes: "typing.Sequence[Axes]",
    explanation: Explanation,
    row: int,
    photo: np.ndarray,
    size: tuple[int, int],
) -> None:
    """Draw all columns beside the photograph, for one image.

    Args:
        axes: One axes per column.
        explanation: The explanation of all images.
        row: The number of the image.
        photo: Array `(H, W, 1 or 3)`, 0..255.
        size: A pair `(H, W)`, the size of the image.
    """
    if _has_curve(explanation):
        _draw_probabilities(axes[-1], explanation, row)
        axes = axes[:-1]
    for ax in axes:
        draw_view(ax, photo, size)
    _draw_maps(axes, explanation, row, size)


def _two_classes(explanation: Explanation, row: int) -> list[int]:
    """Return the explained class of an image and its rival, if it has one."""
    p, c = explanation.probabilities[row], int(explanation.classes[row])
    return [c, *strongest_rivals(p[None], c).tolist()][: len(p)]


def _has_curve(explanation: Explanation) -> bool:
    """Return whether there are several layers, which make a curve."""
    return explanation.layer_probabilities.shape[1] > 1


def _maps_of_fa_layers(explanation: Explanation) -> dict[int, np.ndarray]:
    """Return the layers' maps, less those of `x_0`, which is no FA layer."""
    return {n: maps for n, maps in explanation.layer_maps.items() if n}


def _draw_maps(
    axes: "typing.Sequence[Axes]",
    explanation: Explanation,
    row: int,
    size: tuple[int, int],
) -> None:
    """Draw the class maps and layer maps of an image, and their color bar."""
    classes = _two_classes(explanation, row)
    maps = [explanation.maps[row, ..., c] for c in classes]
    total = sum_of_evidence(maps[0])
    vmax = max(map_.max() for map_ in maps)
    in_layers = [
        _in_units_of(layer_maps[row], maps[0])
        for layer_maps in _maps_of_fa_layers(explanation).values()
    ]
    for ax, map_ in zip(axes, [*maps, *in_layers], strict=True):
        drawn = draw_evidence(ax, map_, size, vmax, total)
    if total > 0:
        more = any(map_.max() > vmax for map_ in in_layers)
        _draw_color_bar(axes[-1], drawn, total, maps[0].size, more)


def _in_units_of(map_: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return a layer's map, scaled so that its evidence is the reference's.

    A map of more locations than the reference has proportionally more
    evidence, so that equal shares of the image have equal colors.
    """
    map_ = np.asarray(map_, "float64")
    evidence = sum_of_evidence(map_)
    total = sum_of_evidence(reference) * (map_.size / reference.size)
    map_ = map_ * (total / evidence if evidence > 0 else 0)
    # Negative values are not drawn, but must fit into float32.
    return np.maximum(map_, -1e37)


def _draw_color_bar(
    ax: "Axes", drawn: "AxesImage", total: float, locations: int, more: bool
) -> None:
    """Draw a color bar beside `ax`, in shares of the evidence for a class.

    Args:
        ax: Axes of the last map.
        drawn: That map.
        total: The sum of the evidence.
        locations: The number of locations of the class map.
        more: Whether a map has values beyond the brightest color.
    """
    most = drawn.get_clim()[1] / total
    shares = np.array(MaxNLocator(4).tick_values(0, most))
    bar = ax.figure.colorbar(
        drawn,
        cax=ax.inset_axes((1.05, 0, 0.06, 1)),
        ticks=total * shares[shares <= most],
        extend="max" if more else "neither",
        format=FuncFormatter(lambda value, _: f"{100 * value / total:.3g}%"),
    )
    # The colors fade to a photo of middle gray, as on the map.
    bar.ax.set_facecolor("0.25")
    bar.ax.tick_params(labelsize=7)
    bar.set_label(
        f"share of the evidence from\n1/{locations} of the picture", fontsize=7
    )


def _draw_probabilities(ax: "Axes", explanation: Explanation, row: int) -> None:
    """Draw the probabilities of classes by layer, for one image."""
    classes = _two_classes(explanation, row)
    probabilities = explanation.layer_probabilities[row]
    layers = np.arange(1, len(probabilities) + 1)
    for c, style, color in zip(
        classes, ("-", "--"), ("black", "tab:orange"), strict=False
    ):
        ax.plot(layers, probabilities[:, c], style, color=color)
    ax.set(xlim=(1, len(layers)), ylim=(0, 1.02))
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=2))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.tick_params(labelsize=7)
    labels = [cut_text(explanation.name_of(c), lines=1) for c in classes]
    draw_legend(ax, ax.lines, labels, fontsize=7, loc="best", framealpha=0.8)
