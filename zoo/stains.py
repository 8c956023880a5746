"""Plant a stain into a stream of pictures, and count until the alarm.

    python -m zoo.stains --model cifar10.onnx --data cifar10/test

In each run, a part of the pictures is the reference, and others are a stream.
The same pictures with a gray stain, as on a lens, are another stream. Beside
the watch on maps, the same watch runs on confidences only.
"""

import csv
import pathlib
from typing import Any

import numpy as np
from absl import flags

import keras_facnn
from keras_facnn.runtime import Explainer
from keras_facnn.watching import Watch
from zoo import inputs

FLAGS = flags.FLAGS
# The place of the stain, down and across, in 0..1, and its gray.
_PLACE, _GRAY = (0.2, 0.75), 90


def define_flags() -> None:
    flags.DEFINE_string("model", None, "Exported file.", required=True)
    flags.DEFINE_string("data", None, "Folder of CLASS/*.", required=True)
    flags.DEFINE_integer("reference", 2000, "Pictures of the reference.")
    flags.DEFINE_integer("stream", 2000, "Pictures of each stream.")
    flags.DEFINE_integer("runs", 5, "Divisions of the pictures.")
    flags.DEFINE_list("opacity", ["0.3", "0.6", "0.9"], "Of the stain, 0..1.")
    flags.DEFINE_list("size", ["0.15", "0.3"], "As a share of the side.")
    flags.DEFINE_string("output", None, "CSV file to write.")


def stain(pixels: np.ndarray, opacity: float, size: float) -> np.ndarray:
    """Return pictures `(B, H, W, 3)` with a soft gray stain."""
    if not opacity:
        return pixels
    height, width = pixels.shape[1:3]
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(
        (y + 0.5) / height - _PLACE[0], (x + 0.5) / width - _PLACE[1]
    )
    share = opacity * np.exp(-((distance / size) ** 2) * 2)[..., None]
    return np.round(pixels * (1 - share) + _GRAY * share).astype("uint8")


def pictures_until_alarm(
    reference: dict[str, np.ndarray], stream: dict[str, np.ndarray], seed: int
) -> tuple[int, int]:
    """Return after how many pictures maps and confidences alarm, or 0."""
    found = []
    for watched in (_maps, _confidences):
        alarm = Watch(watched(reference), seed=seed).add(watched(stream))
        found.append(alarm.picture if alarm else 0)
    return found[0], found[1]


def _maps(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return columns


def _confidences(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return columns whose maps are one location: the confidence."""
    probability = columns["probability"][:, None, None]
    return {"class": columns["class"], "maps": probability}


def rows_of(
    columns: dict[str, np.ndarray], rows: np.ndarray
) -> dict[str, np.ndarray]:
    """Return some rows of columns."""
    return {name: values[rows] for name, values in columns.items()}


def load_pictures(explainer: Explainer) -> np.ndarray:
    """Return as many pictures as a run needs, of all classes."""
    height, width, _ = explainer.image_shape
    folder = keras_facnn.load_folder(FLAGS.data, read=False)
    needed = FLAGS.reference + FLAGS.stream
    if needed > len(folder.paths):
        raise ValueError(
            f"--reference and --stream need {needed:,} pictures. {FLAGS.data} "
            f"has {len(folder.paths):,}"
        )
    chosen = np.random.default_rng(0).permutation(len(folder.paths))[:needed]
    return keras_facnn.load_images(
        [folder.paths[i] for i in chosen], image_size=(height, width)
    )


def run_all(
    clean: dict[str, np.ndarray], seen: dict[str, np.ndarray]
) -> list[dict[str, Any]]:
    """Return a row for each run of one kind of stream.

    Args:
        clean: The columns of all pictures.
        seen: The columns of the same pictures, as the streams show them.
    """
    table = []
    for run in range(FLAGS.runs):
        rows = np.random.default_rng([1, run]).permutation(len(clean["class"]))
        by_maps, by_confidences = pictures_until_alarm(
            rows_of(clean, rows[: FLAGS.reference]),
            rows_of(seen, rows[FLAGS.reference :]),
            run,
        )
        table.append(
            {"run": run, "maps": by_maps, "confidences": by_confidences}
        )
    return table


def main() -> None:
    explainer = Explainer(FLAGS.model)
    pixels = load_pictures(explainer)
    clean = explainer(pixels, centered=True)
    # Without opacity, it is the clean stream.
    stains = [(0.0, 0.0)] + [
        (float(opacity), float(size))
        for size in FLAGS.size
        for opacity in FLAGS.opacity
    ]
    table = []
    for opacity, size in stains:
        seen = explainer(stain(pixels, opacity, size), centered=True)
        changed = float((seen["class"] != clean["class"]).mean())
        facts = {"opacity": opacity, "size": size, "changed": changed}
        rows = [{**facts, **row} for row in run_all(clean, seen)]
        found = {
            name: [row[name] for row in rows]
            for name in ("maps", "confidences")
        }
        print(f"{facts} {found}", flush=True)
        table += rows
    if FLAGS.output:
        with pathlib.Path(FLAGS.output).open("w", newline="") as file:
            writer = csv.DictWriter(file, list(table[0]))
            writer.writeheader()
            writer.writerows(table)


if __name__ == "__main__":
    define_flags()
    inputs.run(main)
