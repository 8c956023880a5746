import typing

import numpy as np
from matplotlib.figure import Figure

from keras_facnn.explaining.explanation import Explanation
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
from keras_facnn.plots.text import set_title


def why(
    explanation: Explanation,
    *,
    names: typing.Sequence[str] | None = None,
    photos: typing.Sequence[np.ndarray] | None = None,
) -> Figure:
    """Draw a figure of photographs, and of why each got its class.

    It has one row per image, for readers who want only the answer: the
    photograph, and the photograph with the map of the explained class, whose
    probability is in the title. The colors are those of
    `keras_facnn.plots.explanation`, with each map scaled to its own largest
    value.

    Args:
        explanation: An `Explanation`, which `FACNN.explain` returns.
        names: As in `keras_facnn.plots.explanation`.
        photos: As in `keras_facnn.plots.explanation`.

    Returns:
        A `matplotlib.figure.Figure`; `savefig` writes it.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(3, depths=(2,), maps_per_class=(1,))
    >>> explanation = model.explain(np.zeros((2, 32, 32, 3), "uint8"))
    >>> len(keras_facnn.plots.why(explanation).axes)
    4
    """
    if not isinstance(explanation, Explanation):
        raise TypeError(
            "`explanation` must be an `Explanation`, which `FACNN.explain` "
            f"returns. Received: explanation={type(explanation)}"
        )
    images = drawable_images(explanation.images)
    explanation = check_explanation(explanation)
    check_one_per_image("names", names, len(images))
    check_one_per_image("photos", photos, len(images))
    photos = list(images) if photos is None else photos
    size = images.shape[1:3]
    figure = make_figure(3.6, size, len(images), margin=0.4)
    grid = figure.subplots(len(images), 2, squeeze=False)
    pale = False
    for row, (beside, ax) in enumerate(grid):
        photo = drawable_image(photos[row])
        pale |= draw_photo(beside, photo, size)
        set_title(
            beside,
            "" if row else "photograph",
            names[row] if names is not None else "",
        )
        c = int(explanation.classes[row])
        map_ = explanation.maps[row, ..., c]
        draw_view(ax, photo, size)
        draw_evidence(ax, map_, size, map_.max(), sum_of_evidence(map_))
        set_title(
            ax,
            "" if row else "evidence for",
            explanation.name_of(c),
            f"{explanation.probabilities[row, c]:.1%}",
        )
    add_caption(figure, explanation, pale, brief=True)
    return figure
