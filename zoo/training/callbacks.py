"""What a training run leaves behind: checkpoints, a log, a progress line."""

import csv
import datetime
import math
import os
import signal
import sys
import time

import keras

from zoo.training import devices
from zoo.training import record
from zoo.training.checkpoints import partial_path


class Checkpoint(keras.callbacks.Callback):
    """Saves weights and optimizer; a kill can't tear the file.

    It saves after each epoch, after some minutes within one, and on Ctrl-C or
    SIGTERM, which then end the run. A loss that is not finite ends the run
    before it is saved, so the last checkpoint is always a good one.

    Args:
        checkpoints: The `Checkpoints` to save to.
        best_path: Path that ends in `.weights.h5`, where to keep the best in
            validation, as it was validated.
        best: The best validation accuracy so far.
        minutes: Time between checkpoints within an epoch.
    """

    def __init__(self, checkpoints, best_path, best, minutes):
        super().__init__()
        self.checkpoints = checkpoints
        self.best_path = best_path
        self.best = best
        self.seconds = minutes * 60

    def on_train_begin(self, logs=None):
        self.saved = time.monotonic()
        self.stop = None
        self.handlers = {
            number: signal.signal(number, self._ask_to_stop)
            for number in (signal.SIGINT, signal.SIGTERM)
        }

    def on_train_end(self, logs=None):
        self._restore_handlers()

    def on_train_batch_end(self, step, logs=None):
        if self.stop or time.monotonic() - self.saved > self.seconds:
            self._save(logs)
        if self.stop:
            print(
                f"\nStopped; the checkpoint {self.checkpoints.last} continues "
                "here."
            )
            self._restore_handlers()
            sys.exit(128 + self.stop)

    def on_test_end(self, logs=None):
        if logs["accuracy"] > self.best:
            self.best = logs["accuracy"]
            partial = partial_path(self.best_path)
            self._write(partial)
            os.replace(partial, self.best_path)

    def on_epoch_end(self, epoch, logs=None):
        self._save(logs)

    def _save(self, logs):
        if not math.isfinite(logs["loss"]):
            raise FloatingPointError(
                f"The loss is {logs['loss']}. The checkpoint "
                f"{self.checkpoints.last} was saved before that; a lower "
                "learning rate may help."
            )
        self.checkpoints.save(self._write)
        self.saved = time.monotonic()

    def _write(self, path):
        with devices.alone():
            self.model.save_weights(path)

    def _ask_to_stop(self, number, frame):
        self.stop = number

    def _restore_handlers(self):
        for number, handler in self.handlers.items():
            signal.signal(number, handler)


class CSVLog(keras.callbacks.Callback):
    """Writes one row an epoch; a run that continues appends.

    Unlike `keras.callbacks.CSVLogger`, it keeps the columns of epochs with
    validation, also where the first had none, and drops the rows of epochs
    that are run again.

    Args:
        path: Path of the CSV file.
    """

    columns = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]

    def __init__(self, path):
        super().__init__()
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

    def best(self, column):
        """The largest value of a column, or -inf."""
        values = [float(row[column]) for row in self.rows() if row[column]]
        return max(values, default=-math.inf)

    def on_epoch_end(self, epoch, logs=None):
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
