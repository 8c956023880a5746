"""Read the values of variables while Keras trains on JAX, and restore them."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras

_TAKEN_OUT = (
    "The model has no weights to read at this moment: on JAX, Keras takes them "
    "out of the model while `fit`, `evaluate` or `predict` runs. In a "
    "callback, read `self.model`, to which Keras gives the weights back, not "
    "the model by another name; or read in `on_epoch_end`. In another thread, "
    "read a copy of the model, or wait until `fit` returns."
)


def read_values(variables: Sequence[keras.Variable]) -> list[Any]:
    """Return the values of variables, as tensors.

    Raises:
        RuntimeError: If Keras has taken the values out of the model, as it
            does on JAX while it trains, evaluates or predicts.
    """
    try:
        return [v.value for v in variables]
    except TypeError:
        # Keras takes a variable without a value for one that is not yet
        # initialized.
        raise RuntimeError(_TAKEN_OUT) from None


def call_with_current_values(
    variables: Sequence[keras.Variable], function: Callable[[list[Any]], Any]
) -> Any:
    """Call a function of the variables' values, on JAX.

    Raises:
        RuntimeError: If the values are gone, as for `read_values`.
    """
    import jax

    values = read_values(variables)
    try:
        return function(values)
    except (RuntimeError, ValueError):
        # A training step in another thread may have used up the values since.
        if any(
            isinstance(value, jax.Array)
            and not isinstance(value, jax.core.Tracer)
            and value.is_deleted()
            for value in values
        ):
            raise RuntimeError(_TAKEN_OUT) from None
        raise


def collect_values(model: keras.Model) -> list[tuple[keras.Variable, Any]]:
    """Return each variable of a model that trains, paired with its value."""
    variables = [*model.variables, *model.metrics_variables]
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None:
        variables += optimizer.variables
    return list(zip(variables, read_values(variables), strict=True))


def restore_values(
    model: keras.Model, collected: Sequence[tuple[keras.Variable, Any]]
) -> None:
    """Give a model its weights back after an error during training.

    On JAX, Keras takes the weights out of the model while it trains. An error
    in a training step would leave them out.

    Args:
        model: The model.
        collected: What `collect_values` returned before training.
    """
    if keras.backend.backend() != "jax":
        return
    # Restores what the last complete step left, if there was one.
    model.jax_state_sync()
    for variable, value in collected:
        try:
            read_values([variable])
        except RuntimeError:
            # A step that fails while it runs has used up its arguments.
            if not value.is_deleted():
                variable.assign(value)
