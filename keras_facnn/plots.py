"""Ways to see a map. Needs Matplotlib: `pip install keras-facnn[plots]`."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from keras_facnn.checks import check_images
from keras_facnn.maps import resize_maps
from keras_facnn.metrics import pearson

# Perceptually uniform and safe for colour-blind readers.
COLORMAP = "inferno"


def overlay(ax, image, map_, vmax=None, opacity=0.65):
    """Draws a map over a grey copy of its image.

    Args:
        ax: Matplotlib axes to draw on.
        image: Array `(H, W, 1 or 3)`, 0..255.
        map_: Non-negative array `(h, w)`, at any resolution. Black is 0.
        vmax: Value of the brightest colour; None is the map's largest. Give
            maps that are to be compared the same.
        opacity: Float in [0, 1], of the map.

    Returns:
        The Matplotlib image of the map, for a colour bar.

    Example:

    >>> from matplotlib.figure import Figure
    >>> ax = Figure().add_subplot()
    >>> image = np.zeros((32, 32, 3), "uint8")
    >>> drawn = keras_facnn.plots.overlay(ax, image, np.eye(8))
    >>> drawn.get_array().shape
    (32, 32)
    """
    (image,) = check_images(np.asarray(image)[None])
    (pixels,) = resize_maps(np.asarray(map_)[None], image.shape[:2])
    grey = image.astype("float32").mean(axis=-1)
    ax.imshow(grey, cmap="gray", vmin=0, vmax=255)
    if vmax is None:
        vmax = pixels.max()
    drawn = ax.imshow(
        pixels,
        cmap=COLORMAP,
        vmin=0,
        vmax=max(vmax, np.finfo("float32").tiny),
        alpha=opacity,
        interpolation="bilinear",
    )
    _bare(ax)
    return drawn


def explanation(
    images, probabilities, maps, depth_maps, depth_probabilities, class_names
):
    """A figure of what an FA-CNN sees: one row an image.

    The columns are the image; the maps of the two likeliest classes, on one
    colour scale; the map of the likeliest class at some depths, each on its
    own scale; and the probability of both classes that the head reads off
    every depth.

    Args:
        images: Array `(B, H, W, channels)`, 0..255.
        probabilities: Array `(B, C)`.
        maps: Array `(B, h, w, C)`, the class maps.
        depth_maps: Dict from the number of an FA layer to the maps
            `(B, h, w)` of the likeliest class there.
        depth_probabilities: Array `(B, L, C)`, read off every FA layer.
        class_names: Sequence of C strings.

    Returns:
        A `matplotlib.figure.Figure`; `savefig` writes it.

    Example:

    >>> model = keras_facnn.FACNN(3, depths=(2,), maps_per_class=(1,))
    >>> images = np.zeros((2, 32, 32, 3), "uint8")
    >>> def softmax(x):
    ...     return keras.ops.convert_to_numpy(keras.ops.softmax(x))
    >>> logits, maps = model.predict_with_maps(images)
    >>> figure = keras_facnn.plots.explanation(
    ...     images,
    ...     softmax(logits),
    ...     maps,
    ...     {1: model.class_maps(images, classes=None, layer=1)},
    ...     softmax(model.layer_logits(images)),
    ...     ["ant", "bee", "cat"],
    ... )
    >>> len(figure.axes)
    10
    """
    images = check_images(images)
    columns = 3 + len(depth_maps) + 1
    figure = Figure(
        figsize=(1.5 * columns + 1.5, 1.75 * len(images) + 0.6),
        layout="constrained",
    )
    grid = figure.subplots(
        len(images),
        columns,
        squeeze=False,
        width_ratios=[1] * (columns - 1) + [1.7],
    )
    num_layers = depth_probabilities.shape[1]
    for row, (axes, image, p) in enumerate(
        zip(grid, images, probabilities, strict=True)
    ):
        first, second = np.argsort(-p, kind="stable")[:2]
        axes[0].imshow(image.astype("uint8").squeeze(), cmap="gray")
        _bare(axes[0])
        vmax = maps[row, ..., [first, second]].max()
        for ax, c in ((axes[1], first), (axes[2], second)):
            overlay(ax, image, maps[row, ..., c], vmax)
            ax.set_title(f"{class_names[c]} {p[c]:.1%}", fontsize=9)
        for ax, layer_maps in zip(axes[3:-1], depth_maps.values(), strict=True):
            ax.imshow(layer_maps[row], cmap=COLORMAP, vmin=0)
            _bare(ax)
        levels = np.arange(1, num_layers + 1)
        for c, style in ((first, "-"), (second, "--")):
            axes[-1].plot(
                levels,
                depth_probabilities[row, :, c],
                style,
                color="black" if c == first else "tab:orange",
                label=class_names[c],
            )
        axes[-1].set(xlim=(1, max(num_layers, 2)), ylim=(0, 1.02))
        axes[-1].yaxis.set_major_formatter(PercentFormatter(1.0))
        axes[-1].tick_params(labelsize=7)
        axes[-1].legend(fontsize=7, loc="best", framealpha=0.8)
    headings = ["image", "top class", "runner-up"]
    headings += [f"layer {level}" for level in depth_maps]
    headings += ["probability by layer"]
    for ax, heading in zip(grid[0], headings, strict=True):
        above = ax.get_title()
        ax.set_title(f"{heading}\n{above}" if above else heading, fontsize=9)
    return figure


def depth(image, maps, class_name=None):
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

    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> image = np.zeros((32, 32, 3), "uint8")
    >>> maps = {n: model.class_maps(image[None], 3, n)[0] for n in (1, 2)}
    >>> len(keras_facnn.plots.depth(image, maps).axes)
    3
    """
    figure = _grid([image], {name: [m] for name, m in maps.items()})
    for ax, layer in zip(figure.axes[1:], maps, strict=True):
        name = layer if isinstance(layer, str) else f"layer {layer}"
        ax.set_title(name, fontsize=9)
    if class_name is not None:
        figure.axes[0].set_title(class_name, fontsize=9)
    return figure


def compare(images, maps, reference=None, row_names=None):
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
    for title, values in maps.items():
        shape = np.shape(values)
        if len(shape) != 3 or shape[0] != len(images):
            raise ValueError(
                f"`maps[{title!r}]` must have shape ({len(images)}, h, w), one "
                f"map an image. Received: {shape}"
            )
    compared = (
        reference
        if isinstance(reference, dict)
        else dict.fromkeys(maps, reference)
    )
    unknown = set(compared.values()) - set(maps) - {None}
    if unknown:
        raise ValueError(
            f"`reference` must name columns among {list(maps)}. Received: "
            f"{sorted(unknown)}"
        )
    figure = _grid(images, maps, from_smallest=True)
    axes = np.array(figure.axes).reshape(len(images), 1 + len(maps))
    for ax, title in zip(axes[0], ["image", *maps], strict=True):
        ax.set_title(title, fontsize=9)
    for ax, name in zip(axes[:, 0], row_names or [], strict=False):
        ax.set_ylabel(name, fontsize=9)
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
    return figure


def pixel_removal(results):
    """A figure of accuracy against the fraction of pixels removed.

    Source: FA-CNN, arXiv 2603.25798, Figure 4.

    Args:
        results: Dict from a name to what `metrics.pixel_removal` returned.

    Returns:
        A `matplotlib.figure.Figure`.

    Example:

    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> result = keras_facnn.metrics.pixel_removal(
    ...     model, images, [3, 5], model.class_maps(images, [3, 5])
    ... )
    >>> figure = keras_facnn.plots.pixel_removal({"FA-CNN": result})
    >>> figure.axes[0].get_xlabel()
    'pixels removed'
    """
    figure = Figure(figsize=(5.5, 3.8), layout="constrained")
    ax = figure.add_subplot()
    # Okabe and Ito's colours, which colour-blind readers can tell apart.
    colors = ["#000000", "#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#D55E00"]
    for i, (name, result) in enumerate(results.items()):
        ax.plot(
            result.fractions,
            result.accuracy,
            color=colors[i % len(colors)],
            linestyle=("-", "--", ":")[i // len(colors) % 3],
            label=f"{name} (area {result.accuracy_auc:.3f})",
        )
    ax.set(xlabel="pixels removed", ylabel="accuracy", xlim=(0, 1))
    ax.set_ylim(bottom=0)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.legend(fontsize=8, frameon=False)
    return figure


def _grid(images, columns, from_smallest=False):
    """Images and, beside each, its overlays."""
    figure = Figure(
        figsize=(1.5 * (1 + len(columns)) + 0.8, 1.6 * len(images) + 0.4),
        layout="constrained",
    )
    axes = figure.subplots(len(images), 1 + len(columns), squeeze=False)
    for row, image in enumerate(images):
        axes[row, 0].imshow(np.asarray(image).astype("uint8").squeeze(), "gray")
        _bare(axes[row, 0])
        for ax, values in zip(axes[row, 1:], columns.values(), strict=True):
            map_ = np.maximum(np.asarray(values[row], "float32"), 0)
            if from_smallest:
                map_ = map_ - map_.min()
            overlay(ax, image, map_ / max(map_.max(), 1e-30), vmax=1)
    return figure


def _bare(ax):
    ax.set_xticks([])
    ax.set_yticks([])
