"""Compare class maps with a reference, layer by layer."""

import dataclasses
import json
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_facnn._backend.cache import cached_function
from keras_facnn._backend.forward import compute_scores
from keras_facnn._backend.forward import progress_bar
from keras_facnn._backend.forward import run_in_batches
from keras_facnn._checks.arguments import check_bool
from keras_facnn._checks.arguments import check_callable
from keras_facnn._checks.classes import check_classes_for
from keras_facnn._checks.classes import check_one_class_per_image
from keras_facnn._checks.models import check_fa_model
from keras_facnn._checks.models import check_images_for
from keras_facnn._checks.numbers import check_int
from keras_facnn._checks.numbers import check_seed
from keras_facnn._graph.layer_path import layer_name
from keras_facnn.attribution import grad_cam
from keras_facnn.attribution._gradient_cam import grad_cam_by_layer
from keras_facnn.explaining.layer_readers import check_layers
from keras_facnn.maps import strongest_rivals
from keras_facnn.metrics._result import Result
from keras_facnn.metrics._result import function_name
from keras_facnn.metrics._shuffling import restored_weights
from keras_facnn.metrics._shuffling import shuffle_weights
from keras_facnn.metrics._similarity import pearson
from keras_facnn.types import AttributionMethod
from keras_facnn.types import Classes
from keras_facnn.types import Images
from keras_facnn.types import LayerName
from keras_facnn.types import MapMetric


@dataclasses.dataclass(eq=False, kw_only=True)
class SimilarityByLayer(Result):
    """Similarity of class maps to a reference, with one column per FA layer.

    Attributes:
        controls: Empty, or a dict of two results by name. They compare the maps
            of another image, `"other_image"`, and of a model with shuffled
            weights, `"shuffled_weights"`, with the same reference.

    Example:

    >>> from keras_facnn.metrics import SimilarityByLayer
    >>> result = SimilarityByLayer(
    ...     values=[[0.8, 1.0]], metric="similarity_by_layer", columns=(1, 2)
    ... )
    >>> result.mean
    [0.8, 1.0]
    """

    controls: dict[str, Result] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        # From JSON, a control is what its own `to_json` returned.
        self.controls = {
            name: control
            if isinstance(control, Result)
            else Result.from_json(json.dumps(control))
            for name, control in self.controls.items()
        }

    def summary(self) -> Any:
        """Return one row per layer, with the means of the controls."""
        table = super().summary()
        for name, control in self.controls.items():
            low, high = control.interval
            table[name] = control.mean
            table[f"{name}_low"], table[f"{name}_high"] = low, high
        return table


def similarity_by_layer(
    model: keras.Model,
    images: Images,
    classes: Classes = None,
    *,
    layers: Sequence[LayerName] | None = None,
    metric: MapMetric = pearson,
    reference: AttributionMethod = grad_cam,
    contrast: bool = False,
    centered: bool = False,
    controls: bool = False,
    seed: int = 0,
    batch_size: int = 32,
    verbose: int = 0,
) -> SimilarityByLayer:
    """Measure how similar class maps are to Grad-CAM, layer by layer.

    The maps of all classes may be similar, because all see the same object.
    Then a map is also similar to Grad-CAM of another class; `contrast` removes
    what two classes share. The maps of all images may be similar as well, if
    all show an object in the middle. The maps of an untrained model may be
    similar, too, if their borders are dark or bright. Use `controls` to measure
    both.

    Source: FA-CNN, arXiv 2603.25798, Figure 1; `contrast` and `centered` are
    ours. The shuffled weights are the last step of `cascading_randomization`.

    Args:
        model: A `FACNN`.
        images: Array `(B, H, W, channels)`, 0..255.
        classes: None for the predicted class of each image, an integer, or a
            sequence of B integers.
        layers: Numbers or names of FA layers; None means all.
        metric: Function of maps and reference, both `(B, h, w)`, to one value
            per image, such as `pearson`, `spearman` or `top_iou`.
        reference: Attribution to compare with. It is called like `grad_cam`,
            for each layer of a batch: with model, images and classes, and with
            `layer`, the name `"fa_l"`, and `batch_size`. `grad_cam` itself
            needs only one pass for all layers.
        contrast: Whether to compare differences of maps: those of the class
            minus those of its strongest rival, which is the other class with
            the largest logit.
        centered: Whether to compare the maps of
            `model.class_maps(images, centered=True)`, from which the mean over
            the classes is subtracted. The reference is unchanged.
        controls: Whether to also measure two kinds of maps that cannot explain
            the answer. The first is, for each image, the map of another image
            for the class of that other image. The second is the image's own map
            after the entries of each weight of the model were shuffled. The
            weights are restored at the end, also after an error.
        seed: Non-negative integer, the seed of the controls. The interval of
            `"shuffled_weights"` is over images, for one shuffling. Another seed
            gives another shuffling.
        batch_size: Positive integer, images per forward pass.
        verbose: 1 shows a progress bar, 0 does not.

    Returns:
        A `SimilarityByLayer`.

    Raises:
        ValueError: If an argument is not valid; the message names it.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> result = keras_facnn.metrics.similarity_by_layer(
    ...     model, images, controls=True
    ... )
    >>> round(result.mean[-1], 4)
    1.0
    >>> list(result.controls)
    ['other_image', 'shuffled_weights']
    """
    check_fa_model(model)
    check_callable("metric", metric)
    check_callable("reference", reference)
    check_bool("contrast", contrast)
    check_bool("centered", centered)
    check_bool("controls", controls)
    check_int("batch_size", batch_size)
    seed = check_seed(seed)
    if contrast and centered:
        raise ValueError(
            "`contrast` and `centered` must not both be True, because the "
            "difference of two maps does not hold what all classes share. "
            "Received: contrast=True, centered=True"
        )
    numbers = check_layers(model, layers)
    if not numbers:
        raise ValueError(
            "`layers` must name at least one layer. "
            f"Received: layers={layers!r}"
        )
    images = check_images_for(model, images)
    count = len(images)
    if controls and count < 2:
        raise ValueError(
            "`controls` needs at least two images, because each is compared "
            f"with the map of another. Received: {count} image"
        )
    bar = progress_bar(count, verbose, "image")
    classes = check_one_class_per_image(
        check_classes_for(model, classes, count)
    )
    if contrast or classes is None:
        logits = compute_scores(model, images, batch_size)
    if classes is None:
        classes = logits.argmax(axis=-1)
    classes = np.broadcast_to(classes, count)
    rivals = strongest_rivals(logits, classes) if contrast else None
    names = [layer_name(n) for n in numbers]

    def maps_of(
        which: Any, one_size: bool, function: Callable[..., Any], option: Any
    ) -> list[np.ndarray]:
        """Return maps by layer of some images, minus those of the rivals."""
        own, *other = (
            function(
                model,
                images[which],
                chosen[which],
                names,
                batch_size,
                one_size,
                option,
            )
            for chosen in (classes, rivals)
            if chosen is not None
        )
        return (
            [a - b for a, b in zip(own, *other, strict=True)] if other else own
        )

    if controls:
        rng = np.random.default_rng(seed)
        others = _other_images(count, rng)
        shuffled = shuffle_weights(model.get_weights(), rng)
    parts: dict[str, list] = {}
    for start in range(0, count, batch_size):
        some = slice(start, start + batch_size)
        one_size = start > 0
        references = maps_of(some, one_size, _references, reference)
        maps = {"own": maps_of(some, one_size, _own_maps, centered)}
        if controls:
            maps["other_image"] = maps_of(
                others[some], one_size, _own_maps, centered
            )
            with restored_weights(model):
                model.set_weights(shuffled)
                maps["shuffled_weights"] = maps_of(
                    some, one_size, _own_maps, centered
                )
        for name, by_layer in maps.items():
            pairs = zip(by_layer, references, strict=True)
            values = [np.asarray(metric(a, b), "float64") for a, b in pairs]
            parts.setdefault(name, []).append(values)
        bar.add(len(images[some]))
    common: dict[str, Any] = {
        "metric": "similarity_by_layer",
        "higher_is_better": True,
        "definition": "the similarity of a class map to the reference",
        "source": "arXiv 2603.25798, Figure 1",
        "columns": tuple(numbers),
    }
    settings = {
        "metric": function_name(metric),
        "reference": function_name(reference),
        "contrast": contrast,
        "centered": centered,
    }
    by_name = {
        name: np.concatenate(some, axis=1).T for name, some in parts.items()
    }
    return SimilarityByLayer(
        values=by_name.pop("own"),
        settings=settings,
        controls={
            name: Result(
                values=values,
                settings={**settings, "control": name, "seed": seed},
                **common,
            )
            for name, values in by_name.items()
        },
        **common,
    )


def _other_images(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return for each of some images the number of another one."""
    # One cycle through all images, so that none is paired with itself.
    cycle = rng.permutation(count)
    others = np.empty_like(cycle)
    others[cycle] = np.roll(cycle, 1)
    return others


def _references(
    model: keras.Model,
    images: np.ndarray,
    classes: np.ndarray,
    names: Sequence[str],
    batch_size: int,
    one_size: bool,
    reference: AttributionMethod,
) -> list[np.ndarray]:
    """Return a reference's maps of one class per image, at each layer."""
    if reference is grad_cam:
        return grad_cam_by_layer(
            model, images, classes, names, batch_size, one_size
        )
    return [
        reference(model, images, classes, layer=n, batch_size=batch_size)
        for n in names
    ]


def _own_maps(
    model: Any,
    images: np.ndarray,
    classes: np.ndarray,
    names: Sequence[str],
    batch_size: int,
    one_size: bool,
    centered: bool,
) -> list[np.ndarray]:
    """Return the class maps at each layer, by one forward pass."""

    def make() -> Callable[..., Any]:
        features = model.feature_extractor(names)

        def read(x: Any, targets: Any) -> list[Any]:
            outputs = features(x, training=False)
            targets = ops.cast(targets, "int32")
            chosen = ops.one_hot(targets, model.num_classes)[:, None, None]
            if centered:
                chosen = chosen - 1 / model.num_classes
            return [
                ops.sum(model.head.class_maps(outputs[name]) * chosen, axis=-1)
                for name in names
            ]

        return read

    function = cached_function(model, (_own_maps, centered, *names), make)
    return run_in_batches(
        function, (images, classes), batch_size, one_size=one_size
    )
