"""Ways to see a map. Needs Matplotlib: `pip install keras-facnn[plots]`."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from keras_facnn.maps import check_images
from keras_facnn.maps import resize_maps

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


def _bare(ax):
    ax.set_xticks([])
    ax.set_yticks([])
