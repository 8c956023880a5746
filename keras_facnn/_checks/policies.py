"""Validate dtype policies of Keras."""

from typing import Any

import keras

from keras_facnn._checks.messages import short_repr

# The dtypes that weights may have, and that layers may compute in.
_FLOATS = {"float16", "bfloat16", "float32", "float64"}


def check_policy(dtype: Any) -> keras.dtype_policies.DTypePolicy:
    """Return Keras' policy for a floating-point `dtype`, or raise."""
    try:
        policy = (
            keras.config.dtype_policy()
            if dtype is None
            else keras.dtype_policies.get(dtype)
        )
    except (AttributeError, TypeError, ValueError):
        policy = None
    # Keras accepts others too, and fails when a layer computes.
    if (
        policy is None
        or policy.quantization_mode is not None
        or not {policy.compute_dtype, policy.variable_dtype} <= _FLOATS
    ):
        raise ValueError(
            "`dtype` must be a dtype policy of Keras that computes in floats, "
            'such as "float32" or "mixed_bfloat16"; `model.quantize` turns a '
            "trained model into one of integers. "
            f"Received: dtype={short_repr(policy if dtype is None else dtype)}"
        )
    return policy
