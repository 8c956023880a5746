"""Warnings about losses that do not fit the outputs of an FA-CNN."""

import inspect
import warnings
from typing import Any

import keras
from keras import tree

from keras_facnn.training.penalized_loss import losses_within


def warn_about_loss(loss: Any, threshold: bool) -> None:
    """Warn about a loss that does not fit the outputs of an FA-CNN.

    Args:
        loss: The `loss` argument of `compile`.
        threshold: Whether the head has a threshold, so logits can be negative.
    """
    for given in tree.flatten(loss):
        *penalties, given = losses_within(given)
        within = "".join(f"within {type(p).__name__} " for p in penalties[-1:])
        name, from_logits = _read_loss(given)
        if from_logits is False:
            warnings.warn(
                f"The outputs of an FA-CNN are logits, but `loss={given!r}` "
                f"expects probabilities. Write {within}"
                f"loss=keras.losses.{name}(from_logits=True).",
                stacklevel=3,
            )
        if name.startswith("Binary") and not threshold:
            warnings.warn(
                "No logit of this FA-CNN is negative, so its sigmoid is never "
                "below 0.5. For several labels per image, write "
                "FACNN(..., threshold=True).",
                stacklevel=3,
            )


def _read_loss(loss: Any) -> tuple[str, bool | None]:
    """Return the Keras class name of a loss, and its `from_logits` or None."""
    if isinstance(loss, str):
        if loss in ("crossentropy", "ce"):
            return "SparseCategoricalCrossentropy", False
        try:
            loss = keras.losses.get(loss)
        except ValueError:
            return loss, None
    if isinstance(loss, keras.losses.Loss):
        return type(loss).__name__, getattr(loss, "from_logits", None)
    try:
        from_logits = inspect.signature(loss).parameters["from_logits"].default
    except (TypeError, ValueError, KeyError):
        from_logits = None
    name = getattr(loss, "__name__", "")
    return name.title().replace("_", ""), from_logits
