"""Callbacks of a training: checkpoints, a log, a progress line."""

import csv
import datetime
import math
import os
import signal
import sys
import time
from typing import Any

import keras
import numpy as np

from zoo.training import devices
from zoo.training import epoch_state
from zoo.training import record
from zoo.training.checkpoints import Checkpoints
from zoo.training.checkpoints import partial_path

# Of a Keras callback; never None in those that read it.
Logs = Any


class Checkpoint(keras.callbacks.Callback):
    """Save weights and optimizer, so that a kill can't damage the file.

    It saves before each validation, at the end of each epoch, after some
    minutes within one, and on Ctrl-C or SIGTERM, which then end the run. So a
    kill during a validation loses neither a step nor the validation, see
    `epoch_state`. If the loss or a weight is not finite, the run ends before it
    is saved, so the last checkpoint is always a good one.

    Args:
        checkpoints: The `Checkpoints` to save to.
        best_path: Path that ends in `.weights.h5`, for the weights that were
            best in a validation.
        log: The `Log`, which gets a row per epoch.
        minutes: Time between checkpoints within an epoch.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        best_path: str,
        log: "Log",
        minutes: float,
    ) -> None:
        super().__init__()
        self.checkpoints = checkpoints
        self.best_path = best_path
        self.log = log
        self.best = log.best_accuracy()
        self.seconds = minutes * 60

    def on_train_begin(self, logs: Logs = None) -> None:
        self.saved = time.monotonic()
        self.trained = False
        self.stop: int | None = None
        self.handlers = {
            number: signal.signal(number, self._ask_to_stop)
            for number in (signal.SIGINT, signal.SIGTERM)
        }

    def on_train_end(self, logs: Logs = None) -> None:
        self._restore_handlers()

    def on_train_batch_end(self, step: int, logs: Logs = None) -> None:
        self.trained = True
        if self.stop or time.monotonic() - self.saved > self.seconds:
            self._save(logs)
        self._stop_if_asked()

    def on_test_begin(self, logs: Logs = None) -> None:
        # Now, while the metrics are those of the training.
        if self.trained:
            self._save(self.model.get_metrics_result())

    def on_test_batch_end(self, step: int, logs: Logs = None) -> None:
        self._stop_if_asked()

    def on_test_end(self, logs: Logs = None) -> None:
        accuracy = rounded(logs["accuracy"])
        # Where the loss is not finite, the logits may not be.
        if math.isfinite(logs["loss"]) and accuracy > self.best:
            self.best = accuracy
            partial = partial_path(self.best_path)
            with devices.without_others():
                self.model.save_weights(partial)
            os.replace(partial, self.best_path)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self._check(logs)
        # Before the checkpoint, which says that all of the epoch is done.
        self.log.write(epoch, logs)
        self._write(epoch_ends=True)
        self._stop_if_asked()

    def _save(self, logs: Logs) -> None:
        self._check(logs)
        self._write(epoch_ends=False)

    def _write(self, epoch_ends: bool) -> None:
        def write(path: str) -> None:
            with devices.without_others():
                epoch_state.save(self.model, path, epoch_ends)

        self.checkpoints.save(write)
        self.saved = time.monotonic()
        self.trained = False

    def _check(self, logs: Logs) -> None:
        """Raise if the run has diverged; nothing of that is saved."""
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
            + "A lower rate, by --set learning_rate=RATE and with a new "
            "--workdir, may help."
        )

    def _stop_if_asked(self) -> None:
        if self.stop:
            print(
                f"\nStopped; the checkpoint {self.checkpoints.newest} "
                "continues here."
            )
            self._restore_handlers()
            sys.exit(128 + self.stop)

    def _ask_to_stop(self, number: int, frame: object) -> None:
        self.stop = number

    def _restore_handlers(self) -> None:
        for number, handler in self.handlers.items():
            signal.signal(number, handler)


def not_finite(model: keras.Model) -> str | None:
    """Return the path of a variable that is not finite, or None."""
    for variable in (*model.variables, *model.optimizer.variables):
        if not np.isfinite(keras.ops.convert_to_numpy(variable)).all():
            return variable.path
    return None


class Log:
    """A CSV file with a row per epoch, to which a continued run appends.

    Unlike `keras.callbacks.CSVLogger`, it has the columns of a validation even
    if the first epoch had none, and drops the rows of epochs that are run
    again.

    Args:
        path: Path of the CSV file.
    """

    columns = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]

    def __init__(self, path: str) -> None:
        self.path = path

    def rows(self) -> list[dict[str, str]]:
        """Return the rows."""
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
                f"{self.path} is damaged ({e}). Repair it, or move it away; "
                "the run then starts a new one."
            ) from e
        return rows

    def best_accuracy(self) -> float:
        """Return the highest of a validation with a finite loss, or -inf."""
        values = [
            float(row["val_accuracy"])
            for row in self.rows()
            if row["val_accuracy"]
            and math.isfinite(float(row["val_loss"] or 0))
        ]
        return max(values, default=-math.inf)

    def write(self, epoch: int, logs: dict[str, float]) -> None:
        """Write the row of an epoch."""
        rows = [row for row in self.rows() if int(row["epoch"]) <= epoch]
        rows.append(
            {
                "epoch": f"{epoch + 1}",
                **{k: f"{v:.5f}" for k, v in logs.items()},
            }
        )
        with record.replacing(self.path) as file:
            writer = csv.DictWriter(
                file, self.columns, restval="", extrasaction="ignore"
            )
            writer.writeheader()
            writer.writerows(rows)


def rounded(value: float) -> float:
    """Round as the log does, so that a continued run decides the same."""
    return round(float(value), 5)


class Progress(keras.callbacks.Callback):
    """Shows the progress in a line: live in a terminal, or every minute.

    The line has the speed and the time left, once a step was timed.

    Args:
        epochs: Number of epochs of the whole run.
        steps: Number of steps per epoch.
        batch_size: Number of images per step.
        offset: Number of steps of the first epoch that were done before.
    """

    def __init__(
        self, epochs: int, steps: int, batch_size: int, offset: int = 0
    ) -> None:
        super().__init__()
        self.epochs = epochs
        self.steps = steps
        self.batch_size = batch_size
        self.offset = offset
        self.live = sys.stdout.isatty()
        self.compiled = False

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self.epoch = epoch
        self.start = self.shown = time.monotonic()
        self.start_step = self.offset

    def on_train_batch_end(self, step: int, logs: Logs = None) -> None:
        now = self.end = time.monotonic()
        if not self.compiled:
            # The first step compiles, so its time says nothing.
            self.compiled = True
            self.start, self.start_step = now, self.offset + 1
        elif now - self.shown > (0.5 if self.live else 60):
            self.shown = now
            self._show(self.offset + step + 1, logs)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self._show(self.steps, logs)
        self.offset = 0
        if self.live:
            print(flush=True)

    def _show(self, step: int, logs: Logs) -> None:
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
