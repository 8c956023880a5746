"""Measure how exactly an FA-CNN keeps its promises, as `verify` does."""

import math

import keras
import numpy as np
from keras import ops

from keras_facnn._checks.classes import check_classes_for
from keras_facnn._checks.models import check_fa_model
from keras_facnn._checks.models import check_images_for
from keras_facnn.attribution import grad_cam
from keras_facnn.maps import pick_classes
from keras_facnn.metrics._similarity import pearson
from keras_facnn.types import Classes
from keras_facnn.types import Images


def exactness(
    model: keras.Model,
    images: Images,
    classes: Classes = "all",
    *,
    batch_size: int = 32,
) -> dict[str, float]:
    """Measure how exactly an FA-CNN keeps its promises on some images.

    Args:
        model: A `FACNN`.
        images: Array `(B, H, W, channels)`, 0..255, any real dtype.
        classes: The classes to check, as in `FACNN.class_maps`.
        batch_size: Positive integer, images per forward pass.

    Returns:
        A dict of floats:

        - `"theorem_1_correlation"`: the smallest Pearson correlation between
          `class_maps` and Grad-CAM (by the backend's gradient) at the last FA
          layer, over images and classes. Pairs of constant maps, for which no
          correlation exists, are left out; it is NaN if all are constant.
        - `"theorem_1_error"`: the largest `|Grad-CAM - s / (h w) * map|`, as a
          fraction of the largest `|Grad-CAM|`.
        - `"completeness_error"`: the largest `|logit - s * mean(map)|`, as a
          fraction of the range of the logits. Here and below, the constant of
          a head with a threshold is added to the logit.
        - `"evidence_error"`: the largest `|logit - sum of the layers'
          evidence|`, as a fraction of the range of the logits.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> keras_facnn.metrics.exactness(model, images)["evidence_error"] < 1e-4
    True
    """
    check_fa_model(model)
    images = check_images_for(model, images)
    classes = check_classes_for(model, classes, len(images))
    logits, maps = model.predict_with_maps(images, batch_size=batch_size)
    evidence = model.layer_evidence(images, "all", batch_size=batch_size)
    scale = float(ops.convert_to_numpy(model.head.scale))
    offset = float(ops.convert_to_numpy(model.head.offset))
    logit_range = max(float(np.ptp(logits)), keras.config.epsilon())

    def error(total: np.ndarray) -> float:
        gap = np.abs(total - offset - logits)
        gap = pick_classes(gap, classes, logits)
        return float(gap.max()) / logit_range

    own = pick_classes(maps, classes, logits)
    reference = grad_cam(
        model,
        images,
        classes,
        layer=model.num_layers,
        batch_size=batch_size,
    )
    gap = np.abs(reference - scale / math.prod(maps.shape[1:3]) * own)
    largest = max(float(reference.max()), keras.config.epsilon())
    correlations = pearson(own, reference).values
    return {
        "theorem_1_correlation": (
            math.nan
            if np.isnan(correlations).all()
            else float(np.nanmin(correlations))
        ),
        "theorem_1_error": float(gap.max()) / largest,
        "completeness_error": error(scale * maps.mean(axis=(1, 2))),
        "evidence_error": error(evidence.sum(axis=1)),
    }
