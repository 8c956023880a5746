"""How far the epoch of a checkpoint is, and how a run goes on from there.

Beside weights and optimizer, a checkpoint within an epoch holds the sums of its
metrics. Where its steps are all done, its end is what is left of it: the
validation that is due, `best` and the row of the log.
"""

import h5py
import keras

_GROUP = "metrics_of_epoch"


def save(model, path, epoch_ends):
    """Saves a checkpoint.

    Args:
        model: The model.
        path: Path that ends in `.weights.h5`.
        epoch_ends: Whether nothing is left of the epoch.
    """
    model.save_weights(path)
    if epoch_ends:
        return
    with h5py.File(path, "a") as file:
        group = file.create_group(_GROUP)
        for variable in model.metrics_variables:
            value = keras.ops.convert_to_numpy(variable)
            group.create_dataset(variable.path, data=value)


def load(model, path):
    """Loads a checkpoint.

    Returns:
        The values of the metrics' variables by their paths; without any where
        the epoch ended.
    """
    model.load_weights(path)
    values = {}

    def keep(name, item):
        if isinstance(item, h5py.Dataset):
            values[name] = item[()]

    with h5py.File(path) as file:
        if _GROUP in file:
            file[_GROUP].visititems(keep)
    return values


class ContinuedMetrics(keras.callbacks.Callback):
    """Lets the metrics of a broken-off epoch go on where they were.

    Args:
        values: What `load` returned.
    """

    def __init__(self, values):
        super().__init__()
        self.values = values

    def on_epoch_begin(self, epoch, logs=None):
        # Now, since `fit` has just set them to 0.
        for variable in self.model.metrics_variables:
            variable.assign(self.values[variable.path])


def end_epoch(model, epoch, values, validation, batch_size, callbacks):
    """Does what is left of an epoch whose steps are all done.

    Args:
        model: The model, with the weights of the epoch's last step.
        epoch: Number of the epoch, from 0.
        values: What `load` returned.
        validation: Images, targets and weights, or None where no validation is
            due.
        batch_size: Of the validation.
        callbacks: The `keras.callbacks.Callback`s of the run.
    """
    callbacks = keras.callbacks.CallbackList(callbacks, model=model)
    # As `keras.metrics.Mean` has them.
    logs = {
        name: float(values[f"{name}/total"] / values[f"{name}/count"])
        for name in ("loss", "accuracy")
    }
    callbacks.on_train_begin()
    callbacks.on_epoch_begin(epoch)
    if validation:
        x, y, weights = validation
        found = model.evaluate(
            x,
            y,
            batch_size,
            sample_weight=weights,
            callbacks=callbacks,
            return_dict=True,
            verbose=0,
        )
        logs |= {f"val_{name}": value for name, value in found.items()}
    callbacks.on_epoch_end(epoch, logs)
    callbacks.on_train_end(logs)
