"""Losses that keep class maps sparse."""

from typing import Any

import keras
from keras import ops

from keras_facnn.training.penalized_loss import PenalizedLoss


@keras.saving.register_keras_serializable(package="keras_facnn")
class EvidencePenalty(PenalizedLoss):
    """Add a penalty on the mean logit to a softmax loss.

    A softmax does not change if the same number is added to all logits. So
    with cross-entropy only, the maps of all classes can be nearly the same:
    bright wherever the image shows anything. This loss adds `weight` times
    the mean logit, which is the mean of all classes' maps times the head's
    scale. Evidence then remains only where it distinguishes classes. The maps
    of absent classes fade, and the rest of a map is what decides. Because no
    map is negative, this is an L1 penalty on the maps, which makes them sparse
    (Tibshirani, "Regression Shrinkage and Selection via the Lasso", 1996).

    The loss works with deep alignment, which applies it to the logits of every
    layer. It does not change the model and is not saved in a preset.

    Args:
        loss: The `keras.losses.Loss` of logits to which the penalty is added.
        weight: Non-negative float, the penalty for a mean logit of 1. The
            zoo's recipes use 0.03 to 0.05. For the effect, see
            zoo/results/sparse_evidence.md.
        **kwargs: Base loss keyword arguments: `name`, `reduction` and `dtype`.
            Those of `loss` have no effect.

    Call arguments:
        y_true: Labels, in the format that `loss` expects.
        y_pred: Logits `(B, C)`. Negative logits have no penalty; an FA-CNN has
            them only with `threshold=True`. Images that `loss` ignores through
            `ignore_class` have no penalty either. A loss for several labels
            per image does not need this penalty, because it depends on every
            logit itself.

    Raises:
        TypeError: If `loss` is not a `keras.losses.Loss`.
        ValueError: If `weight` is not a non-negative number.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> import keras_facnn
    >>> y, logits = np.array([0]), np.array([[4.0, 1.0]], "float32")
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> penalized = keras_facnn.EvidencePenalty(loss, weight=0.1)
    >>> more = penalized(y, logits + 10) - penalized(y, logits)
    >>> round(float(keras.ops.convert_to_numpy(more)), 3)
    1.0
    """

    def __init__(
        self,
        loss: keras.losses.Loss,
        weight: float = 0.03,
        name: str | None = "evidence_penalty",
        **kwargs: Any,
    ):
        super().__init__(loss, weight, name=name, **kwargs)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        # Within this loss, a `RegionPenalty` also reads the maps.
        is_pair = isinstance(y_pred, (list, tuple))
        logits = y_pred[0] if is_pair else y_pred
        evidence = ops.mean(ops.relu(logits), axis=-1)
        return self.add_penalty(self.loss.call(y_true, y_pred), evidence)
