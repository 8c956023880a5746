"""Check that maps change when a model loses what it learned."""

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
from keras_facnn.metrics._shuffling import restored_weights
from keras_facnn.metrics._shuffling import shuffle_weights
from keras_facnn.metrics._similarity import spearman
from keras_facnn.types import AttributionMethod
from keras_facnn.types import Classes
from keras_facnn.types import Images
from keras_facnn.types import LayerName
from keras_facnn.types import MapMetric


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
) -> Result:
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
        A `Result` with one column per layer, in the order in which they are
        randomized: the similarity after this layer, and those before it, were.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> result = keras_facnn.metrics.cascading_randomization(
    ...     model, images, keras_facnn.attribution.grad_cam, layer=2
    ... )
    >>> result.columns[-1]
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
    return Result(
        values=np.stack(values, axis=1),
        metric="cascading_randomization",
        higher_is_better=False,
        definition="the similarity of a map to the trained model's, after the "
        "weights of a layer and of those before it in the list were shuffled",
        source="Adebayo et al. 2018, arXiv 1810.03292, section 3",
        columns=tuple(chosen),
        settings={
            "attribution": function_name(attribution),
            "metric": function_name(metric),
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
