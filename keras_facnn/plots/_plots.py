"""Ways to see a map. Needs Matplotlib: `pip install keras-facnn[plots]`."""

import bisect
import dataclasses
import functools
import textwrap
import typing
import warnings

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FuncFormatter
from matplotlib.ticker import MaxNLocator
from matplotlib.ticker import PercentFormatter

from keras_facnn._checks.arguments import check_bool
from keras_facnn._checks.arrays import check_maps
from keras_facnn._checks.arrays import finite_array
from keras_facnn._checks.images import check_images
from keras_facnn._checks.numbers import check_float
from keras_facnn._checks.text import printable
from keras_facnn.explaining.explanation import Explanation
from keras_facnn.maps import resize_maps
from keras_facnn.maps import strongest_rivals
from keras_facnn.metrics import pearson

if typing.TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

# Perceptually uniform and safe for color-blind readers.
COLORMAP = "inferno"


def overlay(
    ax: "Axes",
    image: np.ndarray,
    map_: np.ndarray,
    vmax: float | None = None,
    opacity: float = 0.65,
    color: bool = False,
) -> "AxesImage":
    """Draws a map over its image.

    Args:
        ax: Matplotlib axes to draw on.
        image: Array `(H, W, 1 or 3)`, 0..255.
        map_: Non-negative array `(h, w)`, at any resolution. Black is 0.
        vmax: Value of the brightest color; None is the map's largest. Give
            maps that are to be compared the same.
        opacity: Float in [0, 1], of the map.
        color: Whether the image keeps its colors, and the map's opacity grows
            from 0 where it is 0 to `opacity` at `vmax`. Otherwise the map has
            one opacity and lies over a gray copy of the image.

    Returns:
        The Matplotlib image of the map, for a color bar.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> from matplotlib.figure import Figure
    >>> ax = Figure().add_subplot()
    >>> image = np.zeros((32, 32, 3), "uint8")
    >>> drawn = keras_facnn.plots.overlay(ax, image, np.eye(8))
    >>> drawn.get_array().shape
    (32, 32)
    """
    (image,) = _as_drawn(np.asarray(image)[None])
    (pixels,) = resize_maps(_one_map("map_", map_)[None], image.shape[:2])
    opacity = check_float("opacity", opacity, least=0, most=1)
    if vmax is not None:
        vmax = check_float("vmax", vmax, least=0)
    if check_bool("color", color):
        ax.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255)
    else:
        gray = image.astype("float32").mean(axis=-1)
        ax.imshow(gray, cmap="gray", vmin=0, vmax=255)
    return _draw_map(ax, pixels, vmax, opacity, color)


def colorize(
    image: np.ndarray,
    map_: np.ndarray,
    vmax: float | None = None,
    opacity: float = 0.85,
) -> np.ndarray:
    """The pixels of an image with a map over it, for use without axes.

    The colors are those of `overlay(..., color=True)`. Places where the map is
    negative get a second scale, from black over blue to pale blue.

    Args:
        image: Array `(H, W, 1 or 3)`, 0..255.
        map_: Array `(h, w)`, at any resolution.
        vmax: Absolute value of the brightest color; None is the map's largest.
        opacity: Float in [0, 1], of the map where its absolute value is `vmax`.

    Returns:
        A uint8 NumPy array `(H, W, 3)`.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> image = np.full((32, 32, 3), 90, "uint8")
    >>> pixels = keras_facnn.plots.colorize(image, np.eye(8))
    >>> pixels.shape, pixels[0, 31].tolist()
    ((32, 32, 3), [90, 90, 90])
    """
    (image,) = _as_drawn(np.asarray(image)[None])
    (values,) = resize_maps(_one_map("map_", map_)[None], image.shape[:2])
    opacity = check_float("opacity", opacity, least=0, most=1)
    vmax = (
        np.abs(values).max()
        if vmax is None
        else check_float("vmax", vmax, least=0)
    )
    colors = _growing_colormap(opacity)(np.abs(values) / max(vmax, _TINY))
    negative = values < 0
    colors[negative, :3] = colors[negative, 2::-1]
    alpha = colors[..., 3:]
    pixels = alpha * colors[..., :3] * 255 + (1 - alpha) * image
    return pixels.round().astype("uint8")


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
    """A figure of what an FA-CNN sees: one row an image.

    The columns are the photograph; the map of the class that is explained and
    that of its strongest rival, in colors that show which share of the
    evidence for the explained class each part of the image gives; the map of
    the explained class at some depths, as shares of the evidence there, in the
    same colors; and the probability of both classes that the head reads off
    every depth. The evidence is the logit, or, of centered maps, what they say
    for the class and not for all alike; where they speak against it, nothing is
    drawn. Places without evidence keep their own colors; a map that shows
    nothing for that reason says so. A caption explains the colors.

    Args:
        images: Array `(B, H, W, channels)`, 0..255, or an `Explanation`, which
            holds the next six arguments too.
        probabilities: Array `(B, C)`.
        maps: Array `(B, h, w, C)`, the class maps.
        layer_maps: Dict from the number of an FA layer to the maps
            `(B, h, w)` of the explained class there.
        layer_probabilities: Array `(B, L, C)`, read off every FA layer.
        class_names: Sequence of C strings.
        centered: Whether the maps are centered.
        several_labels: Whether each class has a probability of its own, by
            sigmoid, since an image may have several labels.
        names: Optional sequence of B strings, such as the files' names.
        photos: Optional sequence of B arrays `(H, W, 1 or 3)`, 0..255: the
            pictures, at any size, of which `images` are the center
            (`load_images(fit="crop")`). They are shown in place of `images`,
            pale where the model doesn't look.

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
    told = images
    if not isinstance(told, Explanation):
        if (
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
        told = Explanation(
            images=told,
            classes=np.argmax(probabilities, axis=-1),
            probabilities=np.asarray(probabilities),
            maps=np.asarray(maps),
            layer_maps=layer_maps,
            layer_probabilities=np.asarray(layer_probabilities),
            class_names=class_names,
            centered=check_bool("centered", centered),
            several_labels=check_bool("several_labels", several_labels),
        )
    shown = _as_drawn(told.images)
    told = _checked(told)
    rivals = strongest_rivals(told.probabilities, told.classes)
    photos = shown if photos is None else photos
    for name, values in (("names", names), ("photos", photos)):
        _check_one_an_image(name, values, len(shown))
    # Of one class there is no rival.
    ends = 2 + (told.maps.shape[-1] > 1)
    columns = ends + len(told.layer_maps) + 1
    height, width = shown.shape[1:3]
    figure = Figure(
        figsize=(
            1.72 * (columns - 1) + 2.6,
            _rows_height((height, width), len(shown)),
        ),
        # Or titles of three lines stick out.
        layout=ConstrainedLayoutEngine(h_pad=0.1),
    )
    grid = figure.subplots(
        len(shown),
        columns,
        squeeze=False,
        width_ratios=[1] * (columns - 1) + [1.35],
    )
    beside = "the next" if told.several_labels else "rival"
    headings = ["photograph", "evidence for", f"evidence for {beside}"][:ends]
    headings += [f"evidence at layer {level}" for level in told.layer_maps]
    headings += ["probability by layer"]
    pale = False
    for row, axes in enumerate(grid):
        top = headings if row == 0 else [""] * columns
        (photo,) = _as_drawn(np.asarray(photos[row])[None])
        first = int(told.classes[row])
        p = told.probabilities[row]
        classes = [first, int(rivals[row])][: ends - 1]
        pale |= _draw_photo(axes[0], photo, (height, width))
        _title(axes[0], top[0], names[row] if names is not None else "")
        vmax = told.maps[row, ..., classes].max()
        total = _evidence(told.maps[row, ..., first])
        for ax, heading, c in zip(
            axes[1:ends], top[1:ends], classes, strict=True
        ):
            _draw_view(ax, photo, shown[row])
            map_ = told.maps[row, ..., c]
            drawn = _draw_shares(ax, map_, shown[row], vmax, total)
            _title(ax, heading, told.name_of(c), f"{p[c]:.1%}")
        most = vmax
        for ax, heading, layer_maps in zip(
            axes[ends:-1], top[ends:-1], told.layer_maps.values(), strict=True
        ):
            map_ = np.asarray(layer_maps[row], "float64")
            _draw_view(ax, photo, shown[row])
            # In units of the last layer's map, whatever its own are.
            finer = map_.size / told.maps[row, ..., first].size
            evidence = _evidence(map_)
            map_ = map_ * (total * finer / evidence if evidence > 0 else 0)
            # What is below 0 shows nothing, and must fit into float32.
            map_ = np.maximum(map_, -1 / _TINY)
            most = max(most, map_.max())
            drawn = _draw_shares(ax, map_, shown[row], vmax, total)
            _title(ax, heading, told.name_of(first))
        cells = told.maps[row, ..., first].size
        if total > 0:
            _draw_bar(axes[-2], drawn, total, cells, most > vmax)
        _draw_probabilities(axes[-1], told, row, classes, row == len(shown) - 1)
        _title(axes[-1], top[-1])
    _draw_caption(figure, told, pale)
    return figure


def why(
    told: Explanation,
    *,
    names: typing.Sequence[str] | None = None,
    photos: typing.Sequence[np.ndarray] | None = None,
) -> Figure:
    """A figure of photographs and why they got their class, and no more.

    One row an image, for readers who want the answer: the photograph, and on it
    the map of the class that is explained, whose probability stands above. The
    colors are those of `explanation`, each row's map to its own largest value.

    Args:
        told: An `Explanation`, what `FACNN.explain` returns.
        names: As in `explanation`.
        photos: As in `explanation`.

    Returns:
        A `matplotlib.figure.Figure`; `savefig` writes it.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(3, depths=(2,), maps_per_class=(1,))
    >>> told = model.explain(np.zeros((2, 32, 32, 3), "uint8"))
    >>> len(keras_facnn.plots.why(told).axes)
    4
    """
    if not isinstance(told, Explanation):
        raise TypeError(
            "`told` must be an `Explanation`, what `FACNN.explain` returns. "
            f"Received: told={type(told)}"
        )
    shown, told = _as_drawn(told.images), _checked(told)
    photos = shown if photos is None else photos
    for name, values in (("names", names), ("photos", photos)):
        _check_one_an_image(name, values, len(shown))
    size = shown.shape[1:3]
    figure = Figure(
        figsize=(3.6, _rows_height(size, len(shown)) - 0.35),
        # Or titles of three lines stick out.
        layout=ConstrainedLayoutEngine(h_pad=0.1),
    )
    pale = False
    grid = figure.subplots(len(shown), 2, squeeze=False)
    for row, (beside, ax) in enumerate(grid):
        (photo,) = _as_drawn(np.asarray(photos[row])[None])
        pale |= _draw_photo(beside, photo, size)
        _title(
            beside,
            "" if row else "photograph",
            names[row] if names is not None else "",
        )
        c = int(told.classes[row])
        map_ = told.maps[row, ..., c]
        _draw_view(ax, photo, shown[row])
        _draw_shares(ax, map_, shown[row], map_.max(), _evidence(map_))
        _title(
            ax,
            "" if row else "evidence for",
            told.name_of(c),
            f"{told.probabilities[row, c]:.1%}",
        )
    _draw_caption(figure, told, pale, brief=True)
    return figure


def maps_by_layer(
    image: np.ndarray,
    maps: dict[int | str, np.ndarray],
    class_name: str | None = None,
) -> Figure:
    """A figure of one image's map at many layers.

    Each map is scaled to its own largest value, since the maps of early layers
    are brighter.

    Args:
        image: Array `(H, W, channels)`, 0..255.
        maps: Dict from a layer's number or name to its map `(h, w)`.
        class_name: Optional string, whose maps these are.

    Returns:
        A `matplotlib.figure.Figure`.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> image = np.zeros((32, 32, 3), "uint8")
    >>> maps = {n: model.class_maps(image[None], 3, n)[0] for n in (1, 2)}
    >>> len(keras_facnn.plots.maps_by_layer(image, maps).axes)
    3
    """
    _check_dict("maps", maps)
    columns = {
        name: _one_map(f"maps[{name!r}]", map_)[None]
        for name, map_ in maps.items()
    }
    figure = _grid(np.asarray(image)[None], columns)
    for ax, layer in zip(figure.axes[1:], maps, strict=True):
        _title(ax, "", layer if isinstance(layer, str) else f"layer {layer}")
    if class_name is not None:
        _title(figure.axes[0], "", class_name)
    figure.supxlabel("colors: each map from 0 to its largest", fontsize=8)
    return figure


def compare(
    images: np.ndarray,
    maps: dict[str, np.ndarray],
    reference: str | dict[str, str] | None = None,
    row_names: typing.Sequence[str] | None = None,
) -> Figure:
    """A figure of several methods' maps: rows are images, columns methods.

    Each map is scaled from its own smallest to its own largest value, since
    methods differ in unit and offset; negative values count as 0.

    Source: FA-CNN, arXiv 2603.25798, Figures 1 and 5.

    Args:
        images: Array `(B, H, W, channels)`, 0..255.
        maps: Dict from a column's title to maps `(B, h, w)`.
        reference: Optional title, or dict from title to title: the column that
            others are compared with. The Pearson correlation is printed in
            each cell, after resizing to the image.
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
    size = images.shape[1:3]
    _check_dict("maps", maps)
    maps = {
        title: check_maps(values, batch=len(images), name=f"maps[{title!r}]")
        for title, values in maps.items()
    }
    if not isinstance(reference, (str, dict, type(None))):
        raise ValueError(
            "`reference` must be a title of `maps`, a dict of titles, or None. "
            f"Received: reference={reference!r}"
        )
    compared = (
        reference
        if isinstance(reference, dict)
        else dict.fromkeys(maps, reference)
    )
    unknown = {*compared, *compared.values()} - set(maps) - {None}
    if unknown:
        raise ValueError(
            f"`reference` must name columns among {list(maps)}. Received: "
            f"{sorted(map(str, unknown))}"
        )
    _check_one_an_image("row_names", row_names, len(images))
    figure = _grid(images, maps, from_smallest=True)
    axes = np.array(figure.axes).reshape(len(images), 1 + len(maps))
    for ax, title in zip(axes[0], ["image", *maps], strict=True):
        _title(ax, "\n".join(map(_cut, str(title).split("\n"))))
    if row_names is not None:
        for ax, name in zip(axes[:, 0], row_names, strict=True):
            _say(ax.set_ylabel("", fontsize=9), _cut(name))
    for column, (title, values) in enumerate(maps.items(), start=1):
        other = compared.get(title)
        if other is None or other == title:
            continue
        correlations = pearson(
            resize_maps(values, size), resize_maps(maps[other], size)
        )
        for ax, r in zip(axes[:, column], correlations, strict=True):
            ax.text(
                0.04,
                0.04,
                f"r = {r:.2f}",
                transform=ax.transAxes,
                color="white",
                fontsize=8,
                bbox={"facecolor": "black", "alpha": 0.6, "pad": 1.5},
            )
    note = "colors: each map from its smallest value to its largest"
    if any(compared.get(title) not in (None, title) for title in maps):
        note += "; r: correlation with the reference"
        if isinstance(reference, str):
            note += f", {reference}"
    _say(figure.supxlabel("", fontsize=8), note)
    return figure


def pixel_removal(results: dict[str, typing.Any]) -> Figure:
    """A figure of accuracy against the fraction of pixels removed.

    Where a line runs over another one, it is dashed, so that both are seen.

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
    _check_dict("results", results)
    for name, result in results.items():
        if not hasattr(result, "fractions") or not hasattr(result, "accuracy"):
            raise ValueError(
                f"`results[{name!r}]` must be what `metrics.pixel_removal` "
                f"returned. Received: {type(result).__name__}"
            )
    figure = Figure(figsize=(7.4, 3.6), layout="constrained")
    ax = figure.add_subplot()
    # Okabe and Ito's colors, which color-blind readers can tell apart.
    colors = ["#000000", "#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#D55E00"]
    labels: list[str] = []
    before: list[np.ndarray] = []
    for i, (name, result) in enumerate(results.items()):
        line = np.interp(
            np.linspace(0, 1, 101), result.fractions, result.accuracy
        )
        # A hundredth is about a line's width.
        hidden = sum(np.mean(np.abs(line - x) < 0.01) > 0.3 for x in before)
        before.append(line)
        ax.plot(
            result.fractions,
            result.accuracy,
            color=colors[i % len(colors)],
            # The gaps of one line let those below it through.
            linestyle=(3 * hidden, (3, 3 * hidden)) if hidden else "-",
            linewidth=1.8,
            marker=(None, "o", "^")[i // len(colors) % 3],
            markersize=3,
        )
        labels.append(f"{name} (area {result.accuracy_auc:.3f})")
    ax.set(xlabel="pixels removed", ylabel="accuracy", xlim=(0, 1))
    ax.set_ylim(bottom=0)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    _legend(
        ax,
        ax.lines,
        labels,
        fontsize=8,
        frameon=False,
        handlelength=3,
        # Beside the lines, which may run anywhere.
        loc="upper left",
        bbox_to_anchor=(1, 1),
    )
    return figure


# --- Pixels and maps ---

_TINY = float(np.finfo("float32").tiny)
# Maps below this share of the brightest color can hardly be seen.
_FAINT = 0.5


def _as_drawn(images):
    """Images `(B, H, W, channels)` as uint8, with a word where they differ."""
    images = check_images(images)
    if images.shape[-1] not in (1, 3):
        raise ValueError(
            "`images` must have 1 channel (gray) or 3 (RGB) to be drawn. "
            f"Received: images of shape {images.shape}"
        )
    if images.dtype == np.uint8:
        return images
    pixels = images.astype("float32")
    least, most = float(pixels.min()), float(pixels.max())
    scaled = images.dtype.kind not in "iu" and least >= 0 and 0 < most <= 1
    if scaled:
        warnings.warn(
            "`images` should be in 0..255. They are in 0..1, and drawn as if "
            "multiplied by 255.",
            stacklevel=3,
        )
        pixels = pixels * 255
    elif least < 0 or most > 255:
        warnings.warn(
            "`images` should be in 0..255. What lies outside is drawn as 0 or "
            f"255. Received: values from {least:.3g} to {most:.3g}",
            stacklevel=3,
        )
    return np.clip(pixels.round(), 0, 255).astype("uint8")


@functools.cache
def _growing_colormap(opacity):
    """The colors of `COLORMAP`, the fainter the lower."""
    levels = np.linspace(0, 1, 256)
    colors = matplotlib.colormaps[COLORMAP](levels)
    colors[:, 3] = opacity * levels**1.5
    return ListedColormap(colors)


def _draw_map(ax, pixels, vmax, opacity, growing):
    vmax = pixels.max() if vmax is None else vmax
    drawn = ax.imshow(
        pixels,
        cmap=_growing_colormap(opacity) if growing else COLORMAP,
        vmin=0,
        vmax=max(vmax, _TINY),
        alpha=None if growing else opacity,
        interpolation="bilinear",
    )
    _bare(ax)
    return drawn


def _draw_shares(ax, map_, image, vmax, total):
    """A map over its view, with a word where it is too faint to be seen."""
    (pixels,) = resize_maps(map_[None], image.shape[:2])
    drawn = _draw_map(ax, pixels, vmax, 0.85, growing=True)
    height, width = image.shape[:2]
    ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    most = map_.max()
    if most <= 0 or (total > 0 and most < _FAINT * vmax):
        ax.text(
            0.5,
            0.03,
            "no evidence"
            if most <= 0
            else f"faint: nowhere above {100 * most / total:.2g}%",
            transform=ax.transAxes,
            horizontalalignment="center",
            color="white",
            fontsize=7,
            bbox={"facecolor": "black", "alpha": 0.6, "pad": 1.5},
        )
    return drawn


def _around(photo, size):
    """Where a photo lies around the view of `size` that is its center.

    In pixels of the view: left, right, bottom, top, as `imshow` takes them.
    """
    height, width = size
    scale = min(photo.shape[0] / height, photo.shape[1] / width)
    half_height, half_width = (
        photo.shape[0] / scale / 2,
        photo.shape[1] / scale / 2,
    )
    x, y = width / 2 - 0.5, height / 2 - 0.5
    return x - half_width, x + half_width, y + half_height, y - half_height


def _draw_view(ax, photo, image):
    ax.imshow(
        photo.squeeze(),
        cmap="gray",
        vmin=0,
        vmax=255,
        extent=_around(photo, image.shape[:2]),
    )


def _draw_photo(ax, photo, size):
    """A whole photo, pale outside the view of the model; whether it is so."""
    height, width = size
    left, right, bottom, top = extent = _around(photo, size)
    ax.imshow(photo.squeeze(), cmap="gray", vmin=0, vmax=255, extent=extent)
    for x, y, w, h in (
        (left, top, -0.5 - left, bottom - top),
        (width - 0.5, top, right - width + 0.5, bottom - top),
        (left, top, right - left, -0.5 - top),
        (left, height - 0.5, right - left, bottom - height + 0.5),
    ):
        if min(w, h) > 0.5:
            ax.add_patch(
                Rectangle((x, y), w, h, color="white", alpha=0.65, linewidth=0)
            )
    # A tall photo gets no more height than the maps beside it.
    aside = max(0, ((bottom - top) * width / height - (right - left)) / 2)
    ax.set(xlim=(left - aside, right + aside), ylim=(bottom, top))
    ax.spines["left"].set_position(("data", left))
    ax.spines["right"].set_position(("data", right))
    for side in ("top", "bottom"):
        ax.spines[side].set_bounds(left, right)
    _bare(ax)
    return bool(ax.patches)


def _evidence(map_):
    """The sum of what speaks for a map's class."""
    return float(np.maximum(map_, 0).sum())


def _rows_height(size, count):
    """Inches that rows of images of a size take, with titles and a caption."""
    height, width = size
    return (1.65 * min(max(height / width, 0.5), 2) + 0.4) * count + 0.75


def _draw_bar(ax, drawn, total, cells, more):
    """A color bar beside `ax` in shares of the evidence for a class."""
    most = drawn.get_clim()[1] / total
    shares = MaxNLocator(4).tick_values(0, most)
    bar = ax.figure.colorbar(
        drawn,
        cax=ax.inset_axes([1.05, 0, 0.06, 1]),
        ticks=total * shares[shares <= most],
        extend="max" if more else "neither",
        format=FuncFormatter(lambda value, _: f"{100 * value / total:.3g}%"),
    )
    bar.ax.tick_params(labelsize=7)
    bar.set_label(
        f"share of the evidence from\n1/{cells} of the picture", fontsize=7
    )


def _draw_caption(figure, told, pale, brief=False):
    """What a reader must know who has never seen such a figure.

    A brief figure has one map a row, and no layers.
    """
    scale = "" if brief else ", on one scale a row"
    if told.centered and not brief:
        scale += ", in shares of all that speaks for the first class"
    meaning = (
        "The yellower a place, the more it makes the model prefer the class "
        f"above to the average class{scale}; places in their own colors hardly "
        "matter to it, or speak against it."
        if told.centered
        else "The yellower a place, the more it adds to the score that the "
        f"model gives the class above{scale}; places in their own colors add "
        "next to nothing. All places together make up the score."
    )
    sentences = [
        meaning,
        "Beside a class is the probability that the model gives it"
        + (
            ", each class its own: several may be there, or none."
            if told.several_labels
            else "."
        ),
    ]
    if not brief:
        sentences += ["The later a layer, the nearer to the answer."]
    if pale:
        sentences += [
            "The pale sides of the photograph are cut off before the model "
            "looks."
        ]
    # About the letters of this size that fit an inch.
    lines = textwrap.wrap(" ".join(sentences), int(16 * figure.get_figwidth()))
    figure.set_figheight(figure.get_figheight() + 0.15 * len(lines))
    figure.supxlabel("\n".join(lines), fontsize=8)


def _draw_probabilities(ax, told, row, classes, last):
    levels = np.arange(1, told.layer_probabilities.shape[1] + 1)
    for c, style, color in zip(
        classes, ("-", "--"), ("black", "tab:orange"), strict=False
    ):
        ax.plot(levels, told.layer_probabilities[row, :, c], style, color=color)
    ax.set(xlim=(1, max(len(levels), 2)), ylim=(0, 1.02))
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=2))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.tick_params(labelsize=7)
    if last:
        ax.set_xlabel("layer", fontsize=8)
    labels = [_cut(told.name_of(c), lines=1) for c in classes]
    _legend(ax, ax.lines, labels, fontsize=7, loc="best", framealpha=0.8)


def _grid(images, columns, from_smallest=False):
    """Images and, beside each, its overlays."""
    images = _as_drawn(images)
    figure = Figure(
        figsize=(1.6 * (1 + len(columns)) + 0.8, 1.65 * len(images) + 0.6),
        layout="constrained",
    )
    # Or the titles of one row stick out.
    figure.get_layout_engine().set(h_pad=0.08)
    axes = figure.subplots(len(images), 1 + len(columns), squeeze=False)
    for row, image in enumerate(images):
        axes[row, 0].imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255)
        _bare(axes[row, 0])
        for ax, values in zip(axes[row, 1:], columns.values(), strict=True):
            map_ = np.maximum(np.asarray(values[row], "float32"), 0)
            if from_smallest:
                map_ = map_ - map_.min()
            overlay(
                ax,
                image,
                map_ / max(map_.max(), 1e-30),
                vmax=1,
                opacity=0.85,
                color=True,
            )
    return figure


def _bare(ax):
    ax.set_xticks([])
    ax.set_yticks([])


def _check_one_an_image(name, values, count):
    if values is None:
        return
    if isinstance(values, str) or len(values) != count:
        raise ValueError(
            f"`{name}` must have one entry for each of the {count} images. "
            f"Received: {values!r:.200}"
        )


def _check_dict(name, values):
    if not isinstance(values, dict) or not values:
        raise ValueError(
            f"`{name}` must be a dict that is not empty. "
            f"Received: {type(values).__name__}"
        )


def _one_map(name, map_):
    """A map `(h, w)` as a finite array, or raises."""
    array = finite_array(name, map_)
    if array.ndim != 2 or not array.size:
        raise ValueError(
            f"`{name}` must have shape (h, w), with at least one place. "
            f"Received: shape {array.shape}"
        )
    return array


def _checked(told):
    """An explanation whose parts fit together, or raises."""
    batch = len(told.images)
    maps = check_maps(told.maps, ndim=(4,), batch=batch, name="maps")
    count = maps.shape[-1]
    if not isinstance(told.layer_maps, dict):
        raise ValueError(
            "`layer_maps` must be a dict from layers' numbers to maps. "
            f"Received: {type(told.layer_maps).__name__}"
        )
    layer_maps = {
        level: check_maps(values, batch=batch, name=f"layer_maps[{level!r}]")
        for level, values in told.layer_maps.items()
    }
    for name, expected in (
        ("probabilities", (batch, count)),
        ("layer_probabilities", (batch, None, count)),
    ):
        values = finite_array(name, getattr(told, name))
        shape = values.shape
        if len(shape) != len(expected) or any(
            n not in (None, m) for n, m in zip(expected, shape, strict=True)
        ):
            raise ValueError(
                f"`{name}` must fit {batch} images and {count} classes. "
                f"Received: shape {shape}"
            )
        # Sums of rounded values may be a little more than 1.
        if values.size and not -1e-3 <= values.min() <= values.max() <= 1.001:
            raise ValueError(
                f"`{name}` must be from 0 to 1, as `FACNN.probabilities` makes "
                f"them of logits. Received: values from {values.min():g} to "
                f"{values.max():g}"
            )
    if told.class_names is not None and len(told.class_names) != count:
        raise ValueError(
            f"`class_names` must be {count} names, one a class. "
            f"Received: {told.class_names!r:.200}"
        )
    return dataclasses.replace(told, maps=maps, layer_maps=layer_maps)


# --- Words ---

# Points that a title may take in a column, of whatever figure.
_COLUMN = 108
# More letters than a line of that width has.
_LETTERS = 200


def _title(ax, heading, name="", number=""):
    """A title of a column's heading, and a name that is cut to its width."""
    label = _cut(name, number)
    text = "\n".join(part for part in (heading, label) if part)
    _say(ax.set_title("", fontsize=9), text)


def _cut(text, number="", lines=2, size=9):
    """Text in lines that fit a column, with a number at its end."""
    rest = printable(" ".join(str(text).split()))
    end = f" {number}" if number else ""
    cut = []
    while rest:
        if len(rest) <= _LETTERS and _fits(rest + end, size):
            cut.append(rest + end)
            break
        if len(cut) == lines - 1:
            start = rest[: _longest(rest, f"…{end}", size)].rstrip(" ,")
            cut.append(f"{start}…{end}")
            break
        # At a space; a single word, or a script without spaces, anywhere.
        length = _longest(rest, "", size)
        line = rest[:length]
        if rest[length : length + 1] not in ("", " "):
            line = line.rpartition(" ")[0] or line
        cut.append(line)
        rest = rest[len(line) :].lstrip()
        if not rest and end:
            cut.append(number)
    return "\n".join(cut) or number


def _longest(text, end, size):
    """How many letters of a text fit a line that ends so; at least one."""
    lengths = range(1, min(len(text), _LETTERS) + 1)
    # To measure letter by letter takes a second for a name of hundreds.
    beyond = bisect.bisect(
        lengths, False, key=lambda n: not _fits(text[:n] + end, size)
    )
    return max(1, beyond)


def _fits(text, size):
    text, families = _drawable(text)
    font = font_manager.FontProperties(family=families, size=size)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, False)
    return width <= _COLUMN


def _say(artist, text):
    """Sets a Matplotlib text to people's words, in which nothing is markup."""
    text, families = _drawable(text)
    artist.set_parse_math(False)
    artist.set_fontfamily(families)
    artist.set_text(text)


def _legend(ax, lines, labels, **options):
    # Matplotlib leaves out labels that begin with "_".
    legend = ax.legend(lines, ["label"] * len(labels), **options)
    for text, label in zip(legend.get_texts(), labels, strict=True):
        _say(text, label)


def _drawable(text):
    """A text, and the font families that together have its characters.

    A box stands for what no installed font has, or Matplotlib would warn of
    every such character, each time that the figure is drawn.
    """
    families = list(matplotlib.rcParams["font.family"])
    default = font_manager.findfont(font_manager.FontProperties())
    missing = {c for c in text if c != "\n"} - _characters(default)
    if missing:
        for font in font_manager.fontManager.ttflist:
            # These have all characters as boxes, or as colors.
            if "Last Resort" in font.name or "Emoji" in font.name:
                continue
            if missing & _characters(font.fname):
                families.append(font.name)
                missing -= _characters(font.fname)
            if not missing:
                break
    if missing:
        warnings.warn(
            "No installed font has all characters of the names; those that "
            "are missing are drawn as boxes. Noto Sans CJK has most.",
            stacklevel=1,
        )
        text = "".join("\u25a1" if c in missing else c for c in text)
    return text, families


@functools.cache
def _characters(path):
    """The characters that a font file has."""
    return frozenset(map(chr, font_manager.get_font(path).get_charmap()))
