"""The steps of a stage, from its newest checkpoint to the last step."""

import dataclasses
import functools
import os
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import flags
from absl import logging

from zoo.data.images import EncodedImages
from zoo.data.images import pad_to_multiple
from zoo.data.stream import train_stream
from zoo.recipe import Stage
from zoo.training import callbacks
from zoo.training import epoch_state
from zoo.training import record
from zoo.training.checkpoints import Checkpoints
from zoo.training.devices import Devices

FLAGS = flags.FLAGS


@dataclasses.dataclass(frozen=True)
class Images:
    """The images of a stage, of the sizes that it needs, and their labels.

    Attributes:
        train: uint8 array `(N, H, W, channels)`, or `EncodedImages`.
        train_labels: Int array `(N,)`.
        validation: uint8 array.
        validation_labels: Int array.
    """

    train: np.ndarray | EncodedImages
    train_labels: np.ndarray
    validation: np.ndarray
    validation_labels: np.ndarray


class Fitting:
    """Trains a compiled model by the steps of a stage.

    Args:
        model: The compiled `keras.Model`, whose optimizer is built.
        stage: The `Stage`.
        images: The `Images`.
        steps: Steps per epoch.
        folder: Path of the stage's folder.
        checkpoints: The `Checkpoints` of the folder.
        devices: The `Devices`.
        taught: Function of a `tf.data.Dataset` of images and targets to one
            with the teacher's targets, or None.
    """

    def __init__(
        self,
        model: keras.Model,
        stage: Stage,
        images: Images,
        steps: int,
        folder: str,
        checkpoints: Checkpoints,
        devices: Devices,
        taught: Callable[[tf.data.Dataset], tf.data.Dataset] | None,
    ) -> None:
        self.model = model
        self.stage = stage
        self.images = images
        self.steps = steps
        self.folder = folder
        self.checkpoints = checkpoints
        self.devices = devices
        self.taught = taught
        # Values of the metrics of a broken-off epoch, or None.
        self.metrics = self._restore()

    @property
    def is_done(self) -> bool:
        return self._steps_done() >= self.stage.epochs * self.steps

    def run(self) -> None:
        """Train to the last step."""
        stage, devices = self.stage, self.devices
        validation = pad_to_multiple(
            self.images.validation,
            self.images.validation_labels,
            stage.model.num_classes,
            devices.replicas,
        )
        validation_batch_size = 250 // devices.replicas * devices.replicas
        validated = [
            epoch
            for epoch in range(1, stage.epochs + 1)
            if epoch % FLAGS.validate_every == 0 or epoch == stage.epochs
        ]
        epoch, offset = divmod(self._steps_done(), self.steps)
        if self.metrics and not offset:
            logging.info("Ending epoch %d of %d.", epoch, stage.epochs)
            epoch_state.end_epoch(
                self.model,
                epoch - 1,
                self.metrics,
                validation if epoch in validated else None,
                validation_batch_size,
                self._callbacks(self.steps),
            )
            self.metrics = {}
        while True:
            epoch, offset = divmod(self._steps_done(), self.steps)
            if epoch < stage.epochs:
                logging.info(
                    "Starting at epoch %d of %d.", epoch + 1, stage.epochs
                )
            continued = (
                [epoch_state.ContinuedMetrics(self.metrics)]
                if self.metrics
                else []
            )
            self.model.fit(
                self._stream(),
                initial_epoch=epoch,
                # The rest of an epoch that was broken off is a fit of its own.
                epochs=epoch + 1 if offset else stage.epochs,
                steps_per_epoch=self.steps - offset,
                validation_data=validation,
                validation_batch_size=validation_batch_size,
                validation_freq=validated,
                callbacks=[*continued, *self._callbacks(offset)],
                verbose=0,
            )
            if self.is_done:
                return
            # At its end `fit` puts averaged weights into the model.
            devices.wait_for_all()
            self.metrics = self._restore()

    def _restore(self) -> dict[str, Any] | None:
        load = functools.partial(epoch_state.load, self.model)
        return self.checkpoints.restore(load)

    def _steps_done(self) -> int:
        done = self.model.optimizer.iterations
        return int(keras.ops.convert_to_numpy(done))

    def _stream(self) -> tf.data.Dataset:
        """Return the batches from the next step on."""
        stage = self.stage
        crop, size = stage.crop, stage.model.image_shape[:2]
        stream = train_stream(
            self.images.train,
            self.images.train_labels,
            stage.model.num_classes,
            stage.batch_size,
            FLAGS.seed,
            pad=stage.pad,
            crop=crop and (crop.smallest, *size),
            cutout=stage.cutout,
            cutmix=stage.cutmix,
            mixup=stage.mixup,
            step=self._steps_done(),
            share=self.devices.share,
        )
        return self.taught(stream) if self.taught else stream

    def _callbacks(self, offset: int) -> list[keras.callbacks.Callback]:
        """Return those of a fit that begins at a step of an epoch."""
        stage, chosen = self.stage, []
        if self.devices.writes:
            chosen = [
                callbacks.Checkpoint(
                    self.checkpoints,
                    os.path.join(self.folder, "best.weights.h5"),
                    callbacks.Log(os.path.join(self.folder, "log.csv")),
                    FLAGS.checkpoint_minutes,
                ),
                callbacks.Progress(
                    stage.epochs, self.steps, stage.batch_size, offset
                ),
                keras.callbacks.TensorBoard(
                    os.path.join(self.folder, record.FOLDER), write_graph=False
                ),
            ]
        if stage.ema:
            # Last, so that `Checkpoint` sees the averages at a test's end.
            chosen.append(keras.callbacks.SwapEMAWeights())
        return chosen
