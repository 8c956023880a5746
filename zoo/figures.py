"""The figures of `zoo.compare`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import NamedTuple

from zoo import methods

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from zoo.comparison import Comparison


class Drawn(NamedTuple):
    """A figure with what the report says of it."""

    heading: str
    caption: str
    figure: Figure


def draw(comparison: Comparison) -> dict[str, Drawn]:
    """Return the figures by the names of their files."""
    from keras_facnn import plots

    figures = {}
    names, predictions = comparison.class_names, comparison.predictions
    for layer in comparison.layers:
        if curves := comparison.curves_at(layer):
            # A layer of a model inside the model has a path.
            name = f"pixel_removal_{layer}".replace("/", "-")
            figures[name] = Drawn(
                f"Accuracy by pixels removed, layer {layer}",
                "The band is the 95 % interval over images of each accuracy.",
                plots.pixel_removal(curves),
            )
    if comparison.similarity is not None:
        figure = plots.similarity_by_layer(comparison.similarity)
        figure.axes[0].set_ylabel("correlation with Grad-CAM")
        figures["similarity_by_layer"] = Drawn(
            "Raw maps against Grad-CAM, by layer",
            "Pearson correlation at the same layer, with its 95 % interval. "
            "It says something only as far as it is above the controls.",
            figure,
        )
    drawn = _columns(comparison)
    if drawn:
        references = {
            title: reference
            for title, (_, reference) in drawn.items()
            if reference in drawn
        }
        of_labels = comparison.settings.get("--explain") == "labels"
        figures["compare"] = Drawn(
            f"Maps of the {'labels' if of_labels else 'predicted classes'}",
            "r is the correlation with Grad-CAM at the layer of the column. "
            "Methods that look at no layer are compared with Grad-CAM at "
            f"layer {comparison.layers[0]}."
            if references
            else "",
            plots.compare(
                comparison.images,
                {title: maps for title, (maps, _) in drawn.items()},
                references,
                [
                    names[p]
                    if p == c
                    else f"{names[c]}, said {names[p]}"
                    if of_labels
                    else f"{names[p]}, is {names[c]}"
                    for p, c in zip(
                        predictions[comparison.shown],
                        comparison.labels[comparison.shown],
                        strict=True,
                    )
                ],
            ),
        )
    if comparison.by_layer:
        figures["maps_by_layer"] = Drawn(
            "Raw maps of one image, by layer",
            "Of the class that is predicted.",
            plots.maps_by_layer(
                comparison.images[0],
                comparison.by_layer,
                names[predictions[comparison.shown[0]]],
            ),
        )
    return figures


def _columns(comparison: Comparison) -> dict:
    """Return maps, and the title of those to compare with, by title.

    Methods that look at no layer are last, and compared at the first layer.
    """
    columns = {}
    for layer in comparison.layers:
        for one in comparison.at(layer):
            if one.maps is not None and one.title not in columns:
                reference = methods.title_at("grad_cam", layer)
                columns[one.title] = one.layer is None, one.maps, reference
    ordered = sorted(columns.items(), key=lambda item: item[1][0])
    return {title: column[1:] for title, column in ordered}


def save(
    figures: dict[str, Drawn], folder: str, formats: Sequence[str]
) -> None:
    """Write figures as PNG and in other formats."""
    import matplotlib

    for name, drawn in figures.items():
        for format in dict.fromkeys(["png", *formats]):
            path = os.path.join(folder, f"{name}.{format}")
            # Publishers refuse Type 3, the default of Matplotlib.
            with matplotlib.rc_context({"pdf.fonttype": 42}):
                drawn.figure.savefig(path, dpi=150)
