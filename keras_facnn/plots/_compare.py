import typing

import numpy as np
from matplotlib.figure import Figure

from keras_facnn._checks.arrays import check_maps
from keras_facnn._checks.images import check_images
from keras_facnn.maps import resize_maps
from keras_facnn.metrics import pearson
from keras_facnn.plots.checks import check_dict
from keras_facnn.plots.checks import check_one_per_image
from keras_facnn.plots.grid import draw_grid
from keras_facnn.plots.maps import draw_note
from keras_facnn.plots.text import cut_text
from keras_facnn.plots.text import set_text
from keras_facnn.plots.text import set_title


def compare(
    images: np.ndarray,
    maps: dict[str, np.ndarray],
    reference: str | dict[str, str] | None = None,
    row_names: typing.Sequence[str] | None = None,
) -> Figure:
    """Draw a figure that compares the maps of several methods.

    Each row is an image, and each column is a method. Each map is scaled from
    its own smallest to its own largest value, because methods differ in unit
    and offset. Negative values count as 0.

    Source: FA-CNN, arXiv 2603.25798, Figures 1 and 5.

    Args:
        images: Array `(B, H, W, 1 or 3)`, 0..255.
        maps: Dict from a column's title to maps `(B, h, w)`.
        reference: Optional title of the column that all others are compared
            with, or a dict from a column's title to the title of its
            reference. The Pearson correlation, after resizing to the image, is
            printed in each cell.
        row_names: Optional sequence of B strings.

    Returns:
        A `matplotlib.figure.Figure`.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> figure = keras_facnn.plots.compare(
    ...     images,
    ...     {
    ...         "FA-CNN": model.class_maps(images, 3),
    ...         "Grad-CAM": keras_facnn.attribution.grad_cam(
    ...             model, images, 3, layer=2
    ...         ),
    ...     },
    ...     reference="Grad-CAM",
    ... )
    >>> figure.axes[1].texts[0].get_text()
    'r = 1.00'
    """
    images = check_images(images)
    check_dict("maps", maps)
    maps = {
        title: check_maps(values, batch=len(images), name=f"maps[{title!r}]")
        for title, values in maps.items()
    }
    references = _check_reference(reference, list(maps))
    check_one_per_image("row_names", row_names, len(images))
    figure, grid = draw_grid(images, maps.values(), from_smallest=True)
    for ax, title in zip(grid[0], ["image", *maps], strict=True):
        set_title(ax, "\n".join(map(cut_text, str(title).split("\n"))))
    if row_names is not None:
        for ax, name in zip(grid[:, 0], row_names, strict=True):
            set_text(ax.set_ylabel("", fontsize=9), cut_text(name))
    for column, title in zip(grid.T[1:], maps, strict=True):
        if title in references:
            _print_correlations(
                column,
                maps[title],
                maps[references[title]],
                images.shape[1:3],
            )
    note = "colors: each map from its smallest value to its largest"
    if references:
        note += "; r: correlation with the reference"
        if isinstance(reference, str):
            note += f", {reference}"
    set_text(figure.supxlabel("", fontsize=8), note)
    return figure


def _check_reference(
    reference: typing.Any, titles: typing.Sequence[str]
) -> dict[str, str]:
    """Return the title of each column's reference, where it has one.

    Args:
        reference: The argument of `compare`.
        titles: The titles of all columns.
    """
    if not isinstance(reference, (str, dict, type(None))):
        raise ValueError(
            "`reference` must be a title of `maps`, a dict of titles, or None. "
            f"Received: reference={reference!r}"
        )
    references = (
        reference
        if isinstance(reference, dict)
        else dict.fromkeys(titles, reference)
    )
    unknown = {*references, *references.values()} - set(titles) - {None}
    if unknown:
        raise ValueError(
            f"`reference` must name columns among {list(titles)}. Received: "
            f"{sorted(map(str, unknown))}"
        )
    return {
        title: other
        for title, other in references.items()
        if other not in (None, title)
    }


def _print_correlations(
    axes: typing.Iterable,
    maps: np.ndarray,
    reference: np.ndarray,
    size: tuple[int, int],
) -> None:
    """Print the correlation of each map of a column with its reference.

    Args:
        axes: B axes, those of the column.
        maps: Array `(B, h, w)`.
        reference: Array `(B, h, w)`, at any resolution.
        size: A pair `(H, W)`, at which the maps are compared.
    """
    correlations = pearson(
        resize_maps(maps, size), resize_maps(reference, size)
    ).values
    for ax, r in zip(axes, correlations, strict=True):
        draw_note(ax, f"r = {r:.2f}", 0.04, 0.04, fontsize=8)
