import math
import typing
from typing import Any

import numpy as np
import scipy
from keras import ops

from keras_facnn._checks.arguments import check_option
from keras_facnn._checks.models import check_fa_model
from keras_facnn.evaluation.outputs import read_outputs
from keras_facnn.evaluation.photos import find_photos
from keras_facnn.evaluation.scores import mean_cross_entropy
from keras_facnn.evaluation.unseen import leave_out_trained
from keras_facnn.types import Fit
from keras_facnn.types import OnError

# Bounds of a temperature. At a bound, the photos can't tell it.
_LEAST, _MOST = 0.02, 50.0


def fit_temperature(
    model: Any,
    photos: Any,
    *,
    image_size: int | tuple[int, int] | None = None,
    fit: Fit = "crop",
    on_error: OnError = "raise",
    batch_size: int = 32,
    verbose: int = 0,
) -> float:
    """Make an FA-CNN as sure as it is right, by one number.

    The temperature T is the number by which to divide all logits so that their
    cross-entropy on the photos is least. Since a logit is `scale * mean(map)`
    (less the offset of a threshold, which the scale multiplies, too), it is
    folded into the head: the new scale is `scale / T`. So probabilities change,
    everywhere and in every export, and the largest one stays the largest. No
    map changes.

    Source: Guo et al., "On Calibration of Modern Neural Networks", arXiv
    1706.04599.

    Args:
        model: A `FACNN`, whose head is changed. `preset_metadata` gets an entry
            `temperature`, which `save_to_preset` writes.
        photos: As in `keras_facnn.evaluate`. Photos that the model was trained
            on are left out, since it is too sure of them. Judge the result on
            other photos than these.
        image_size: As in `load_images`.
        fit: As in `load_images`.
        on_error: `"raise"` an error at the first photo that can't be read, or
            `"skip"` such photos, which a warning names.
        batch_size: Positive integer, images per forward pass.
        verbose: 1 shows a progress bar, 0 does not.

    Returns:
        The temperature. Above 1, the model was too sure.

    Raises:
        ValueError: If the photos can't tell the temperature, such as photos
            that are all right, or if a photo can't be read.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(3, depths=(2,), maps_per_class=(1,))
    >>> images = np.random.default_rng(0).uniform(0, 255, (6, 32, 32, 3))
    >>> logits = model.predict(images, verbose=0)
    >>> labels = logits.argmax(-1)
    >>> labels[0] = logits[0].argmin()  # one of six is wrong
    >>> temperature = keras_facnn.fit_temperature(model, (images, labels))
    >>> fitted = model.predict(images, verbose=0)
    >>> bool(np.allclose(logits / temperature, fitted, rtol=1e-3))
    True
    """
    check_fa_model(model)
    check_option("on_error", on_error, typing.get_args(OnError))
    found, folder = find_photos(model, photos, image_size, fit)
    found, _ = leave_out_trained(model, found, folder, include=False)
    read = list(read_outputs(model, found, on_error, batch_size, verbose))
    logits = np.concatenate([outputs for outputs, _ in read])
    labels = np.concatenate([found.labels[index] for _, index in read])
    temperature = best_temperature(logits, labels, model.head.threshold)
    with model.provenance.keeping_metadata(model):
        head = model.head
        scale = ops.convert_to_numpy(head.log_scale)
        head.log_scale.assign(scale - math.log(temperature))
    metadata = dict(model.preset_metadata or {})
    before = metadata.get("temperature") or {"value": 1.0}
    metadata["temperature"] = {
        "value": before["value"] * temperature,
        "images": len(logits),
    }
    model.preset_metadata = metadata
    return temperature


def best_temperature(
    logits: np.ndarray, labels: np.ndarray, several_labels: bool
) -> float:
    """Return the temperature of least cross-entropy.

    Args:
        logits: Array `(N, C)`.
        labels: Integers `(N,)`.
        several_labels: Whether each class has a probability of its own.
    """
    logits = np.asarray(logits, "float64")
    right = logits.argmax(-1) == labels
    own = np.arange(logits.shape[-1]) == np.asarray(labels)[:, None]
    # Then a smaller temperature is better without end. The search may stop
    # before its bound, where the cross-entropy is 0 in float64.
    is_all_right = ((logits > 0) == own if several_labels else right).all()
    # The cross-entropy is convex in 1 / T, so it has one minimum.
    found = scipy.optimize.minimize_scalar(
        lambda log_t: mean_cross_entropy(
            logits / math.exp(log_t), labels, several_labels
        ),
        bounds=(math.log(_LEAST), math.log(_MOST)),
        method="bounded",
        options={"xatol": 1e-5},
    )
    temperature = math.exp(found.x)
    if is_all_right or not 1.02 * _LEAST < temperature < _MOST / 1.02:
        raise ValueError(
            "`photos` can't tell the temperature, which would be "
            f"{'below' if temperature < 1 else 'above'} any bound: they need "
            "right answers and wrong ones. Give more photos. Received: "
            f"{len(labels)} photos, of which "
            f"{int(right.sum())} are right"
        )
    return temperature
