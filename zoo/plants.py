"""Plant cues into photos, and count how many of them an audit finds.

    python -m zoo.plants --data clothing-160 --runs 16 --output plants.csv

Each run plants one cue into a part of the photos of each of several classes,
fits a linear head on the features of the preset `imagenet` to the planted
photos, and audits the model on them. The classes without a cue are controls. A
cue bites if the model uses it: photos of other classes, which it has not seen,
are called the class more often if the cue is planted into them.
"""

import dataclasses
import pathlib
import time
from typing import Any

import numpy as np
from absl import flags

import keras_facnn
from zoo import cues
from zoo import inputs
from zoo import rivals
from zoo.bench import Bench
from zoo.bench import append_rows
from zoo.bench import define_bench_flags

FLAGS = flags.FLAGS
# Of the photos of other classes, so many more must be called the class.
BITES = 0.10


def define_flags() -> None:
    define_bench_flags()
    flags.DEFINE_integer("runs", 8, "Models to train and audit.")
    flags.DEFINE_integer("first", 0, "The seed of the first run.")
    flags.DEFINE_integer(
        "planted", 5, "Classes with a cue per run; 0 is clean."
    )
    flags.DEFINE_boolean("rivals", False, "Find the cues in other ways, too.")
    flags.DEFINE_string(
        "cleanlab", None, "With --rivals: a Python that has cleanlab[image]."
    )
    flags.DEFINE_string("output", None, "CSV file, to which rows are added.")


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
            append_rows(FLAGS.output, [*COLUMNS, *rivals.COLUMNS], found)
    print(summary(rows))


if __name__ == "__main__":
    define_flags()
    inputs.run(main)
