import typing

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from keras_facnn.metrics import SimilarityByLayer
from keras_facnn.plots.text import draw_legend

# Names and colors, which color-blind readers can tell apart.
_LINES = {
    "own": ("the image's own map", "#0072B2"),
    "other_image": ("control: map of another image", "#E69F00"),
    "shuffled_weights": ("control: shuffled weights", "#999999"),
}


def similarity_by_layer(result: SimilarityByLayer) -> Figure:
    """Draw a figure of the similarity of class maps to a reference, by layer.

    Bands are the 95 % intervals of the means. A similarity says something only
    as far as it is above the controls, so compute them:
    `metrics.similarity_by_layer(..., controls=True)`.

    Source: FA-CNN, arXiv 2603.25798, Figure 1.

    Args:
        result: What `metrics.similarity_by_layer` returned.

    Returns:
        A `matplotlib.figure.Figure`.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> result = keras_facnn.metrics.similarity_by_layer(
    ...     model, images, controls=True
    ... )
    >>> figure = keras_facnn.plots.similarity_by_layer(result)
    >>> figure.axes[0].get_xlabel()
    'layer'
    """
    if not isinstance(result, SimilarityByLayer):
        raise ValueError(
            "`result` must be what `metrics.similarity_by_layer` returned. "
            f"Received: {type(result).__name__}"
        )
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    ax = figure.add_subplot()
    for name, of in {"own": result, **result.controls}.items():
        _draw(ax, result.columns, of, _LINES[name][1])
    ax.set(
        xlabel="layer",
        ylabel=f"similarity to {result.settings.get('reference', 'reference')}",
    )
    if len(result.columns) <= 12:
        ax.set_xticks(result.columns)
    else:
        ax.xaxis.set_major_locator(MaxNLocator(12, integer=True))
    ax.set_ylim(top=1.03)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    if result.controls:
        draw_legend(
            ax,
            ax.lines,
            [_LINES[name][0] for name in ("own", *result.controls)],
            fontsize=8,
            frameon=False,
        )
    return figure


def _draw(
    ax: typing.Any, layers: typing.Any, result: typing.Any, color: str
) -> None:
    """Draw the means of a result, and a band of their intervals."""
    ax.plot(layers, result.mean, color=color, marker="o", markersize=4)
    low, high = np.array(result.interval)
    ax.fill_between(layers, low, high, color=color, alpha=0.2, linewidth=0)
