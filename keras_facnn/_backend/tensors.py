"""Ask for what only a backend knows about a tensor."""

from collections.abc import Sequence
from typing import Any

import keras


def is_compiled_in(tensor: Any) -> bool:
    """Return whether a compiled function that reads a tensor keeps its value.

    It keeps the value of a constant. A tensor of a graph that is being compiled
    has no value, and PyTorch compiles nothing.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return not tf.is_symbolic_tensor(tensor)
    if backend == "jax":
        import jax

        return not isinstance(tensor, jax.core.Tracer)
    if backend == "openvino":
        return tensor.output.get_node().get_type_name() == "Constant"
    return False


def ensure_shape(x: Any, shape: Sequence[int | None]) -> Any:
    """Return a tensor whose shape is checked when it is computed.

    Args:
        x: Tensor.
        shape: Integers, and None where any size is allowed.

    Returns:
        The tensor. On TensorFlow, where a size of it is not known yet,
        computing it raises an error for another shape.
    """
    if keras.backend.backend() == "tensorflow" and None in x.shape[1:]:
        import tensorflow as tf

        if tf.is_tensor(x):
            return tf.ensure_shape(x, shape)
    return x
