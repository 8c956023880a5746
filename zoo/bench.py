"""A frozen backbone, and a linear head that is fitted again and again."""

import csv
import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from absl import flags

import keras_facnn

FLAGS = flags.FLAGS
# The strength of the head's penalty, which leaves accuracy near its best.
_PENALTY = 0.015
# How often the head sees each photo; each time takes ten steps.
EPOCHS = 60


def define_bench_flags() -> None:
    flags.DEFINE_string(
        "data", None, "Folder of train/CLASS/* and val/CLASS/*.", required=True
    )
    flags.DEFINE_integer("per_class", 100, "Photos of each class, at most.")
    flags.DEFINE_integer("image_size", 160, "Side of the photos in pixels.")
    flags.DEFINE_integer("draw", 0, "Seed of the choice of these photos.")
    flags.DEFINE_list("leave_out", [], "Classes that get no part in it.")


@dataclasses.dataclass(frozen=True)
class Photos:
    """Photos with their classes, and the means of their features."""

    images: np.ndarray
    labels: np.ndarray
    pooled: np.ndarray


class Bench:
    """A backbone, a head that is fitted anew in each run, and the photos."""

    def __init__(self) -> None:
        side = FLAGS.image_size
        base = keras_facnn.FACNN.from_preset(
            "imagenet", image_shape=(side, side, 3)
        )
        self.backbone = base.backbone
        pooled = keras.layers.GlobalAveragePooling2D()(self.backbone.output)
        self.pooling = keras.Model(self.backbone.input, pooled)
        self.train, self.names = self._load("train", FLAGS.per_class)
        self.val, _ = self._load("val", FLAGS.per_class)
        classifier = keras.Sequential(
            [
                keras.Input((side, side, 3)),
                self.backbone,
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dense(len(self.names)),
            ]
        )
        self.model = keras_facnn.FACNN.from_classifier(classifier, self.names)
        self.head = self.model.get_layer("project")

    def _load(self, part: str, most: int) -> tuple[Photos, list[str]]:
        folder = keras_facnn.load_folder(
            pathlib.Path(FLAGS.data) / part, read=False
        )
        left_out = [folder.names.index(n) for n in FLAGS.leave_out]
        rng = np.random.default_rng(FLAGS.draw)
        kept = [
            np.sort(rng.permutation(np.flatnonzero(folder.labels == c))[:most])
            for c in range(len(folder.names))
            if c not in left_out
        ]
        images = keras_facnn.load_images(
            [folder.paths[i] for some in kept for i in some],
            image_size=FLAGS.image_size,
        )
        labels = np.repeat(np.arange(len(kept)), [len(some) for some in kept])
        names = [n for n in folder.names if n not in FLAGS.leave_out]
        return Photos(images, labels, self.pool(images)), names

    def pool(self, images: np.ndarray) -> np.ndarray:
        """Return the means of the features of photos."""
        batches = [
            self.pooling.predict_on_batch(images[i : i + 32])
            for i in range(0, len(images), 32)
        ]
        return np.concatenate(batches).astype("float32")

    def cells(self, images: np.ndarray) -> np.ndarray:
        """Return the features of photos, before the mean."""
        batches = [
            self.backbone.predict_on_batch(images[i : i + 32])
            for i in range(0, len(images), 32)
        ]
        return np.concatenate(batches).astype("float32")

    def fit(
        self,
        pooled: np.ndarray,
        labels: np.ndarray,
        seed: int,
        weights: np.ndarray | None = None,
    ) -> None:
        """Fit the head to means of features, and put it into the model."""
        head, scale, batch = self.new_head(pooled, len(labels), seed)
        head.fit(
            pooled / scale,
            labels,
            batch,
            epochs=EPOCHS,
            verbose=0,
            sample_weight=weights,
        )
        self.keep(head, scale)

    def new_head(
        self, pooled: np.ndarray, count: int, seed: int
    ) -> tuple[keras.Model, float, int]:
        """Return a compiled head, what features are divided by, and a batch."""
        keras.utils.set_random_seed(seed)
        scale = float(np.sqrt((pooled**2).mean()))
        dense = keras.layers.Dense(
            len(self.names),
            kernel_initializer="zeros",
            kernel_regularizer=keras.regularizers.L2(_PENALTY),
        )
        head = keras.Sequential([keras.Input(pooled.shape[1:]), dense])
        head.compile(
            keras.optimizers.Adam(
                keras.optimizers.schedules.CosineDecay(0.01, 10 * EPOCHS)
            ),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        return head, scale, max(count // 10, 1)

    def keep(self, head: keras.Model, scale: float) -> None:
        """Put a fitted head into the model."""
        kernel, bias = head.get_weights()
        self.head.set_weights([(kernel / scale)[None, None], bias])

    def answers(self, pooled: np.ndarray) -> np.ndarray:
        """Return the classes that the model gives to means of features."""
        kernel, bias = self.head.get_weights()
        return (pooled @ kernel[0, 0] + bias).argmax(axis=-1)


def append_rows(
    name: str, columns: Sequence[str], rows: list[dict[str, Any]]
) -> None:
    """Add rows to a CSV file that has the same columns."""
    path = pathlib.Path(name)
    is_new = not path.exists()
    if not is_new:
        with path.open(newline="") as file:
            header = next(csv.reader(file), [])
        if header != list(columns):
            raise ValueError(
                f"The file to add rows to must have the columns "
                f"{list(columns)}. Received: {path}, with {header}"
            )
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, columns)
        if is_new:
            writer.writeheader()
        writer.writerows(rows)
