from typing import Any

import keras
from keras import ops

from keras_facnn._checks.arguments import check_bool
from keras_facnn._checks.numbers import is_number


@keras.saving.register_keras_serializable(package="keras_facnn")
class DampenedSkip(keras.layers.Layer):
    """Convex sum of a skip connection and a branch.

    Computes `(1 - alpha) * skip + alpha * branch`. Every channel of the output
    is a blend of the *same* channel of both inputs, so each channel keeps its
    class. If the inputs are non-negative, so is the output.

    Source: FA-CNN, arXiv 2603.25798, Figure 2 (dampened skip connection).
    `drop_rate` is stochastic depth (Huang et al., arXiv 1603.09382).

    Args:
        alpha: Float in the open interval (0, 1). The weight of the branch.
        drop_rate: Float in [0, 1 - alpha), the share of images for which the
            branch is left out during training. For these images the output is
            `skip`. For the others the branch has the weight
            `alpha / (1 - drop_rate)`. The output is still a convex sum, and
            its mean equals the output at inference.
        folded: Whether `branch` is already multiplied by `alpha`, as in a
            graph for inference whose convolutions include that factor. The
            layer then computes `(1 - alpha) * skip + branch`. It cannot train,
            so `drop_rate` must be 0.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: A list `[skip, branch]` of two tensors of the same shape.

    Returns:
        A tensor of the same shape as the inputs.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> skip = np.ones((1, 2, 2, 3), "float32")
    >>> branch = np.zeros((1, 2, 2, 3), "float32")
    >>> out = keras_facnn.layers.DampenedSkip(alpha=0.25)([skip, branch])
    >>> float(out[0, 0, 0, 0])
    0.75
    """

    def __init__(
        self,
        alpha: float,
        drop_rate: float = 0.0,
        folded: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        _check_alpha(alpha)
        if not is_number(drop_rate) or not 0.0 <= drop_rate < 1.0 - alpha:
            raise ValueError(
                f"`drop_rate` must be at least 0 and below 1 - alpha = "
                f"{1.0 - alpha:.3g}. Received: drop_rate={drop_rate!r}"
            )
        self._alpha = float(alpha)
        self.drop_rate = float(drop_rate)
        self.folded = check_bool("folded", folded)
        if self.folded and self.drop_rate:
            raise ValueError(
                "`drop_rate` must be 0 if `folded` is True. "
                f"Received: drop_rate={drop_rate!r}"
            )
        if self.drop_rate:
            self.seed_generator = keras.random.SeedGenerator()

    def build(self, input_shape: Any) -> None:
        self._check(input_shape)

    @property
    def alpha(self) -> float:
        """The weight of the branch, which can be set unless it is folded."""
        return self._alpha

    @alpha.setter
    def alpha(self, alpha: float) -> None:
        _check_alpha(alpha)
        if self.folded:
            raise ValueError(
                "`alpha` can't be changed in a fused model, because its "
                "convolutions include it. Change that of the model before "
                f"`fuse()`. Received: alpha={alpha!r}"
            )
        if self.drop_rate >= 1.0 - alpha:
            raise ValueError(
                f"`alpha` must be below 1 - drop_rate = "
                f"{1.0 - self.drop_rate:.3g}. Received: alpha={alpha!r}"
            )
        self._alpha = float(alpha)

    @property
    def branch_weight(self) -> float:
        """Factor that multiplies the branch at inference."""
        return 1.0 if self.folded else self.alpha

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        skip, branch = inputs
        if self.folded:
            return (1.0 - self.alpha) * skip + branch
        weight = self.alpha
        if training and self.drop_rate:
            draw = keras.random.uniform(
                (ops.shape(skip)[0],) + (1,) * (len(skip.shape) - 1),
                seed=self.seed_generator,
            )
            weight = ops.cast(
                ops.where(
                    draw < self.drop_rate, 0.0, weight / (1 - self.drop_rate)
                ),
                skip.dtype,
            )
        return (1.0 - weight) * skip + weight * branch

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        self._check(input_shape)
        return tuple(
            a if a is not None else b for a, b in zip(*input_shape, strict=True)
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "alpha": self.alpha,
            "drop_rate": self.drop_rate,
            "folded": self.folded,
        }

    def _check(self, input_shape: Any) -> None:
        """Raise unless there are two inputs of one shape."""
        if (
            not isinstance(input_shape, (list, tuple))
            or len(input_shape) != 2
            or not all(isinstance(s, (list, tuple)) for s in input_shape)
        ):
            raise ValueError(
                "`DampenedSkip` expects a list of two tensors, "
                f"[skip, branch]. Received: input_shape={input_shape}"
            )
        skip, branch = input_shape
        if len(skip) != len(branch) or any(
            None not in (a, b) and a != b
            for a, b in zip(skip, branch, strict=True)
        ):
            raise ValueError(
                "`DampenedSkip` expects `skip` and `branch` of the same shape. "
                f"Received: skip {tuple(skip)}, branch {tuple(branch)}"
            )


def _check_alpha(alpha: float) -> None:
    if not is_number(alpha) or not 0.0 < alpha < 1.0:
        raise ValueError(
            "`alpha` must be a number strictly between 0 and 1. "
            f"Received: alpha={alpha!r}"
        )
