"""Compute the score of one class per image, and its gradient."""

import warnings
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from keras import tree

from keras_facnn._backend.gradients import gradient_function
from keras_facnn._checks.messages import callers_stacklevel
from keras_facnn._checks.models import all_layers
from keras_facnn._checks.models import check_finite_outputs
from keras_facnn._checks.models import look_like_probabilities

# Powers of two by which scores are scaled if a model computes in float16, where
# small gradients vanish and large ones overflow. The largest is tried first.
_FLOAT16_POWERS = (15, 10, 5, 0)
# Stands for the class with the largest score.
PREDICTED_CLASS = -1


def class_gradient(
    outputs: Callable[..., Any],
    variables: Sequence[keras.Variable],
    argument: str,
) -> Callable[..., Any]:
    """Return a function that computes the gradient of one class per image.

    Args:
        outputs: Function from `x` and any further tensors to scores `(B, C)`.
        variables: The Keras variables that it reads.
        argument: What `x` is, for error messages.

    Returns:
        A function of `x`, the class of each image, a factor and the further
        tensors. Class `PREDICTED_CLASS` is the one with the largest score. The
        function returns the float32 gradient with respect to `x`, and the
        scores. The scores are multiplied by the factor before differentiation.
    """

    def score(x: Any, targets: Any, factor: Any, *rest: Any) -> Any:
        scores = ops.cast(outputs(x, *rest), "float32")
        return factor * sum_scores(scores, targets), scores

    gradient = gradient_function(score, variables, True, argument)

    def divided(x: Any, targets: Any, factor: Any, *rest: Any) -> Any:
        g, scores = gradient(x, targets, factor, *rest)
        return ops.cast(g, "float32") / factor, scores

    return divided


def sum_scores(scores: Any, targets: Any) -> Any:
    """Return the sum of the scores of one class per image.

    Args:
        scores: Float32 tensor `(B, C)`.
        targets: The number of the class of each image. `PREDICTED_CLASS` means
            the class with the largest score.

    Returns:
        A float32 tensor without dimensions.
    """
    targets = ops.cast(targets, "int32")
    top = ops.cast(ops.argmax(scores, axis=-1), "int32")
    chosen = ops.one_hot(ops.where(targets < 0, top, targets), scores.shape[-1])
    return ops.sum(scores * chosen)


def scale_gradients(
    model: keras.Model, function: Callable[..., Any]
) -> Callable[..., Any]:
    """Wrap a function of gradients, so that they stay finite in float16.

    Args:
        model: The model that the function differentiates.
        function: Function of tensors and a factor, the last argument. It
            returns maps made of gradients, and scores.

    Returns:
        A function of only the tensors, which returns NumPy arrays.
    """
    in_float16 = any(
        layer.compute_dtype == "float16" for layer in all_layers(model)
    )

    def call(*args: Any) -> Any:
        for power in _FLOAT16_POWERS if in_float16 else (0,):
            made, scores = function(*args, np.float32(2**power))
            made = tree.map_structure(ops.convert_to_numpy, made)
            if all(np.isfinite(maps).all() for maps in tree.flatten(made)):
                break
        return made, scores

    return call


def check_scores(
    scores: np.ndarray, gradient: bool = False, twice: bool = False
) -> None:
    """Raise if scores are not finite, and warn if they should be logits.

    Args:
        scores: The model's outputs `(B, C)`.
        gradient: Whether they are differentiated.
        twice: Whether they are probabilities that are converted to
            probabilities again.
    """
    check_finite_outputs(scores)
    if not twice and not (gradient and look_like_probabilities(scores)):
        return
    warnings.warn(
        "The model's outputs look like probabilities. "
        + (
            "If a softmax is close to 1, its gradient vanishes, and so do the "
            "maps. Explain logits: give the last layer `activation=None`, or "
            "remove the softmax."
            if gradient
            else "With `probabilities=True` they go through a softmax again. "
            "Pass `probabilities=False`."
        ),
        stacklevel=callers_stacklevel(),
    )
