"""How far the epoch of a checkpoint is, and how a run continues from there.

Beside weights and optimizer, a checkpoint within an epoch holds the sums of the
epoch's metrics. If all steps of the epoch are done, only its end is left: the
validation that is due, `best` and the row of the log.
"""

from typing import Any

import h5py
import keras
import numpy as np

_GROUP = "metrics_of_epoch"


def save(model: keras.Model, path: str, epoch_ends: bool) -> None:
    """Save a checkpoint.

    Args:
        model: The model.
        path: Path that ends in `.weights.h5`.
        epoch_ends: Whether nothing of the epoch is left.
    """
    model.save_weights(path)
    if epoch_ends:
        return
    with h5py.File(path, "a") as file:
        group = file.create_group(_GROUP)
        for variable in model.metrics_variables:
            value = keras.ops.convert_to_numpy(variable)
            group.create_dataset(variable.path, data=value)


def load(model: keras.Model, path: str) -> dict[str, Any]:
    """Load a checkpoint.

    Returns:
        The values of the metrics' variables by their paths; none if the epoch
        has ended.
    """
    model.load_weights(path)
    values = {}

    def keep(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            values[name] = item[()]

    with h5py.File(path) as file:
        if _GROUP in file:
            file[_GROUP].visititems(keep)
    return values


class ContinuedMetrics(keras.callbacks.Callback):
    """Continues the metrics of an interrupted epoch.

    Args:
        values: Result of `load`.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__()
        self.values = values

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        # Now, since `fit` has just set them to 0.
        for variable in self.model.metrics_variables:
            variable.assign(self.values[variable.path])


def end_epoch(
    model: keras.Model,
    epoch: int,
    values: dict[str, Any],
    validation: tuple[np.ndarray, np.ndarray, np.ndarray] | None,
    batch_size: int,
    callbacks: list[keras.callbacks.Callback],
) -> None:
    """Do what is left of an epoch whose steps are all done.

    Args:
        model: The model, with the weights of the epoch's last step.
        epoch: Number of the epoch, from 0.
        values: Result of `load`.
        validation: Images, targets and weights, or None if no validation is
            due.
        batch_size: Images per step of the validation.
        callbacks: The `keras.callbacks.Callback`s of the run.
    """
    run = keras.callbacks.CallbackList(callbacks, model=model)
    # As `keras.metrics.Mean` has them.
    logs = {
        name: float(values[f"{name}/total"] / values[f"{name}/count"])
        for name in ("loss", "accuracy")
    }
    run.on_train_begin()
    run.on_epoch_begin(epoch)
    if validation:
        x, y, weights = validation
        found = model.evaluate(
            x,
            y,
            batch_size,
            sample_weight=weights,
            callbacks=run,
            return_dict=True,
            verbose=0,
        )
        logs |= {f"val_{name}": value for name, value in found.items()}
    run.on_epoch_end(epoch, logs)
    run.on_train_end(logs)
