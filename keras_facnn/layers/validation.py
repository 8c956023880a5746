import math
import numbers


def is_number(value):
    """Whether `value` is a real number, and not a bool."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def positive_float(name, value):
    """Returns `value` as a float, or raises a ValueError that names it."""
    if not is_number(value) or not 0.0 < value < math.inf:
        raise ValueError(
            f"`{name}` must be a positive number. Received: {name}={value!r}"
        )
    return float(value)


def positive_int(name, value):
    """Returns `value` as an int, or raises a ValueError that names it."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise ValueError(
            f"`{name}` must be a positive integer. Received: {name}={value!r}"
        )
    value = value.__index__()
    if value < 1:
        raise ValueError(
            f"`{name}` must be a positive integer. Received: {name}={value!r}"
        )
    return value


def feature_map_shape(layer, input_shape, channels=None):
    """Returns `(h, w, channels)` of a channels-last feature map, checked."""
    expected = channels if channels is not None else "channels"
    if (
        len(input_shape) != 4
        or input_shape[-1] is None
        or (channels is not None and input_shape[-1] != channels)
    ):
        raise ValueError(
            f"Layer `{layer.name}` expects inputs of shape "
            f"(batch, height, width, {expected}). "
            f"Received: input_shape={tuple(input_shape)}"
        )
    return tuple(input_shape[1:])
