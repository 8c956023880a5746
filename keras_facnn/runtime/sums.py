"""Check that the maps in a file sum to its logits."""

from collections.abc import Mapping

import numpy as np

from keras_facnn.runtime.facts import Facts

# The largest difference, as a share of the largest logit, or of 1.
_TOLERANCE = 1e-3


def sum_errors(outputs: Mapping[str, np.ndarray], facts: Facts) -> np.ndarray:
    """Return how far the sums of maps are from the logits.

    Args:
        outputs: The logits and the class maps, as they are in the file.
        facts: The facts of the file.

    Returns:
        A float32 array `(B,)`, the largest difference in each image, in units
        of the logit.
    """
    logits = outputs["logits"].astype("float64")
    sums = facts.scale * outputs["class_maps"].mean((1, 2), dtype="float64")
    differences = sums - logits
    if facts.centered:
        differences += logits.mean(axis=-1, keepdims=True)
    elif facts.offset is not None:
        differences -= facts.offset
    else:
        # The offset is the same for all classes.
        differences -= differences.mean()
    return np.abs(differences).max(axis=-1).astype("float32")


def check_sums(errors: np.ndarray, logits: np.ndarray, name: str) -> None:
    """Raise if the maps do not sum to the logits.

    Args:
        errors: Result of `sum_errors`.
        logits: Array `(B, C)`.
        name: The name of the file, for messages.
    """
    most = np.maximum(np.abs(logits).max(axis=-1), 1)
    # Written so that NaN does not pass.
    if not (errors <= _TOLERANCE * most).all():
        raise ValueError(
            f"{name}: its maps do not sum to its logits, so that they do not "
            f"explain them. They are up to {np.max(errors):.3g} off, of logits "
            f"up to {most.max():.3g}. Export the model again"
        )
