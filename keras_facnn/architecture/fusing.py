"""Fold norms and branch weights into convolutions, for inference."""

from typing import Any

import numpy as np
from keras import ops

from keras_facnn._backend.initializers import skip_initializers
from keras_facnn._backend.values import read_values
from keras_facnn.architecture.graph import finalize_layers


def fuse(model: Any) -> Any:
    """Return a copy of a `FACNN` for inference; see `FACNN.fuse`.

    `a * relu(g * (w * x - m) / sqrt(v + eps) + b)` is `relu(w' * x + b')` with
    `w' = a * g / sqrt(v + eps) * w` and `b' = a * (b - g * m / sqrt(v + eps))`,
    computed in float64. `a` goes into the last convolution of a branch.

    Args:
        model: A `FACNN`.
    """
    read_values(model.variables)
    config = {
        **model.get_config(),
        "fused": True,
        "deep_alignment": 0.0,
        "stochastic_depth": 0.0,
    }
    with skip_initializers():
        fused = type(model).from_config(config)
    folds: dict[str, tuple[str, float]] = {}
    for layer, alpha in enumerate(model.alphas, start=1):
        names = model.architecture.convolutions(layer)
        folds |= {f"conv_{name}": (f"norm_{name}", 1.0) for name in names}
        folds[f"conv_{layer}"] = f"norm_{layer}", alpha
    if "project_norm" in [layer.name for layer in model.layers]:
        folds["project"] = ("project_norm", 1.0)
    if not model.fused:
        for name, (norm, alpha) in folds.items():
            fused.get_layer(name).set_weights(
                _folded(model.get_layer(name), model.get_layer(norm), alpha)
            )
    for layer in fused.layers:
        if model.fused or layer.name not in folds:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    finalize_layers(fused)
    return fused


def _folded(conv: Any, norm: Any, alpha: float) -> list[np.ndarray]:
    """Return kernel and bias of `alpha` times the output of a norm."""

    def array(variable: Any) -> np.ndarray:
        # NumPy has no bfloat16.
        variable = ops.cast(variable, "float32")
        return ops.convert_to_numpy(variable).astype("float64")

    gain = alpha / np.sqrt(array(norm.moving_variance) + norm.epsilon)
    if norm.scale:
        gain = gain * array(norm.gamma)
    bias = alpha * array(norm.beta) - gain * array(norm.moving_mean)
    return [
        (array(conv.kernel) * gain).astype("float32"),
        bias.astype("float32"),
    ]
