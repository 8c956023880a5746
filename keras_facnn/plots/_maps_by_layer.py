import numpy as np
from matplotlib.figure import Figure

from keras_facnn.plots.checks import check_dict
from keras_facnn.plots.checks import check_map
from keras_facnn.plots.grid import draw_grid
from keras_facnn.plots.text import cut_text
from keras_facnn.plots.text import set_title
from keras_facnn.types import LayerName


def maps_by_layer(
    image: np.ndarray,
    maps: dict[LayerName, np.ndarray],
    class_name: str | None = None,
) -> Figure:
    """Draw a figure of one image and its maps at several layers.

    Each map is scaled to its own largest value, because the maps of early
    layers are brighter.

    Args:
        image: Array `(H, W, 1 or 3)`, 0..255.
        maps: Dict from a layer's number or name to its map `(h, w)`.
        class_name: Optional string, the class of the maps.

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
    check_dict("maps", maps)
    columns = [
        check_map(f"maps[{layer!r}]", map_)[None]
        for layer, map_ in maps.items()
    ]
    figure, ((photo, *axes),) = draw_grid(np.asarray(image)[None], columns)
    for ax, layer in zip(axes, maps, strict=True):
        name = layer if isinstance(layer, str) else f"layer {layer}"
        set_title(ax, cut_text(name))
    if class_name is not None:
        set_title(photo, cut_text(class_name))
    figure.supxlabel("colors: each map from 0 to its largest", fontsize=8)
    return figure
