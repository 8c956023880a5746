"""What a training run leaves behind: checkpoints, a log, a progress line."""

import csv
import datetime
import math
import os
import signal
import sys
import time

import keras
import numpy as np

from zoo.training import devices
from zoo.training import epoch_state
from zoo.training import record
from zoo.training.checkpoints import partial_path


class Checkpoint(keras.callbacks.Callback):
    """Saves weights and optimizer, and ends epochs; a kill can't tear the file.

    It saves before each validation, at the end of each epoch, after some
    minutes within one, and on Ctrl-C or SIGTERM, which then end the run. So a
    kill in a validation loses no step, nor the validation: see `epoch_state`.
    What is not finite ends the run before it is saved, so the last checkpoint
    is always a good one.

    Args:
        checkpoints: The `Checkpoints` to save to.
        best_path: Path that ends in `.weights.h5`, where to keep the best in
            validation, as it was validated.
        log: The `Log`, which gets a row of each epoch.
        minutes: Time between checkpoints within an epoch.
    """

    def __init__(self, checkpoints, best_path, log, minutes):
        super().__init__()
        self.checkpoints = checkpoints
        self.best_path = best_path
        self.log = log
        self.best = log.best_accuracy()
        self.seconds = minutes * 60

    def on_train_begin(self, logs=None):
        self.saved = time.monotonic()
        self.trained = False
        self.stop = None
        self.handlers = {
            number: signal.signal(number, self._ask_to_stop)
            for number in (signal.SIGINT, signal.SIGTERM)
        }

    def on_train_end(self, logs=None):
        self._restore_handlers()

    def on_train_batch_end(self, step, logs=None):
        self.trained = True
        if self.stop or time.monotonic() - self.saved > self.seconds:
            self._save(logs)
        self._stop_if_asked()

    def on_test_begin(self, logs=None):
        # Now, while the metrics are those of the training.
        if self.trained:
            self._save(self.model.get_metrics_result())

    def on_test_batch_end(self, step, logs=None):
        self._stop_if_asked()

    def on_test_end(self, logs=None):
        accuracy = rounded(logs["accuracy"])
        # Where the loss is not finite, the logits may not be.
        if math.isfinite(logs["loss"]) and accuracy > self.best:
            self.best = accuracy
            partial = partial_path(self.best_path)
            with devices.alone():
                self.model.save_weights(partial)
            os.replace(partial, self.best_path)

    def on_epoch_end(self, epoch, logs=None):
        self._check(logs)
        # Before the checkpoint, which says that all of the epoch is done.
        self.log.write(epoch, logs)
        self._write(epoch_ends=True)
        self._stop_if_asked()

    def _save(self, logs):
        self._check(logs)
        self._write(epoch_ends=False)

    def _write(self, epoch_ends):
        def write(path):
            with devices.alone():
                epoch_state.save(self.model, path, epoch_ends)

        self.checkpoints.save(write)
        self.saved = time.monotonic()
        self.trained = False

    def _check(self, logs):
        """Raises where the run has diverged, of which nothing is saved."""
        if not math.isfinite(logs["loss"]):
            fault = f"the loss is {logs['loss']}"
        elif (path := not_finite(self.model)) is not None:
            fault = f"{path} is not finite"
        else:
            return
        newest = self.checkpoints.newest
        raise FloatingPointError(
            f"The training has diverged: {fault}. "
            + (
                f"The checkpoint {newest} was saved before that. "
                if newest
                else "No checkpoint was saved before that. "
            )
            + "A lower --learning_rate, with a new --workdir, may help."
        )

    def _stop_if_asked(self):
        if self.stop:
            print(
                f"\nStopped; the checkpoint {self.checkpoints.newest} "
                "continues here."
            )
            self._restore_handlers()
            sys.exit(128 + self.stop)

    def _ask_to_stop(self, number, frame):
        self.stop = number

    def _restore_handlers(self):
        for number, handler in self.handlers.items():
            signal.signal(number, handler)


def not_finite(model):
    """The path of a variable of a model or its optimizer, or None."""
    for variable in (*model.variables, *model.optimizer.variables):
        if not np.isfinite(keras.ops.convert_to_numpy(variable)).all():
            return variable.path
    return None


class Log:
    """A CSV file with a row for each epoch; a run that continues appends.

    Unlike `keras.callbacks.CSVLogger`, it keeps the columns of epochs with
    validation, also where the first had none, and drops the rows of epochs
    that are run again.

    Args:
        path: Path of the CSV file.
    """

    columns = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]

    def __init__(self, path):
        self.path = path

    def rows(self):
        if not os.path.exists(self.path):
            return []
        try:
            with open(self.path, newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file, strict=True)
                rows = list(reader)
            if reader.fieldnames != self.columns:
                raise ValueError(f"its columns are {reader.fieldnames}")
            for row in rows:
                if None in row or None in row.values():
                    raise ValueError(f"a row has other columns: {row}")
                int(row["epoch"])
                [float(row[column] or 0) for column in self.columns]
        except (csv.Error, TypeError, ValueError) as e:
            raise ValueError(
                f"{self.path} is damaged ({e}). Mend it, or move it away; the "
                "run then starts a new one."
            ) from e
        return rows

    def best_accuracy(self):
        """The highest of a validation with a finite loss, or -inf."""
        values = [
            float(row["val_accuracy"])
            for row in self.rows()
            if row["val_accuracy"]
            and math.isfinite(float(row["val_loss"] or 0))
        ]
        return max(values, default=-math.inf)

    def write(self, epoch, logs):
        rows = [row for row in self.rows() if int(row["epoch"]) <= epoch]
        rows.append(
            {"epoch": epoch + 1, **{k: f"{v:.5f}" for k, v in logs.items()}}
        )
        with record.replacing(self.path) as file:
            writer = csv.DictWriter(
                file, self.columns, restval="", extrasaction="ignore"
            )
            writer.writeheader()
            writer.writerows(rows)


def rounded(value):
    """As the log has it, so that a run judges alike once it continues."""
    return round(float(value), 5)


class Progress(keras.callbacks.Callback):
    """A line on how far it is: live on a terminal, or each minute.

    With speed and time left, once a step was timed.

    Args:
        epochs: Number of epochs of the whole run.
        steps: Number of steps an epoch.
        batch_size: Number of images a step.
        offset: Number of steps of the first epoch that were done before.
    """

    def __init__(self, epochs, steps, batch_size, offset=0):
        super().__init__()
        self.epochs = epochs
        self.steps = steps
        self.batch_size = batch_size
        self.offset = offset
        self.live = sys.stdout.isatty()
        self.compiled = False

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        self.start = self.shown = time.monotonic()
        self.start_step = self.offset

    def on_train_batch_end(self, step, logs=None):
        now = self.end = time.monotonic()
        if not self.compiled:
            # What the first step of a run takes says nothing of the others.
            self.compiled = True
            self.start, self.start_step = now, self.offset + 1
        elif now - self.shown > (0.5 if self.live else 60):
            self.shown = now
            self._show(self.offset + step + 1, logs)

    def on_epoch_end(self, epoch, logs=None):
        self._show(self.steps, logs)
        self.offset = 0
        if self.live:
            print(flush=True)

    def _show(self, step, logs):
        values = " ".join(f"{k} {v:.4f}" for k, v in logs.items())
        timed = step - self.start_step
        if timed:
            # To the end of the last step: validation is not one.
            seconds = max(self.end - self.start, 1e-9) / timed
            left = (self.epochs - self.epoch) * self.steps - step
            eta = datetime.timedelta(seconds=round(left * seconds))
            values += f" {self.batch_size / seconds:.0f} images/s, {eta} left"
        print(
            "\r\x1b[K" * self.live + f"epoch {self.epoch + 1}/{self.epochs} "
            f"step {step}/{self.steps} {values}",
            end="" if self.live else "\n",
            flush=True,
        )
