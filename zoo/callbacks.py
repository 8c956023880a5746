"""What a training run leaves behind: checkpoints, a log, a progress line."""

import csv
import datetime
import math
import os
import sys
import time

import keras


class Checkpoint(keras.callbacks.Callback):
    """Saves weights and optimizer after each epoch; a kill can't tear it.

    A loss that is not finite ends the run before it is saved, so the last
    checkpoint is always a good one.

    Args:
        path: Path that ends in `.weights.h5`.
    """

    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_epoch_end(self, epoch, logs=None):
        if not math.isfinite(logs["loss"]):
            raise FloatingPointError(
                f"The loss of epoch {epoch + 1} is {logs['loss']}. The "
                f"checkpoint {self.path} is of the epoch before; a lower "
                "learning rate may help."
            )
        partial = self.path.replace(".weights.h5", ".partial.weights.h5")
        self.model.save_weights(partial)
        os.replace(partial, self.path)


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

    def on_epoch_end(self, epoch, logs=None):
        rows = []
        if os.path.exists(self.path):
            with open(self.path, newline="") as file:
                rows = list(csv.DictReader(file))
        rows = [row for row in rows if int(row["epoch"]) <= epoch]
        rows.append(
            {"epoch": epoch + 1, **{k: f"{v:.5f}" for k, v in logs.items()}}
        )
        partial = self.path + ".partial"
        with open(partial, "w", newline="") as file:
            writer = csv.DictWriter(
                file, self.columns, restval="", extrasaction="ignore"
            )
            writer.writeheader()
            writer.writerows(rows)
        os.replace(partial, self.path)


class Progress(keras.callbacks.Callback):
    """A line with speed and time left: live on a terminal, or each minute.

    Args:
        epochs: Number of epochs of the whole run.
        steps: Number of steps an epoch.
        batch_size: Number of images a step.
    """

    def __init__(self, epochs, steps, batch_size):
        super().__init__()
        self.epochs = epochs
        self.steps = steps
        self.batch_size = batch_size
        self.live = sys.stdout.isatty()

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        self.start = self.shown = time.monotonic()
        self.start_step = 0

    def on_train_batch_end(self, step, logs=None):
        now = time.monotonic()
        if step == 0:
            # The first step of a run compiles.
            self.start, self.start_step = now, 1
        elif now - self.shown > (0.5 if self.live else 60):
            self.shown = now
            self._show(step + 1, logs)

    def on_epoch_end(self, epoch, logs=None):
        self._show(self.steps, logs)
        if self.live:
            print(flush=True)

    def _show(self, step, logs):
        spent = time.monotonic() - self.start
        speed = (step - self.start_step) / max(spent, 1e-9)
        left = (self.epochs - self.epoch) * self.steps - step
        values = " ".join(f"{k} {v:.4f}" for k, v in logs.items())
        eta = datetime.timedelta(seconds=round(left / max(speed, 1e-9)))
        print(
            "\r\x1b[K" * self.live + f"epoch {self.epoch + 1}/{self.epochs} "
            f"step {step}/{self.steps} {values} "
            f"{speed * self.batch_size:.0f} images/s, {eta} left",
            end="" if self.live else "\n",
            flush=True,
        )
