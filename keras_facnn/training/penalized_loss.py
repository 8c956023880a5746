"""What losses with a penalty share."""

from typing import Any
from typing import Self

import keras

from keras_facnn._checks.numbers import check_float


class PenalizedLoss(keras.losses.Loss):
    """A loss of logits with a penalty for each image.

    Args:
        loss: The `keras.losses.Loss` of logits to which the penalty is added.
        weight: Non-negative float, the weight of the penalty.
        **kwargs: Base loss keyword arguments.

    Raises:
        TypeError: If `loss` is not a `keras.losses.Loss`.
        ValueError: If `weight` is not a non-negative number.
    """

    def __init__(self, loss: keras.losses.Loss, weight: float, **kwargs: Any):
        super().__init__(**kwargs)
        if not isinstance(loss, keras.losses.Loss):
            raise TypeError(
                "`loss` must be a keras.losses.Loss, such as keras.losses."
                "SparseCategoricalCrossentropy(from_logits=True). "
                f"Received: loss={loss!r}"
            )
        self.loss = loss
        self.weight = check_float("weight", weight, least=0)
        self._add = _AddAndKeepMask(dtype=self.dtype)

    def add_penalty(self, losses: Any, penalties: Any) -> Any:
        """Return `losses + weight * penalties`, both of shape `(B,)`."""
        return self._add(losses, self.weight * penalties)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "loss": keras.saving.serialize_keras_object(self.loss),
            "weight": self.weight,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        loss = keras.saving.deserialize_keras_object(config["loss"])
        return cls(**{**config, "loss": loss})


def losses_within(loss: Any) -> list[Any]:
    """Return a loss and the losses within its penalties, innermost last."""
    losses = [loss]
    while isinstance(losses[-1], PenalizedLoss):
        losses.append(losses[-1].loss)
    return losses


class _AddAndKeepMask(keras.layers.Layer):
    """Add a tensor to the losses, and keep their Keras mask.

    `SparseCategoricalCrossentropy(ignore_class=...)` marks with this mask
    which images count in the mean. A plain sum would lose it.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.built = True

    def call(self, losses: Any, more: Any) -> Any:
        return losses + more
