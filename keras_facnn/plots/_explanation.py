import typing

import numpy as np
from matplotlib.figure import Figure

from keras_facnn._checks.arguments import check_bool
from keras_facnn._checks.classes import check_labels
from keras_facnn._checks.messages import short_repr
from keras_facnn.colors import drawable_image
from keras_facnn.colors import drawable_images
from keras_facnn.explaining.explanation import Explanation
from keras_facnn.maps import resize_maps
from keras_facnn.plots.checks import check_explanation
from keras_facnn.plots.checks import check_one_per_image
from keras_facnn.plots.layers import draw_layers
from keras_facnn.plots.layers import layer_columns
from keras_facnn.plots.maps import draw_evidence
from keras_facnn.plots.maps import draw_outline
from keras_facnn.plots.maps import half_of_evidence
from keras_facnn.plots.rows import Column
from keras_facnn.plots.rows import caption_of
from keras_facnn.plots.rows import draw_photo
from keras_facnn.plots.rows import draw_view
from keras_facnn.plots.rows import has_sides
from keras_facnn.plots.rows import make_rows
from keras_facnn.plots.sentence import answer_sentence
from keras_facnn.plots.text import make_title
from keras_facnn.types import Labels

# Width of a column in points, where there are only two.
_WIDE = 170


def explanation(
    explanation: Explanation,
    *,
    layers: bool = False,
    labels: Labels | None = None,
    names: typing.Sequence[str] | None = None,
    photos: typing.Sequence[np.ndarray] | None = None,
) -> Figure:
    """Draw a figure of what a model answered, and why, with one row per image.

    A row has the photograph, a dark copy of it in which the evidence for the
    explained class is bright, and a sentence that says the answer. A line
    surrounds the smallest region that has half of the evidence. There is no
    line if that region would be 40% of the picture or more. A caption explains
    the colors.

    The evidence is the logit. With centered maps, it is the sum of the positive
    values of the map, and nothing is drawn where the values are negative. The
    brightest color is the largest value of a map.

    With `layers=True`, the columns after the photograph are:

    - the map of the explained class, and the map of its strongest rival;
    - the map of the explained class at the FA layers of the explanation;
    - the probability of both classes that the head computes from each layer.

    Then all maps of a row have the same colors, which show each location's
    share of the evidence for the explained class. The maps of the layers show
    shares of the evidence at that layer. A map that shows nothing for that
    reason says so. A model without FA layers has no maps and curves of layers.

    Args:
        explanation: An `Explanation`, which `FACNN.explain` returns.
        layers: Whether to draw the rival and the layers, too.
        labels: Optional sequence of B class numbers or names, the true classes.
            The sentence of a mistake then says what was said, and what it is.
        names: Optional sequence of B strings, such as names of files.
        photos: Optional sequence of B arrays `(H, W, 1 or 3)`, 0..255: the
            photographs, of any size, whose centers are the model's images
            (`load_images(fit="crop")`). They are drawn instead of these
            images, and are pale outside the model's view.

    Returns:
        A `matplotlib.figure.Figure`; `savefig` writes it.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(3, depths=(2,), maps_per_class=(1,))
    >>> explanation = model.explain(np.zeros((2, 32, 32, 3), "uint8"))
    >>> len(keras_facnn.plots.explanation(explanation).axes)
    4
    """
    if not isinstance(explanation, Explanation):
        raise TypeError(
            "`explanation` must be an `Explanation`, which `FACNN.explain` "
            f"returns. Received: explanation={type(explanation)}"
        )
    images = drawable_images(explanation.images)
    explanation = check_explanation(explanation)
    count, size = len(images), images.shape[1:3]
    check_one_per_image("names", names, count)
    check_one_per_image("photos", photos, count)
    photos = list(images) if photos is None else photos
    if labels is not None:
        labels = _check_labels(labels, explanation)
    maps = explanation.maps[np.arange(count), ..., explanation.classes]
    # With 1,000 classes, all maps of this size would not fit into memory.
    pixels = resize_maps(maps, size)
    halves = [half_of_evidence(values) for values in pixels]
    sentences = [
        answer_sentence(
            explanation,
            row,
            None if labels is None else int(labels[row]),
            outlined=half is not None,
        )
        for row, half in enumerate(halves)
    ]
    photos = [drawable_image(photo) for photo in photos]
    columns = [Column(_WIDE)] * 2
    titles = [["photograph", "why"], *(["", ""] for _ in images[1:])]
    if check_bool("layers", layers):
        columns, titles = layer_columns(explanation)
    if names is not None:
        for title, name in zip(titles, names, strict=True):
            title[0] = make_title(title[0], name, width=columns[0].width)
    figure, grid = make_rows(
        columns,
        size,
        titles,
        sentences,
        caption_of(
            explanation,
            pale=any(has_sides(photo, size) for photo in photos),
            outlined=any(half is not None for half in halves),
            layers=layers,
        ),
    )
    for row, axes in enumerate(grid):
        draw_photo(axes[0], photos[row], size)
        if layers:
            draw_layers(axes[1:], explanation, row, photos[row], size)
        else:
            draw_view(axes[1], photos[row], size)
            draw_evidence(axes[1], maps[row], size)
        if (half := halves[row]) is not None:
            draw_outline(axes[1], pixels[row], half)
    return figure


def _check_labels(labels: typing.Any, explanation: Explanation) -> np.ndarray:
    """Return the true classes as integers `(B,)`, or raise."""
    if explanation.several_labels:
        raise ValueError(
            "`labels` must be None if an image may have several labels. "
            f"Received: labels={short_repr(labels)}"
        )
    count, num_classes = explanation.probabilities.shape
    return check_labels(labels, count, num_classes, explanation.class_names)
