"""Plant cues into photos, train without them, and see what comes back.

    python -m zoo.mending --data clothing-160 --output mending.csv

Each run plants one cue into the photos of one class, and fits a linear head on
the features of the preset `imagenet`: to the photos before (control), to those
with the cue (plain), to those in which its place is covered by the photo's mean
color (covered), and to those of `keras_facnn.exchange_regions` (exchanged), as
`keras-facnn train --regions` does. On PyTorch, `--ways` can also name
`input_gradients`, a penalty on input gradients. Only cues that bite count, as
in `zoo.plants`. What a cue cost, and how much of it comes back, is measured on
validation photos: on those of other classes with the cue, and on those of the
class without it. A class that was mended too much is no longer right with it.
"""

import pathlib
import time
from typing import Any

import keras
import numpy as np
import scipy.ndimage
import scipy.stats
from absl import app
from absl import flags

import keras_facnn
from zoo import cues
from zoo import input_gradients
from zoo import inputs
from zoo import plants
from zoo.bench import Bench
from zoo.bench import append_rows
from zoo.bench import define_bench_flags

FLAGS = flags.FLAGS
MEASURES = ("others", "own", "own_with_cue", "clean", "evidence")
WAYS = ("control", "plain", "covered", "exchanged", "input_gradients")
COLUMNS = (
    *("data", "seed", "class", "kind", "share", "bite", "way", "seconds"),
    *MEASURES,
    "region_weight",
)


def define_flags() -> None:
    define_bench_flags()
    flags.DEFINE_integer("seeds", 3, "Number of seeds, from 0 on.")
    flags.DEFINE_list(
        "kinds", ["tag", "border", "background"], f"Some of {cues.KINDS[:6]}."
    )
    flags.DEFINE_list("shares", ["1", "0.5"], "Shares of the class.")
    flags.DEFINE_float("size", 0.3, "Side of a cue, as a share of the photo's.")
    flags.DEFINE_list("ways", ["covered", "exchanged"], f"Some of {WAYS[2:]}.")
    flags.DEFINE_float(
        "region_weight", 1, "Weight of the copies with an exchanged place."
    )
    flags.DEFINE_float(
        "gradient_weight", 1e-4, "Weight of the penalty on input gradients."
    )
    flags.DEFINE_string("output", None, "CSV file, to which rows are added.")


def places(photos: np.ndarray, planted: np.ndarray) -> np.ndarray:
    """Return masks `(B, H, W)` of what a cue changed, without small gaps."""
    changed = (photos != planted).any(axis=-1)
    near = np.ones((1, 7, 7), bool)
    padded = np.pad(changed, ((0, 0), (8, 8), (8, 8)))
    closed = scipy.ndimage.binary_closing(padded, near)[:, 8:-8, 8:-8]
    return (closed | changed).astype("float32")


class Case:
    """A cue in a share of the photos of a class."""

    def __init__(self, bench: Bench, plant: plants.Plant) -> None:
        self.bench, self.plant = bench, plant
        rng = np.random.default_rng([plant.seed, 3])
        photos = bench.train
        own = rng.permutation(np.flatnonzero(photos.labels == plant.label))
        self.own = own[: max(round(plant.share * len(own)), 1)]
        self.images = photos.images.copy()
        self.images[self.own] = plant.put(photos.images[self.own], 0)
        self.masks = places(photos.images[self.own], self.images[self.own])
        self.cells = bench.cells(self.images[self.own])
        self.pooled = photos.pooled.copy()
        self.pooled[self.own] = self.cells.mean(axis=(1, 2))
        others = np.flatnonzero(bench.val.labels != plant.label)
        self.others = rng.permutation(others)[:150]
        val = bench.val
        self.with_cue, self.own_with_cue = (
            bench.pool(plant.put(val.images[some], 1))
            for some in (self.others, np.flatnonzero(val.labels == plant.label))
        )

    def fit(self, way: str) -> None:
        """Fit the head in one of `WAYS`."""
        pooled, labels = self.pooled, self.bench.train.labels
        weights = None
        if way == "input_gradients":
            input_gradients.fit(
                self.bench,
                pooled,
                labels,
                self.plant.seed,
                self.images[self.own],
                self.masks,
                FLAGS.gradient_weight,
            )
            return
        if way == "control":
            pooled = self.bench.train.pooled
        if way == "covered":
            shown = self.images[self.own]
            color = shown.mean(axis=(1, 2), keepdims=True)
            shown = np.where(self.masks[..., None] > 0, color, shown)
            pooled = pooled.copy()
            pooled[self.own] = self.bench.pool(shown)
        if way == "exchanged":
            regions = np.full(self.images.shape[:3], np.nan, "float32")
            regions[self.own] = self.masks
            images, labels, weights = keras_facnn.exchange_regions(
                self.images,
                labels,
                regions,
                inside=False,
                weight=FLAGS.region_weight,
                seed=self.plant.seed,
            )
            copies = self.bench.pool(images[len(pooled) :])
            pooled = np.concatenate([pooled, copies])
        self.bench.fit(pooled, labels, self.plant.seed, weights)

    def bite(self) -> float:
        """Return how many more of other classes the cue makes the class."""
        with_cue, without = (
            (self.bench.answers(pooled) == self.plant.label).mean()
            for pooled in (self.with_cue, self.bench.val.pooled[self.others])
        )
        return float(with_cue - without)

    def measures(self) -> dict[str, float]:
        """Return the accuracy on four sorts of photos, and the evidence."""
        label, val = self.plant.label, self.bench.val
        right = self.bench.answers(val.pooled) == val.labels
        others = self.bench.answers(self.with_cue) == val.labels[self.others]
        return {
            "others": float(others.mean()),
            "own": float(right[val.labels == label].mean()),
            "own_with_cue": float(
                (self.bench.answers(self.own_with_cue) == label).mean()
            ),
            "clean": float(right.mean()),
            "evidence": self._share_in_place(),
        }

    def _share_in_place(self) -> float:
        """Return the share of evidence that lies in the place of the cue."""
        kernel, bias = self.bench.head.get_weights()
        maps = self.cells @ kernel[0, 0] + bias
        maps = maps[..., self.plant.label] - maps.mean(axis=-1)
        maps = keras_facnn.resize_maps(maps, self.masks.shape[1:]).clip(0)
        inside = (maps * self.masks).sum(axis=(1, 2))
        return float((inside / (maps.sum(axis=(1, 2)) + 1e-9)).mean())


def run_case(bench: Bench, plant: plants.Plant) -> list[dict[str, Any]]:
    """Return a row for each way, or for the plain one if it does not bite."""
    case = Case(bench, plant)
    case.fit("plain")
    bite = round(case.bite(), 4)
    ways = [*WAYS[:2], *FLAGS.ways] if bite >= plants.BITES else ["plain"]
    rows = []
    for way in ways:
        start = time.process_time()
        case.fit(way)
        seconds = time.process_time() - start
        values = {k: round(v, 4) for k, v in case.measures().items()}
        rows.append(
            {
                "data": pathlib.Path(FLAGS.data).name,
                "seed": plant.seed,
                "class": bench.names[plant.label],
                "kind": plant.kind,
                "share": plant.share,
                "bite": bite,
                "way": way,
                "seconds": round(seconds, 2),
                **values,
                "region_weight": FLAGS.region_weight,
            }
        )
        print(*rows[-1].values(), flush=True)
    return rows


def recovered(rows: list[dict[str, Any]], way: str, measure: str) -> float:
    """Return the share of what the cues cost that a way brings back.

    It is NaN if they cost nothing.
    """
    sums = {
        one: sum(r[measure] for r in rows if r["way"] == one)
        for one in ("control", "plain", way)
    }
    cost = sums["control"] - sums["plain"]
    return (sums[way] - sums["plain"]) / cost if cost else float("nan")


def summary(rows: list[dict[str, Any]]) -> str:
    """Return what each way brings back, for each sort of cue and for all."""
    bites = [r for r in rows if r["bite"] >= plants.BITES]
    sorts = dict.fromkeys((r["kind"], r["share"]) for r in bites)
    texts = []
    for kind, share in sorts:
        some = [r for r in bites if (r["kind"], r["share"]) == (kind, share)]
        texts.append(_summary_of(f"{kind} in {share:.0%} of a class", some))
    return "\n\n".join([*texts, _summary_of("all cues", bites)])


def _summary_of(title: str, rows: list[dict[str, Any]]) -> str:
    """Return the shares that come back, and the accuracy, with intervals."""
    count = sum(r["way"] == "plain" for r in rows)
    lines = [f"{title}: {count} that bite"]
    seeds = sorted({r["seed"] for r in rows})
    ways = [way for way in WAYS if any(r["way"] == way for r in rows)]
    for way in ways:
        some = [r for r in rows if r["way"] == way]
        means = (f"{m} {np.mean([r[m] for r in some]):.1%}" for m in MEASURES)
        lines.append(f"  {way}: {', '.join(means)}")
    for way in ways[2:]:
        for measure in MEASURES[:2]:
            parts = ([r for r in rows if r["seed"] == s] for s in seeds)
            shares = [recovered(some, way, measure) for some in parts]
            by_seed = ", ".join(f"{share:.0%}" for share in shares)
            whole = recovered(rows, way, measure)
            lines.append(f"  {way}, {measure} back: {whole:.0%} ({by_seed})")
        for measure in MEASURES[2:4]:
            change = _points(_changes(rows, way, measure))
            lines.append(f"  {way}, {measure} against control: {change}")
    return "\n".join(lines)


def _changes(rows: list[dict[str, Any]], way: str, measure: str) -> np.ndarray:
    """Return the mean difference from the control for each seed.

    Cues of the same seed share the control, and often the class.
    """
    changes = []
    for seed in sorted({r["seed"] for r in rows}):
        one, control = (
            np.mean(
                [r[measure] for r in rows if (r["seed"], r["way"]) == (seed, w)]
            )
            for w in (way, "control")
        )
        changes.append(one - control)
    return np.array(changes)


def _points(changes: np.ndarray) -> str:
    """Return the mean of changes with its 95 % interval, in points."""
    mean, count = 100 * changes.mean(), len(changes)
    if count < 2:
        return f"{mean:+.2f} points"
    error = 100 * changes.std(ddof=1) / count**0.5
    half = scipy.stats.t.ppf(0.975, count - 1) * error
    low, high = mean - half, mean + half
    return f"{mean:+.2f} points ({low:+.2f} to {high:+.2f})"


def check_ways() -> None:
    unknown = set(FLAGS.ways) - set(WAYS[2:])
    if unknown:
        raise app.UsageError(
            f"--ways must be of {WAYS[2:]}. Received: {sorted(unknown)}"
        )
    backend = keras.backend.backend()
    if "input_gradients" in FLAGS.ways and backend != "torch":
        raise app.UsageError(
            "--ways input_gradients needs KERAS_BACKEND=torch. "
            f"Received: {backend}"
        )


def main() -> None:
    check_ways()
    bench, rows = Bench(), []
    for seed in range(FLAGS.seeds):
        labels = np.random.default_rng([seed, 1]).permutation(len(bench.names))
        for number, kind in enumerate(FLAGS.kinds):
            for share in map(float, FLAGS.shares):
                label = int(labels[number % len(labels)])
                plant = plants.Plant(kind, FLAGS.size, share, label, seed)
                found = run_case(bench, plant)
                rows += found
                if FLAGS.output:
                    append_rows(FLAGS.output, COLUMNS, found)
    print(summary(rows))


if __name__ == "__main__":
    define_flags()
    inputs.run(main)
