"""Check that maps change when a model loses what it learned."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_facnn._backend.forward import class_per_image
from keras_facnn._checks.arguments import check_callable
from keras_facnn._checks.classes import check_classes
from keras_facnn._checks.models import check_images_for
from keras_facnn._checks.models import classifier_shapes
from keras_facnn._checks.numbers import check_seed
from keras_facnn.metrics._result import Result
from keras_facnn.metrics._result import function_name
from keras_facnn.metrics._result import interval_half_width
from keras_facnn.metrics._shuffling import restored_weights
from keras_facnn.metrics._shuffling import shuffle_weights
from keras_facnn.metrics._similarity import spearman
from keras_facnn.types import AttributionMethod
from keras_facnn.types import Classes
from keras_facnn.types import Images
from keras_facnn.types import LayerName
from keras_facnn.types import MapMetric


@dataclasses.dataclass
class Randomization(Result):
    """Similarity of maps to the trained model's, as layers are randomized.

    Attributes:
        layers: Names of the layers, in the order in which they are randomized.
        mean: Mean similarity after this layer, and those before it in `layers`,
            were randomized. Images where it is undefined are left out.
        settings: The settings that gave this result.
        interval: Half the width of the mean's 95 % confidence interval, over
            images.
        undefined: Number of images without a value, because a map is constant.

    Example:

    >>> from keras_facnn.metrics import Randomization
    >>> result = Randomization(["head", "stem"], [0.6, 0.1], {}, [0, 0], [0, 0])
    >>> result.to_dataframe().shape
    (2, 4)
    """

    layers: list[str]
    mean: list[float]
    settings: dict[str, Any]
    interval: list[float]
    undefined: list[int]

    columns = ("layers", "mean", "interval", "undefined")


def cascading_randomization(
    model: keras.Model,
    images: Images,
    attribution: AttributionMethod,
    classes: Classes = None,
    *,
    layers: Sequence[LayerName] | None = None,
    metric: MapMetric = spearman,
    seed: int = 0,
    **kwargs: Any,
) -> Randomization:
    """Check that maps change when the model loses what it has learned.

    The weights of one layer after another are shuffled, from the output to the
    input, and the maps are compared with those of the trained model. If they
    stay similar, the attribution does not explain the model. The weights are
    restored at the end, also after an error.

    Source: Adebayo et al., "Sanity Checks for Saliency Maps",
    arXiv 1810.03292, section 3.

    Args:
        model: `keras.Model` of a classifier.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        attribution: Function of model, images and classes to maps `(B, h, w)`.
        classes: None for the class that the trained model predicts for each
            image, an integer, or a sequence of B integers.
        layers: Names of layers, or paths such as `"backbone/conv"` of layers in
            nested models. None means all layers that shuffling changes, from
            the last to the first.
        metric: Function of maps and reference to one value per image.
        seed: Non-negative integer, the seed of the shuffling.
        **kwargs: Passed to `attribution`, such as `layer`.

    Returns:
        A `Randomization`.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> result = keras_facnn.metrics.cascading_randomization(
    ...     model, images, keras_facnn.attribution.grad_cam, layer=2
    ... )
    >>> result.layers[-1]
    'conv_1'
    """
    check_callable("attribution", attribution)
    check_callable("metric", metric)
    _, num_classes = classifier_shapes(model)
    images = check_images_for(model, images)
    classes = check_classes(
        classes, len(images), num_classes, getattr(model, "class_names", None)
    )
    classes = class_per_image(model, images, classes, batch_size=32)
    chosen = _check_layers(model, layers)
    rng = np.random.default_rng(check_seed(seed))
    reference = attribution(model, images, classes, **kwargs)
    values = []
    with restored_weights(model):
        for layer in chosen.values():
            layer.set_weights(shuffle_weights(layer.get_weights(), rng))
            maps = attribution(model, images, classes, **kwargs)
            values.append(np.asarray(metric(maps, reference), "float64"))
    defined = [x[~np.isnan(x)] for x in values]
    return Randomization(
        layers=list(chosen),
        mean=[float(x.mean()) if len(x) else math.nan for x in defined],
        interval=[interval_half_width(x) for x in defined],
        undefined=[
            len(x) - len(y) for x, y in zip(values, defined, strict=True)
        ],
        settings={
            "attribution": function_name(attribution),
            "metric": function_name(metric),
            "images": len(images),
            "seed": seed,
        },
    )


def _layers_with_weights(
    model: keras.Model, prefix: str = ""
) -> dict[str, keras.Layer]:
    """Return the layers that have weights, also in nested models, by name."""
    found: dict[str, keras.Layer] = {}
    for layer in model.layers:
        if layer.weights:
            found[prefix + layer.name] = layer
        if isinstance(layer, keras.Model):
            found |= _layers_with_weights(layer, f"{prefix}{layer.name}/")
    return found


def _check_layers(
    model: keras.Model, layers: Sequence[LayerName] | None
) -> dict[str, keras.Layer]:
    """Return layers by name, from the last to the first by default."""
    known = _layers_with_weights(model)
    names = list(known)[::-1]
    if layers is None:
        return {
            name: known[name]
            for name in names
            # Nested models are left out, because their layers are in the list.
            # Layers that hold only single numbers can't be shuffled.
            if not isinstance(known[name], keras.Model)
            and any(math.prod(w.shape) > 1 for w in known[name].weights)
        }
    if not isinstance(layers, (list, tuple)) or not all(
        isinstance(name, str) and name in known for name in layers
    ):
        raise ValueError(
            "`layers` must be a sequence of names of layers that have weights, "
            f"among {', '.join(names)}. Received: layers={layers!r}"
        )
    return {name: known[name] for name in layers}
