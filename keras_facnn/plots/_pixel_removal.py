import typing

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from keras_facnn.plots.checks import check_dict
from keras_facnn.plots.text import draw_legend

# The colors of Okabe and Ito, which color-blind readers can tell apart.
_COLORS = ["#000000", "#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#D55E00"]
_MARKERS = [None, "o", "^"]


def pixel_removal(results: dict[str, typing.Any]) -> Figure:
    """Draw a figure of accuracy by the fraction of pixels removed.

    A line that covers another one is dashed, so that both are visible. A band
    is the 95 % interval over images of each accuracy. Methods that share images
    must not be judged by bands that overlap: see `metrics.compare`.

    Source: FA-CNN, arXiv 2603.25798, Figure 4.

    Args:
        results: Dict from a name to what `metrics.pixel_removal` returned.

    Returns:
        A `matplotlib.figure.Figure`.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> result = keras_facnn.metrics.pixel_removal(
    ...     model, images, [3, 5], model.class_maps(images, [3, 5])
    ... )
    >>> figure = keras_facnn.plots.pixel_removal({"FA-CNN": result})
    >>> figure.axes[0].get_xlabel()
    'pixels removed'
    """
    check_dict("results", results)
    for name, result in results.items():
        if not hasattr(result, "fractions") or not hasattr(result, "accuracy"):
            raise ValueError(
                f"`results[{name!r}]` must be what `metrics.pixel_removal` "
                f"returned. Received: {type(result).__name__}"
            )
    figure = Figure(figsize=(7.4, 3.6), layout="constrained")
    ax = figure.add_subplot()
    curves: list[np.ndarray] = []
    for i, result in enumerate(results.values()):
        curve = np.interp(
            np.linspace(0, 1, 101), result.fractions, result.accuracy
        )
        # A difference of 0.01 is about the width of a line.
        covered = sum(np.mean(np.abs(curve - c) < 0.01) > 0.3 for c in curves)
        curves.append(curve)
        ax.plot(
            result.fractions,
            result.accuracy,
            color=_COLORS[i % len(_COLORS)],
            # Covered lines show in the gaps.
            linestyle=(3 * covered, (3, 3 * covered)) if covered else "-",
            linewidth=1.8,
            marker=_MARKERS[i // len(_COLORS) % len(_MARKERS)],
            markersize=3,
        )
        low, high = result.accuracy_interval
        if not np.isnan(low).any():
            ax.fill_between(
                result.fractions,
                low,
                high,
                color=ax.lines[-1].get_color(),
                alpha=0.12,
                linewidth=0,
            )
    ax.set(xlabel="pixels removed", ylabel="accuracy", xlim=(0, 1))
    ax.set_ylim(bottom=0)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    draw_legend(
        ax,
        ax.lines,
        [
            f"{name} (area {result.accuracy_auc:.3f})"
            for name, result in results.items()
        ],
        fontsize=8,
        frameon=False,
        handlelength=3,
        # Outside the axes, because the lines may run anywhere inside.
        loc="upper left",
        bbox_to_anchor=(1, 1),
    )
    return figure
