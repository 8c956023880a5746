"""Measure how much a method's maps change when noise is added to images."""

import warnings
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_facnn._backend.forward import progress_bar
from keras_facnn._checks.arrays import check_maps
from keras_facnn._checks.numbers import check_float
from keras_facnn._checks.numbers import check_int
from keras_facnn._checks.numbers import check_seed
from keras_facnn.metrics._randomization import check_images_to_explain
from keras_facnn.metrics._result import Result
from keras_facnn.metrics._result import function_name
from keras_facnn.types import AttributionMethod
from keras_facnn.types import Classes
from keras_facnn.types import Images


def max_sensitivity(
    model: keras.Model,
    images: Images,
    attribution: AttributionMethod,
    classes: Classes = None,
    *,
    noise: float = 0.02,
    samples: int = 10,
    seed: int = 0,
    verbose: int = 0,
    **kwargs: Any,
) -> Result:
    """Return the largest change of each map over noisy copies of its image.

    A change is the norm of the difference between the maps of a noisy image and
    of the image itself, divided by the norm of the latter. All maps are of the
    same class. It calls `attribution` `samples + 1` times.

    Source: Yeh et al., "On the (In)fidelity and Sensitivity of Explanations",
    arXiv 1901.09392, definition 3.1, estimated by random samples.

    Args:
        model: `keras.Model` of a classifier.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        attribution: Function of model, images and classes to maps `(B, h, w)`,
            such as `attribution.grad_cam` or `FACNN.class_maps`.
        classes: None for the class that the model predicts for each image, an
            integer, or a sequence of B integers.
        noise: Positive float, the largest change of a value of an image, as a
            share of the range of this image's values. It is drawn uniformly.
            The copies are not clipped.
        samples: Positive integer, the number of noisy copies per image. More of
            them can only raise the values.
        seed: Non-negative integer, the seed of the noise. All backends draw the
            same noise.
        verbose: 1 shows a progress bar, 0 does not.
        **kwargs: Passed to `attribution`, such as `layer`. An argument that has
            one of the names above needs `functools.partial`.

    Returns:
        A `Result` whose values `(B,)` are at least 0: 0.1 if the map changes by
        10 % of its norm. They are NaN where the map is 0 everywhere, or where
        an image has only one value, so that it gets no noise.

    Raises:
        ValueError: If an argument is not valid; the message names it.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> result = keras_facnn.metrics.max_sensitivity(
    ...     model, images, keras_facnn.FACNN.class_maps
    ... )
    >>> result.mean >= 0
    True
    """
    changes = _changes(
        model,
        images,
        attribution,
        classes,
        noise,
        samples,
        seed,
        verbose,
        kwargs,
    )
    return Result(
        values=np.max([_ratio(of_map, norm) for of_map, _, norm in changes], 0),
        metric="max_sensitivity",
        higher_is_better=False,
        definition="the largest change of a map over noisy copies of its "
        "image, as a share of the map's norm",
        source="Yeh et al. 2019, arXiv 1901.09392, definition 3.1",
        settings={
            "attribution": function_name(attribution),
            "noise": noise,
            "samples": samples,
            "seed": seed,
        },
    )


def local_lipschitz(
    model: keras.Model,
    images: Images,
    attribution: AttributionMethod,
    classes: Classes = None,
    *,
    noise: float = 0.02,
    samples: int = 10,
    seed: int = 0,
    verbose: int = 0,
    **kwargs: Any,
) -> Result:
    """Return how fast each map changes, at most, near its image.

    The value of an image is the largest ratio, over its noisy copies, of the
    norm of the map's change to that of the image's change. The copies are those
    of `max_sensitivity`. It calls `attribution` `samples + 1` times.

    Source: Alvarez-Melis and Jaakkola, "Towards Robust Interpretability with
    Self-Explaining Neural Networks", arXiv 1806.07538, section 5, estimated by
    random samples.

    Args:
        model: `keras.Model` of a classifier.
        images: Array `(B, H, W, channels)`, in the range that the model takes.
        attribution: Function of model, images and classes to maps `(B, h, w)`,
            such as `attribution.grad_cam` or `FACNN.class_maps`.
        classes: None for the class that the model predicts for each image, an
            integer, or a sequence of B integers.
        noise: As in `max_sensitivity`.
        samples: As in `max_sensitivity`.
        seed: Non-negative integer, the seed of the noise. All backends draw the
            same noise.
        verbose: 1 shows a progress bar, 0 does not.
        **kwargs: As in `max_sensitivity`.

    Returns:
        A `Result` whose values `(B,)` are at least 0, in units of the map per
        unit of the image. So they depend on the scale and resolution of the
        maps. They are NaN where an image has only one value, so that it gets no
        noise.

    Raises:
        ValueError: If an argument is not valid; the message names it.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> result = keras_facnn.metrics.local_lipschitz(
    ...     model, images, keras_facnn.FACNN.class_maps
    ... )
    >>> result.mean >= 0
    True
    """
    changes = _changes(
        model,
        images,
        attribution,
        classes,
        noise,
        samples,
        seed,
        verbose,
        kwargs,
    )
    return Result(
        values=np.max(
            [_ratio(of_map, of_image) for of_map, of_image, _ in changes], 0
        ),
        metric="local_lipschitz",
        higher_is_better=False,
        definition="the largest ratio of a map's change to that of its image, "
        "over noisy copies",
        source="Alvarez-Melis and Jaakkola 2018, arXiv 1806.07538, section 5",
        settings={
            "attribution": function_name(attribution),
            "noise": noise,
            "samples": samples,
            "seed": seed,
        },
    )


def _changes(
    model: keras.Model,
    images: Images,
    attribution: AttributionMethod,
    classes: Classes,
    noise: float,
    samples: int,
    seed: int,
    verbose: int,
    kwargs: dict[str, Any],
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield norms `(B,)` for each sample.

    They are those of the map's change, of the image's change, and of the map.
    """
    noise = check_float("noise", noise, above=0)
    samples = check_int("samples", samples)
    rng = np.random.default_rng(check_seed(seed))
    images, classes = check_images_to_explain(
        model, images, attribution, classes
    )
    bar = progress_bar(samples, verbose, "sample")

    def explain(images: np.ndarray) -> np.ndarray:
        maps = attribution(model, images, classes, **kwargs)
        return check_maps(maps, batch=len(images))

    images = images.astype("float32")
    scale = noise * np.ptp(images, axis=(1, 2, 3), keepdims=True)
    maps = explain(images)
    for _ in range(samples):
        noisy = images + scale * rng.uniform(-1, 1, images.shape)
        noisy = noisy.astype("float32")
        with warnings.catch_warnings():
            # The range of the images themselves was checked before.
            warnings.filterwarnings("ignore", "`images` should be in 0..255")
            change = explain(noisy) - maps
        # Without noise, nothing is known about the map.
        of_map = np.where(scale.ravel() > 0, _norms(change), np.nan)
        yield of_map, _norms(noisy - images), _norms(maps)
        bar.add(1)


def _norms(arrays: np.ndarray) -> np.ndarray:
    """Return the Euclidean norm of each array of a batch, float64 `(B,)`."""
    flat = arrays.reshape(len(arrays), -1).astype("float64")
    return np.linalg.norm(flat, axis=1)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Return a ratio, and NaN where the denominator is 0."""
    return np.divide(
        above, below, out=np.full(above.shape, np.nan), where=below > 0
    )
