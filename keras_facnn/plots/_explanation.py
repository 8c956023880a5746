import typing

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from matplotlib.ticker import MaxNLocator
from matplotlib.ticker import PercentFormatter

from keras_facnn._checks.arguments import check_bool
from keras_facnn.explaining.explanation import Explanation
from keras_facnn.maps import strongest_rivals
from keras_facnn.plots.checks import check_explanation
from keras_facnn.plots.checks import check_one_per_image
from keras_facnn.plots.images import drawable_image
from keras_facnn.plots.images import drawable_images
from keras_facnn.plots.maps import draw_evidence
from keras_facnn.plots.maps import sum_of_evidence
from keras_facnn.plots.rows import add_caption
from keras_facnn.plots.rows import draw_photo
from keras_facnn.plots.rows import draw_view
from keras_facnn.plots.rows import make_figure
from keras_facnn.plots.text import cut_text
from keras_facnn.plots.text import draw_legend
from keras_facnn.plots.text import set_title

if typing.TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage


def explanation(
    images: "np.ndarray | Explanation",
    probabilities: np.ndarray | None = None,
    maps: np.ndarray | None = None,
    layer_maps: dict[int, np.ndarray] | None = None,
    layer_probabilities: np.ndarray | None = None,
    class_names: typing.Sequence[str] | None = None,
    *,
    centered: bool = False,
    several_labels: bool = False,
    names: typing.Sequence[str] | None = None,
    photos: typing.Sequence[np.ndarray] | None = None,
) -> Figure:
    """Draw a figure of what an FA-CNN sees, with one row per image.

    The columns are:

    - the photograph;
    - the map of the explained class, and the map of its strongest rival;
    - the map of the explained class at some layers;
    - the probability of both classes that the head computes from each layer.

    All maps of a row have the same colors, which show each location's share of
    the evidence for the explained class. The maps of the layers show shares of
    the evidence at that layer. The evidence is the logit. With centered maps,
    it is the sum of the positive values of the map, and nothing is drawn where
    the values are negative. Locations without evidence keep their own colors.
    A map that shows nothing for that reason says so. A caption explains the
    colors.

    Args:
        images: Array `(B, H, W, 1 or 3)`, 0..255; or an `Explanation`, which
            contains the values of all arguments up to `several_labels`.
        probabilities: Array `(B, C)`.
        maps: Array `(B, h, w, C)`, the class maps.
        layer_maps: Dict from the number of an FA layer to the maps
            `(B, h, w)` of the explained class at that layer.
        layer_probabilities: Array `(B, L, C)`, the probabilities that the head
            computes from each FA layer.
        class_names: Sequence of C strings.
        centered: Whether the maps are centered.
        several_labels: Whether an image may have several labels, so that each
            class has its own probability, by sigmoid.
        names: Optional sequence of B strings, such as names of files.
        photos: Optional sequence of B arrays `(H, W, 1 or 3)`, 0..255: the
            photographs, of any size, whose centers are `images`
            (`load_images(fit="crop")`). They are drawn instead of `images`,
            and are pale outside the model's view.

    Returns:
        A `matplotlib.figure.Figure`; `savefig` writes it.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(3, depths=(2,), maps_per_class=(1,))
    >>> images = np.zeros((2, 32, 32, 3), "uint8")
    >>> logits, maps = model.predict_with_maps(images)
    >>> figure = keras_facnn.plots.explanation(
    ...     images,
    ...     model.probabilities(logits),
    ...     maps,
    ...     {1: model.class_maps(images, classes=None, layer=1)},
    ...     model.probabilities(model.layer_logits(images)),
    ...     ["ant", "bee", "cat"],
    ... )
    >>> len(figure.axes)
    10
    """
    if isinstance(images, Explanation):
        explanation = images
    elif (
        probabilities is None
        or maps is None
        or layer_maps is None
        or layer_probabilities is None
    ):
        raise TypeError(
            "`images` must be an `Explanation`, or come with "
            "`probabilities`, `maps`, `layer_maps` and "
            f"`layer_probabilities`. Received: images={type(images)}"
        )
    else:
        explanation = Explanation(
            images=images,
            classes=np.argmax(probabilities, axis=-1),
            probabilities=np.asarray(probabilities),
            maps=np.asarray(maps),
            layer_maps=layer_maps,
            layer_probabilities=np.asarray(layer_probabilities),
            class_names=class_names,
            centered=check_bool("centered", centered),
            several_labels=check_bool("several_labels", several_labels),
        )
    return _draw(explanation, names, photos)


def _draw(
    explanation: Explanation,
    names: typing.Sequence[str] | None,
    photos: typing.Sequence[np.ndarray] | None,
) -> Figure:
    """Draw the figure of an explanation."""
    images = drawable_images(explanation.images)
    explanation = check_explanation(explanation)
    check_one_per_image("names", names, len(images))
    check_one_per_image("photos", photos, len(images))
    photos = list(images) if photos is None else photos
    rivals = strongest_rivals(explanation.probabilities, explanation.classes)
    size = images.shape[1:3]
    headings = _headings(explanation)
    columns = len(headings)
    figure = make_figure(
        1.72 * (columns - 1) + 2.6, size, len(images), margin=0.75
    )
    grid = figure.subplots(
        len(images),
        columns,
        squeeze=False,
        width_ratios=[1] * (columns - 1) + [1.35],
    )
    pale = False
    for row, axes in enumerate(grid):
        titles = headings if row == 0 else [""] * columns
        photo = drawable_image(photos[row])
        pale |= draw_photo(axes[0], photo, size)
        set_title(axes[0], titles[0], names[row] if names is not None else "")
        classes = [int(explanation.classes[row]), int(rivals[row])]
        # A single class has no rival.
        classes = classes[: explanation.maps.shape[-1]]
        for ax in axes[1:-1]:
            draw_view(ax, photo, size)
        _draw_maps(axes[1:-1], titles[1:-1], explanation, row, classes, size)
        _draw_probabilities(axes[-1], explanation, row, classes)
        set_title(axes[-1], titles[-1])
    grid[-1, -1].set_xlabel("layer", fontsize=8)
    add_caption(figure, explanation, pale)
    return figure


def _headings(explanation: Explanation) -> list[str]:
    """Return the headings of all columns."""
    headings = ["photograph", "evidence for"]
    if explanation.maps.shape[-1] > 1:
        beside = "the next" if explanation.several_labels else "rival"
        headings += [f"evidence for {beside}"]
    headings += [f"evidence at layer {n}" for n in explanation.layer_maps]
    return [*headings, "probability by layer"]


def _draw_maps(
    axes: "typing.Sequence[Axes]",
    headings: typing.Sequence[str],
    explanation: Explanation,
    row: int,
    classes: typing.Sequence[int],
    size: tuple[int, int],
) -> None:
    """Draw the class maps and layer maps of an image, and their color bar.

    Args:
        axes: One axes per map, which show the image.
        headings: One string per map.
        explanation: The explanation of all images.
        row: The number of the image.
        classes: The explained class and, if there is one, its rival.
        size: A pair `(H, W)`, the size of the image.
    """
    maps = explanation.maps[row]
    explained = maps[..., classes[0]]
    total = sum_of_evidence(explained)
    vmax = largest = maps[..., classes].max()
    count = len(classes)
    for ax, heading, c in zip(
        axes[:count], headings[:count], classes, strict=True
    ):
        drawn = draw_evidence(ax, maps[..., c], size, vmax, total)
        probability = explanation.probabilities[row, c]
        set_title(ax, heading, explanation.name_of(c), f"{probability:.1%}")
    for ax, heading, layer_maps in zip(
        axes[count:],
        headings[count:],
        explanation.layer_maps.values(),
        strict=True,
    ):
        map_ = _in_units_of(layer_maps[row], explained)
        drawn = draw_evidence(ax, map_, size, vmax, total)
        largest = max(largest, map_.max())
        set_title(ax, heading, explanation.name_of(classes[0]))
    if total > 0:
        _draw_color_bar(
            axes[-1], drawn, total, explained.size, more=largest > vmax
        )


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
    bar.ax.tick_params(labelsize=7)
    bar.set_label(
        f"share of the evidence from\n1/{locations} of the picture", fontsize=7
    )


def _draw_probabilities(
    ax: "Axes",
    explanation: Explanation,
    row: int,
    classes: typing.Sequence[int],
) -> None:
    """Draw the probabilities of classes by layer, for one image."""
    probabilities = explanation.layer_probabilities[row]
    layers = np.arange(1, len(probabilities) + 1)
    for c, style, color in zip(
        classes, ("-", "--"), ("black", "tab:orange"), strict=False
    ):
        ax.plot(layers, probabilities[:, c], style, color=color)
    ax.set(xlim=(1, max(len(layers), 2)), ylim=(0, 1.02))
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=2))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.tick_params(labelsize=7)
    labels = [cut_text(explanation.name_of(c), lines=1) for c in classes]
    draw_legend(ax, ax.lines, labels, fontsize=7, loc="best", framealpha=0.8)
