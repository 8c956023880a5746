"""What a loss of logits does not see, and what makes it seen."""

from typing import Any

import keras
from keras import ops

from keras_facnn._checks.numbers import check_float


@keras.saving.register_keras_serializable(package="keras_facnn")
class EvidencePenalty(keras.losses.Loss):
    """A loss of softmax's, plus what evidence costs.

    Softmax does not see what the logits of all classes share. So under
    cross-entropy alone nothing keeps the maps of all classes from being nearly
    the same, bright wherever there is anything at all. With a price on the mean
    logit, which is the mean of all classes' maps times the head's scale,
    evidence stays where it tells classes apart: the maps of absent classes
    fade, and what is left of a map is what decides. Since no map is negative,
    it is an L1 penalty on the maps, which makes sparse (Tibshirani, "Regression
    Shrinkage and Selection via the Lasso", 1996).

    Works with deep alignment, which applies it to the logits of every layer,
    and does nothing to the model: it is no part of a preset.

    Args:
        loss: The `keras.losses.Loss` of logits to add it to.
        weight: Non-negative float, what a mean logit of 1 costs. The zoo's
            recipes use 0.03 to 0.05; zoo/results/sparse_evidence.md says what
            that does.
        **kwargs: Base loss keyword arguments, `name`, `reduction` and `dtype`;
            those of `loss` itself have no effect.

    Call arguments:
        y_true: Labels, as `loss` takes them.
        y_pred: Logits `(B, C)`. Negative ones, which an FA-CNN has with
            `threshold=True` alone, cost nothing. Losses for several labels an
            image see what is shared by themselves. Images whose label `loss`
            ignores, by `ignore_class`, cost nothing either.

    Raises:
        TypeError: If `loss` is no `keras.losses.Loss`.
        ValueError: If `weight` is no number of at least 0.

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
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        if not isinstance(loss, keras.losses.Loss):
            raise TypeError(
                "`loss` must be a keras.losses.Loss, such as keras.losses."
                "SparseCategoricalCrossentropy(from_logits=True). "
                f"Received: loss={loss!r}"
            )
        self.loss = loss
        self.weight = check_float("weight", weight, least=0)
        self._add = _AddAndKeepMask(dtype=self.dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        evidence = ops.mean(ops.relu(y_pred), axis=-1)
        return self._add(self.loss.call(y_true, y_pred), self.weight * evidence)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "loss": keras.saving.serialize_keras_object(self.loss),
            "weight": self.weight,
        }

    @classmethod
    def from_config(cls, config: dict) -> "EvidencePenalty":
        loss = keras.saving.deserialize_keras_object(config["loss"])
        return cls(**{**config, "loss": loss})


class _AddAndKeepMask(keras.layers.Layer):
    """Adds to a tensor, and hands on the Keras mask that it has.

    `SparseCategoricalCrossentropy(ignore_class=...)` says by it which images
    count in the mean, and a sum has none.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.built = True

    def call(self, losses, more):
        return losses + more
