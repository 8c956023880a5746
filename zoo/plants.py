"""Plant cues into photos, and count how many of them an audit finds.

    python -m zoo.plants --data clothing-160 --runs 16 --output plants.csv

Each run plants one cue into a part of the photos of each of several classes,
fits a linear head on the features of the preset `imagenet` to the planted
photos, and audits the model on them. The classes without a cue are controls. A
cue bites if the model uses it: photos of other classes, which it has not seen,
are called the class more often if the cue is planted into them.
"""

import csv
import dataclasses
import pathlib
import time
from typing import Any

import keras
import numpy as np
from absl import flags

import keras_facnn
from zoo import cues
from zoo import inputs
from zoo import rivals

FLAGS = flags.FLAGS
# Of the photos of other classes, so many more must be called the class.
BITES = 0.10
# The strength of the head's penalty, which leaves accuracy near its best.
_PENALTY = 0.015


def define_flags() -> None:
    flags.DEFINE_string(
        "data", None, "Folder of train/CLASS/* and val/CLASS/*.", required=True
    )
    flags.DEFINE_integer("runs", 8, "Models to train and audit.")
    flags.DEFINE_integer("first", 0, "The seed of the first run.")
    flags.DEFINE_integer(
        "planted", 5, "Classes with a cue per run; 0 is clean."
    )
    flags.DEFINE_integer("per_class", 100, "Photos of each class, at most.")
    flags.DEFINE_integer("image_size", 160, "Side of the photos in pixels.")
    flags.DEFINE_integer("draw", 0, "Seed of the choice of these photos.")
    flags.DEFINE_list("leave_out", [], "Classes that get no part in it.")
    flags.DEFINE_boolean("rivals", False, "Find the cues in other ways, too.")
    flags.DEFINE_string(
        "cleanlab", None, "With --rivals: a Python that has cleanlab[image]."
    )
    flags.DEFINE_string("output", None, "CSV file, to which rows are added.")


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

    def fit(self, pooled: np.ndarray, labels: np.ndarray, seed: int) -> None:
        """Fit the head to means of features, and put it into the model."""
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
                keras.optimizers.schedules.CosineDecay(0.01, 600)
            ),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        batch = max(len(labels) // 10, 1)
        head.fit(pooled / scale, labels, batch, epochs=60, verbose=0)
        kernel, bias = dense.get_weights()
        self.head.set_weights([(kernel / scale)[None, None], bias])

    def answers(self, pooled: np.ndarray) -> np.ndarray:
        """Return the classes that the model gives to means of features."""
        kernel, bias = self.head.get_weights()
        return (pooled @ kernel[0, 0] + bias).argmax(axis=-1)


@dataclasses.dataclass(frozen=True)
class Plant:
    """A cue in a share of the photos of a class."""

    kind: str
    size: float
    share: float
    label: int
    seed: int

    def put(self, images: np.ndarray, seed: int) -> np.ndarray:
        """Return photos with the cue."""
        plant = cues.make_cue(self.kind, self.size, self.seed)
        rng = np.random.default_rng([self.seed, seed])
        return np.stack([plant(image, rng) for image in images])


def choose_plants(seed: int, num_classes: int) -> list[Plant]:
    """Return the plants of a run; all kinds have their turn."""
    rng = np.random.default_rng([seed, 1])
    labels = rng.permutation(num_classes)[: FLAGS.planted]
    return [
        Plant(
            cues.KINDS[(seed * FLAGS.planted + i) % len(cues.KINDS)],
            float(rng.choice([0.15, 0.22, 0.3])),
            float(rng.choice([1.0, 0.5, 0.2, 0.05])),
            int(label),
            seed * 100 + i,
        )
        for i, label in enumerate(labels)
    ]


def run_once(bench: Bench, seed: int) -> list[dict[str, Any]]:
    """Train and audit once, and return a row for each class."""
    images, pooled = bench.train.images.copy(), bench.train.pooled.copy()
    labels, rng = bench.train.labels, np.random.default_rng([seed, 2])
    plants = {p.label: p for p in choose_plants(seed, len(bench.names))}
    where: dict[int, np.ndarray] = {}
    for label, plant in plants.items():
        own = np.flatnonzero(labels == label)
        count = max(round(plant.share * len(own)), 1)
        where[label] = rng.permutation(own)[:count]
        images[where[label]] = plant.put(images[where[label]], 0)
        pooled[where[label]] = bench.pool(images[where[label]])
    bench.fit(pooled, labels, seed)
    start = time.perf_counter()
    audit = keras_facnn.audit(bench.model, images, labels)
    reasons = audit.reasons
    seconds = time.perf_counter() - start
    accuracy = (bench.answers(bench.val.pooled) == bench.val.labels).mean()
    beside = [{} for _ in bench.names]
    if FLAGS.rivals:
        beside = rivals.scores(
            bench.model, images, pooled, labels, where, FLAGS.cleanlab
        )
    rows = []
    for label, name in enumerate(bench.names):
        plant = plants.get(label)
        row: dict[str, Any] = {
            "data": pathlib.Path(FLAGS.data).name,
            "run": seed,
            "class": name,
            "accuracy": round(float(accuracy), 4),
            "images_per_second": round(len(labels) / seconds, 1),
            "kind": "",
        }
        alarms = [r for r in reasons if r.alarm and r.class_name == name]
        row["alarms"] = len(alarms)
        row["score"] = max((r.suspicion for r in alarms), default=0.0)
        if plant is not None:
            row |= _outcome(bench, plant, reasons, where[label], rng)
        rows.append(row | beside[label])
    return rows


def _outcome(
    bench: Bench,
    plant: Plant,
    reasons: list[Any],
    planted: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Return whether a cue bites, and the rank of the reason that is it."""
    others = np.flatnonzero(bench.val.labels != plant.label)
    others = rng.permutation(others)[:60]
    with_cue = bench.answers(bench.pool(plant.put(bench.val.images[others], 1)))
    without = bench.answers(bench.val.pooled[others])
    bite = np.mean(with_cue == plant.label) - np.mean(without == plant.label)
    members = set(planted.tolist())
    name = bench.names[plant.label]
    rank = 0
    for number, reason in enumerate(reasons, 1):
        if not reason.alarm or reason.class_name != name:
            continue
        found = {m.pick.index for m in reason.members}
        # Most images that it names must be those of the cue.
        if len(found & members) >= 0.8 * len(found):
            rank = number
            break
    return {
        "kind": plant.kind,
        "size": plant.size,
        "share": plant.share,
        "planted": len(planted),
        "bite": round(float(bite), 4),
        "rank": rank,
    }


COLUMNS = (
    "data run class accuracy images_per_second kind size share planted bite "
    "rank alarms score"
).split()


def summary(rows: list[dict[str, Any]]) -> str:
    """Return how many of the cues that bite were found, and false alarms."""
    lines = []
    clean = [r for r in rows if not r["kind"]]
    alarms = sum(bool(r["alarms"]) for r in clean)
    lines.append(
        f"false alarms: {alarms} of {len(clean)} classes without a cue"
    )
    bites = [r for r in rows if r["kind"] and r["bite"] >= BITES]
    for share in (1.0, 0.5, 0.2, 0.05):
        some = [r for r in bites if r["share"] == share]
        found = sum(bool(r["rank"]) for r in some)
        lines.append(f"cue in {share:.0%} of a class: {found} of {len(some)}")
    for kind in cues.KINDS:
        some = [r for r in bites if r["kind"] == kind and r["share"] >= 0.2]
        found = sum(bool(r["rank"]) for r in some)
        lines.append(f"{kind}, in 20% or more: {found} of {len(some)}")
    if FLAGS.rivals:
        lines.append(rivals.summary(rows, bites))
    return "\n".join(lines)


def main() -> None:
    bench, rows = Bench(), []
    for seed in range(FLAGS.first, FLAGS.first + FLAGS.runs):
        found = run_once(bench, seed)
        rows += found
        for row in found:
            if row["kind"] or row["alarms"]:
                print({k: row[k] for k in COLUMNS[2:] if k in row}, flush=True)
        if FLAGS.output:
            path = pathlib.Path(FLAGS.output)
            is_new = not path.exists()
            with path.open("a", newline="") as file:
                writer = csv.DictWriter(file, [*COLUMNS, *rivals.COLUMNS])
                if is_new:
                    writer.writeheader()
                writer.writerows(found)
    print(summary(rows))


if __name__ == "__main__":
    define_flags()
    inputs.run(main)
