"""Check that maps change when a model loses what it learned."""

import functools
import warnings
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import Literal

import keras
import numpy as np
import scipy

from keras_facnn._backend.forward import class_per_image
from keras_facnn._backend.forward import compute_scores
from keras_facnn._checks.arguments import check_callable
from keras_facnn._checks.arrays import check_maps
from keras_facnn._checks.classes import check_classes
from keras_facnn._checks.models import all_layers
from keras_facnn._checks.models import check_images_for
from keras_facnn._checks.models import classifier_shapes
from keras_facnn._checks.models import is_fa_model
from keras_facnn._checks.numbers import check_float
from keras_facnn._checks.numbers import check_int
from keras_facnn._checks.numbers import check_seed
from keras_facnn._graph.layer_path import layer_name
from keras_facnn.attribution import disagreement
from keras_facnn.explaining.layer_readers import check_layer
from keras_facnn.maps import are_constant
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

# Why a layer is not randomized, in the settings of a result.
_SAME_WEIGHTS = "shuffling leaves its weights as they are"
_NOT_READ = "the maps are read before it"
_NO_EFFECT = "shuffling it changed neither the answers nor the maps"


def cascading_randomization(
    model: keras.Model,
    images: Images,
    attribution: AttributionMethod,
    classes: Classes = None,
    *,
    layers: Sequence[LayerName] | Literal["all"] | None = None,
    metric: MapMetric = spearman,
    samples: int = 1,
    noise: float = 0.1,
    seed: int = 0,
    **kwargs: Any,
) -> Result:
    """Check that maps change when the model loses what it has learned.

    The weights of one layer after another are shuffled, from the output to the
    input, and the maps are compared with those of the trained model. If they
    stay similar, the attribution does not explain the model. The weights are
    restored at the end, also after an error.

    With `samples` above 1, this is the smooth test: it compares means of maps
    over noisy copies of each image, so that maps of much detail do not pass by
    their own noise.

    Cost: `samples` calls of `attribution` for each layer, and as many before.

    Source: Adebayo et al., "Sanity Checks for Saliency Maps",
    arXiv 1810.03292, section 3; the smooth test is by Hedstrom et al., "Sanity
    Checks Revisited", arXiv 2401.06465.

    Args:
        model: `keras.Model` of a classifier.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        attribution: Function of model, images and classes to maps `(B, h, w)`.
            For the class maps of an FA-CNN, it is `FACNN.class_maps`.
        classes: None for the class that the trained model predicts for each
            image, an integer, or a sequence of B integers.
        layers: Names of layers, or paths such as `"backbone/conv"` of layers in
            nested models. None means all layers, from the last to the first,
            except for those that can't change a map. These are layers whose
            weights stay the same when they are shuffled, such as zeros; for
            `FACNN.class_maps` and `attribution.disagreement`, layers that come
            after the layer that they read; and layers whose shuffling changes
            neither a map nor an answer. Layers that you name are all shuffled.
            `"all"` shuffles all weights at once, which is the end of the test
            for the cost of one layer.
        metric: Function of maps and reference to one value per image.
        samples: Positive integer, the maps per image whose mean is compared:
            one of the image itself, and the others of noisy copies.
        noise: Non-negative float, the standard deviation of the noise, as a
            share of the range of each image's values. The copies are not
            clipped. All steps use the same copies.
        seed: Non-negative integer, the seed of the shuffling and of the noise.
        **kwargs: Passed to `attribution`, such as `layer`. An argument that has
            one of the names above needs `functools.partial`.

    Returns:
        A `Result` with one column per layer, in the order in which they are
        randomized: the similarity after this layer, and those before it, were.
        `settings["skipped"]` says of each layer that has no column, why.

    Raises:
        ValueError: If an argument is not valid, or no layer is left.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> result = keras_facnn.metrics.cascading_randomization(
    ...     model, images, keras_facnn.FACNN.class_maps, layer=1
    ... )
    >>> result.columns[-1]
    'conv_1'
    >>> result.settings["skipped"]["conv_2"]
    'the maps are read before it'
    """
    check_callable("metric", metric)
    samples = check_int("samples", samples)
    noise = check_float("noise", noise, least=0)
    rng = np.random.default_rng(check_seed(seed))
    images, classes = check_images_to_explain(
        model, images, attribution, classes
    )
    chosen, skipped = _check_layers(model, layers, attribution, kwargs)
    explain = functools.partial(
        _smooth_maps, attribution, model, images, classes, kwargs
    )
    reference = maps = explain(samples, noise, seed)
    values = {}
    with restored_weights(model):
        for name, layer in chosen.items():
            before = layer.get_weights()
            layer.set_weights(shuffle_weights(before, rng))
            maps_before, maps = maps, explain(samples, noise, seed)
            if (
                layers is None
                and np.array_equal(maps, maps_before)
                and _gives_same_answers(model, images, layer, before)
            ):
                skipped[name] = _NO_EFFECT
                continue
            values[name] = np.asarray(metric(maps, reference), "float64")
    if not values:
        raise ValueError(
            "`model` must have a layer whose shuffling changes its answers or "
            f"the maps. Received: a model whose layers all do not, {skipped}"
        )
    smooth = {"samples": samples, "noise": noise} if samples > 1 else {}
    return Result(
        values=np.stack([*values.values()], axis=1),
        metric="cascading_randomization",
        higher_is_better=False,
        definition="the similarity of a map to the trained model's, after the "
        "weights of a layer and of those before it in the list were shuffled",
        source="Adebayo et al. 2018, arXiv 1810.03292, section 3"
        + (samples > 1) * "; Hedstrom et al. 2024, arXiv 2401.06465",
        columns=tuple(values),
        settings={
            "attribution": function_name(attribution),
            "metric": function_name(metric),
            "seed": seed,
            "skipped": skipped,
            **smooth,
        },
    )


def efficient_randomization(
    model: keras.Model,
    images: Images,
    attribution: AttributionMethod,
    classes: Classes = None,
    *,
    bins: int = 100,
    seed: int = 0,
    **kwargs: Any,
) -> Result:
    """Check that maps become more complex when all weights are shuffled.

    The complexity of a map is the entropy of the histogram of its values. A
    model that has lost what it learned should have maps of more disorder. So
    the value of an image is how much the entropy rises, as a share of what it
    was. No two maps are compared. The weights are restored at the end, also
    after an error.

    Cost: two calls of `attribution`.

    Source: Hedstrom et al., "Sanity Checks Revisited: An Exploration to Repair
    the Model Parameter Randomisation Test", arXiv 2401.06465, efficient MPRT.

    Args:
        model: `keras.Model` of a classifier.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        attribution: Function of model, images and classes to maps `(B, h, w)`.
        classes: None for the class that the trained model predicts for each
            image, an integer, or a sequence of B integers.
        bins: Integer, at least 2, the number of bins of equal width between the
            least and the largest value of each map. Maps of few locations fill
            few of them, so compare maps of one resolution only.
        seed: Non-negative integer, the seed of the shuffling.
        **kwargs: Passed to `attribution`, such as `layer`.

    Returns:
        A `Result` with one value per image, at least -1: 0.1 if the entropy
        rises by 10 %, and -1 if the map becomes constant. It is NaN where the
        map of the trained model is constant. Above 0 is better.

    Raises:
        ValueError: If an argument is not valid; the message names it.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> result = keras_facnn.metrics.efficient_randomization(
    ...     model, images, keras_facnn.FACNN.class_maps
    ... )
    >>> result.values.shape
    (2,)
    """
    bins = check_int("bins", bins, least=2)
    rng = np.random.default_rng(check_seed(seed))
    images, classes = check_images_to_explain(
        model, images, attribution, classes
    )

    def entropies() -> np.ndarray:
        maps = check_maps(attribution(model, images, classes, **kwargs))
        return _histogram_entropy(maps, bins)

    before = entropies()
    with restored_weights(model):
        model.set_weights(shuffle_weights(model.get_weights(), rng))
        after = entropies()
    return Result(
        values=np.divide(
            after - before,
            before,
            out=np.full(before.shape, np.nan),
            where=before > 0,
        ),
        metric="efficient_randomization",
        higher_is_better=True,
        definition="the rise of a map's entropy after all weights were "
        "shuffled, as a share of its entropy before",
        source="Hedstrom et al. 2024, arXiv 2401.06465",
        settings={
            "attribution": function_name(attribution),
            "bins": bins,
            "seed": seed,
        },
    )


def check_images_to_explain(
    model: keras.Model,
    images: Images,
    attribution: AttributionMethod,
    classes: Classes,
) -> tuple[np.ndarray, np.ndarray]:
    """Return images, and the class of each that is to be explained."""
    check_callable("attribution", attribution)
    _, num_classes = classifier_shapes(model)
    images = check_images_for(model, images)
    checked = check_classes(
        classes, len(images), num_classes, getattr(model, "class_names", None)
    )
    return images, class_per_image(model, images, checked, batch_size=32)


def _smooth_maps(
    attribution: AttributionMethod,
    model: keras.Model,
    images: np.ndarray,
    classes: np.ndarray,
    kwargs: dict[str, Any],
    samples: int,
    noise: float,
    seed: int,
) -> np.ndarray:
    """Return the mean of an image's map and of those of its noisy copies."""
    maps = np.asarray(attribution(model, images, classes, **kwargs))
    if samples == 1:
        return maps
    total = maps.astype("float64")
    axes = tuple(range(1, images.ndim))
    deviation = noise * np.ptp(images.astype("float64"), axes, keepdims=True)
    # Apart from the numbers that shuffle the weights, and the same each time.
    rng = np.random.default_rng([seed, 1])
    with warnings.catch_warnings():
        # The range of the images themselves was checked before.
        warnings.filterwarnings("ignore", "`images` should be in 0..255")
        for _ in range(samples - 1):
            noisy = images + deviation * rng.standard_normal(images.shape)
            total += attribution(
                model, noisy.astype("float32"), classes, **kwargs
            )
    return total / samples


def _gives_same_answers(
    model: keras.Model,
    images: np.ndarray,
    layer: keras.Layer,
    weights: list[np.ndarray],
) -> bool:
    """Return whether other weights of a layer would give the same answers."""
    after, now = compute_scores(model, images), layer.get_weights()
    layer.set_weights(weights)
    before = compute_scores(model, images)
    layer.set_weights(now)
    return np.array_equal(before, after)


def _histogram_entropy(maps: np.ndarray, bins: int) -> np.ndarray:
    """Return the entropy of the histogram of each map's values, in nats."""
    # The bins of a constant map would be as narrow as rounding.
    return np.array(
        [
            0.0 if constant else scipy.stats.entropy(np.histogram(m, bins)[0])
            for m, constant in zip(
                maps.astype("float64"), are_constant(maps).ravel(), strict=True
            )
        ]
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
    model: keras.Model,
    layers: Sequence[LayerName] | Literal["all"] | None,
    attribution: AttributionMethod,
    kwargs: dict[str, Any],
) -> tuple[dict[str, keras.Layer], dict[str, str]]:
    """Return layers by name, and why others can't change a map.

    By default, they are in order from the last to the first.
    """
    known = _layers_with_weights(model)
    names = list(known)[::-1]
    if isinstance(layers, str) and layers == "all":
        return {"all": model}, {}
    if layers is not None:
        if (
            not isinstance(layers, (list, tuple))
            or not layers
            or not all(isinstance(n, str) and n in known for n in layers)
        ):
            raise ValueError(
                "`layers` must be a sequence of names of layers that have "
                f"weights, among {', '.join(names)}, or 'all'. Received: "
                f"layers={layers!r}"
            )
        return {name: known[name] for name in layers}, {}
    reads = _layers_read(model, attribution, kwargs)
    chosen, skipped = {}, {}
    for name in names:
        layer = known[name]
        # Nested models are left out, because their layers are in the list.
        if isinstance(layer, keras.Model):
            continue
        # A weight that is a single number is constant, too.
        if all(np.ptp(w) == 0 for w in layer.get_weights() if w.size):
            skipped[name] = _SAME_WEIGHTS
        elif reads is not None and layer not in reads:
            skipped[name] = _NOT_READ
        else:
            chosen[name] = layer
    return chosen, skipped


def _layers_read(
    model: Any, attribution: Callable[..., Any], kwargs: dict[str, Any]
) -> list[keras.Layer] | None:
    """Return the layers that maps can depend on; None if that is not known.

    A method that uses a gradient also depends on the layers after those that
    it reads. What other people's functions read is not known.
    """
    if not is_fa_model(model) or attribution not in (
        getattr(type(model), "class_maps", None),
        disagreement,
    ):
        return None
    last = layer_name(check_layer(model, kwargs.get("layer")))
    return list(
        all_layers(keras.Model(model.input, model.get_layer(last).output))
    )
