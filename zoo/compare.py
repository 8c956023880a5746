"""Compare attribution methods in figures, by cost and by pixel removal.

    python -m zoo.compare --preset cifar10 --data cifar10 --output runs/compare

writes into the output folder: `compare.png` (Figures 1 and 5 of the paper),
`pixel_removal_LAYER.png` (Figure 4), `maps_by_layer.png`, `similarity_by_layer`
as a figure and a table, `table.csv` and `table.md`, `pairs.csv` (which method
is better, image by image), `images.csv` (one row per image), `results.json` and
`report.html`, which opens without a server. `--formats pdf,svg` also writes
figures for a paper. What is done so far is always in the folder.

A method of your own is `--methods grad_cam,my_file.py:my_method`: a function of
model, images and classes that returns maps `(B, h, w)`.

`--preset MODEL.keras` compares the maps of any Keras classifier instead. The
methods then include CAM if the model ends in an average and one dense layer,
and there is no similarity by layer.

For a preset of several labels per image, `--labels TABLE.csv` gives the labels
of each image, as for `zoo.evaluate`. Pixel removal uses the most probable label
of each image. Images without labels are left out.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

import numpy as np
from absl import app
from absl import flags
from absl import logging

from zoo import inputs
from zoo import methods
from zoo import report
from zoo.training import record

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

FLAGS = flags.FLAGS
Layer = int | str


def define_flags() -> None:
    inputs.define_preset_flags()
    inputs.define_labels_flag()
    methods.define_flags()
    # Or `--help` leaves them out.
    flags.adopt_module_key_flags(inputs)
    flags.adopt_module_key_flags(methods)
    flags.DEFINE_string("output", None, "Folder to write into.", required=True)
    flags.DEFINE_integer("images", 1000, "Images, evenly spread.", 1)
    flags.DEFINE_integer("figure_images", 6, "Of these, rows of figures.", 1)
    flags.DEFINE_list(
        "layers",
        None,
        "Layers to compare at: numbers of FA layers, by default the last and "
        "that at three quarters, 24,18 of 24; of another model, names of its "
        "layers, by default the one before its GlobalAveragePooling2D.",
    )
    flags.DEFINE_string(
        "baseline", "mean", "What replaces removed pixels; mean, blur, road."
    )
    flags.DEFINE_integer(
        "steps",
        20,
        "Steps of pixel removal; 0 leaves it out, which costs the most passes.",
        0,
    )
    flags.DEFINE_string(
        "boxes",
        None,
        "Table of the objects' boxes in a folder's images, with the columns "
        "file (split/class/name.jpg), xmin, ymin, xmax, ymax, in pixels, the "
        "last ones included. Only images with a box are compared. Adds the "
        "pointing games and MaxBoxAccV2 of those whose class is predicted "
        "right.",
    )
    flags.DEFINE_list(
        "formats",
        [],
        "Formats of the figures besides png, such as pdf,svg for a paper.",
    )
    flags.DEFINE_integer("seed", 0, "Seed of RISE's masks and random order.")


@dataclasses.dataclass(frozen=True)
class Compared:
    """What the methods are compared on.

    Attributes:
        model: The classifier.
        images: Array `(N, H, W, channels)`.
        labels: Int array `(N,)`.
        predictions: Int array `(N,)`, the predicted classes.
        names: The classes' names.
        boxes: Boxes of each image, or None.
    """

    model: keras.Model
    images: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray
    names: list[str]
    boxes: list | None

    @property
    def shown(self) -> np.ndarray:
        """Indices of the images in the figures."""
        return inputs.spread(np.arange(len(self.images)), FLAGS.figure_images)

    @property
    def is_facnn(self) -> bool:
        from keras_facnn import FACNN

        return isinstance(self.model, FACNN)


@dataclasses.dataclass(frozen=True)
class Judged:
    """A method's maps, and what they are worth.

    Attributes:
        maps: Array `(N, h, w)`, or None for a random order.
        curve: What `keras_facnn.metrics.pixel_removal` returns, or None.
        columns: Other columns of the table, by their names.
    """

    maps: np.ndarray | None
    curve: Any
    columns: dict[str, Any]


def main() -> None:
    check_boxes_flag()
    # First, since TensorFlow must be imported before PyTorch.
    from zoo.data import images as _  # noqa: F401 # isort: skip

    check_methods_flag()
    record.make_folder("output", FLAGS.output)
    compared = read()
    chosen = FLAGS.methods or (
        methods.DEFAULT if compared.is_facnn else methods.DEFAULT_OF_OTHERS
    )
    if not compared.is_facnn and {"facnn", "facnn_centered"} & set(chosen):
        raise app.UsageError(
            "--methods facnn and facnn_centered are only for an FA-CNN. "
            f"Received: --preset {FLAGS.preset}"
        )
    find_layers = layers_of if compared.is_facnn else layers_of_other
    layers = find_layers(compared.model)
    # Without FA layers there is only the last layer, where they are the same.
    has_fa_layers = compared.is_facnn and compared.model.num_layers > 0
    similarity = similarity_by_layer(compared) if has_fa_layers else None
    judged, rows = judge_all(compared, chosen, layers, similarity)
    pairs = pairs_of_methods(judged)
    figures = {
        **removal_figures(judged, layers),
        **similarity_figures(similarity),
        **map_figures(compared, judged, chosen, layers),
    }
    paths = save(figures)
    write_images(compared, judged)
    page = os.path.join(FLAGS.output, "report.html")
    with open(page, "w", encoding="utf-8") as file:
        file.write(
            report.page(
                rows, pairs, paths, similarity, record.command(), FLAGS.baseline
            )
        )
    print(report.markdown(rows))
    print(f"The report is {os.path.abspath(page)}")


def check_boxes_flag() -> None:
    if FLAGS.boxes and (
        not os.path.isdir(FLAGS.data)
        or FLAGS.skip_broken
        or FLAGS.validation_fraction is not None
        or FLAGS.labels
    ):
        raise app.UsageError(
            "--boxes needs a folder as --data, and all of its images: neither "
            "--labels nor --skip_broken nor --validation_fraction. "
            f"Received: --data {FLAGS.data}"
        )


def check_methods_flag() -> None:
    known = methods.names()
    own = [name for name in FLAGS.methods or () if ":" in name]
    for name in own:
        methods.load(name)
    chosen = set(FLAGS.methods or ())
    if len({methods.short(name) for name in chosen}) < len(chosen):
        raise app.UsageError(
            "--methods must have different names, also without their files. "
            f"Received: {','.join(FLAGS.methods)}"
        )
    unknown = sorted(chosen.difference(known, own))
    if unknown:
        raise app.UsageError(
            f"Unknown --methods: {', '.join(unknown)}. There are "
            f"{', '.join(known)}."
        )
    if "tf_keras_vis" in (FLAGS.methods or ()):
        import keras

        if keras.backend.backend() != "tensorflow":
            raise app.UsageError(
                "--methods tf_keras_vis needs KERAS_BACKEND=tensorflow. "
                f"Received: KERAS_BACKEND={keras.backend.backend()}"
            )


def read() -> Compared:
    """Read the model and the images that the flags name."""
    table = inputs.table_of_labels()
    if FLAGS.preset.endswith(".keras"):
        model, images, labels, names = inputs.baseline_and_images()
    else:
        model, images, labels, names = inputs.preset_and_images(table)
    metadata = getattr(model, "preset_metadata", None) or {}
    boxes = read_boxes(images, inputs.fit(metadata))
    if boxes is not None:
        boxed = np.flatnonzero([len(b) > 0 for b in boxes])
        images, labels = images[boxed], labels[boxed]
        boxes = [boxes[i] for i in inputs.spread(boxed, FLAGS.images)]
    if table is not None:
        some = labels.any(axis=-1)
        if not some.any():
            raise ValueError(f"No image of `--labels {FLAGS.labels}` has one.")
        images, labels = images[some], labels[some]
    images = inputs.spread(images, FLAGS.images)
    labels = inputs.spread(labels, FLAGS.images)
    logits = model.predict(images, batch_size=FLAGS.batch_size, verbose=0)
    predictions = logits.argmax(-1)
    if table is not None:
        labels = np.where(labels == 1, logits, -np.inf).argmax(-1)
    return Compared(model, images, labels, predictions, names, boxes)


def read_boxes(images: np.ndarray, fit: str) -> list | None:
    """Return the boxes of each image, or None."""
    from zoo.data import boxes

    if FLAGS.boxes is None:
        return None
    return boxes.load(
        FLAGS.boxes,
        FLAGS.data,
        FLAGS.split,
        images.shape[1:],
        fit,
        FLAGS.classes,
    )


def layers_of(model: keras.Model) -> list[Layer]:
    """Return the numbers of the FA layers to compare at."""
    last = model.num_layers
    if last == 0:
        # The maps of a converted classifier, x_0.
        return [0]
    if not FLAGS.layers:
        return list(dict.fromkeys([last, max(1, 3 * last // 4)]))
    for layer in FLAGS.layers:
        if not layer.isdecimal() or not 1 <= int(layer) <= last:
            raise app.UsageError(
                f"--layers must be of 1 to {last}. Received: {layer}"
            )
    return [int(layer) for layer in FLAGS.layers]


def layers_of_other(model: keras.Model) -> list[Layer]:
    """Return the names of the layers to compare at, if it is no FA-CNN."""
    from keras.layers import GlobalAveragePooling2D

    if FLAGS.layers:
        return FLAGS.layers
    pairs = list(itertools.pairwise(model.layers))
    for layer, after in reversed(pairs):
        if isinstance(after, GlobalAveragePooling2D):
            return [layer.name]
    raise app.UsageError(
        "--layers must name layers of a model without a layer "
        f"GlobalAveragePooling2D of its own. Received: --preset {FLAGS.preset}"
    )


def similarity_by_layer(compared: Compared) -> Any:
    """Measure and write how alike raw maps and Grad-CAM are at each layer."""
    from keras_facnn import metrics

    logging.info("Similarity by layer")
    similarity = metrics.similarity_by_layer(
        compared.model,
        compared.images,
        compared.predictions,
        # Of a single image there is no other.
        controls=len(compared.images) > 1,
        batch_size=FLAGS.batch_size,
    )
    path = os.path.join(FLAGS.output, "similarity_by_layer.csv")
    similarity.summary().to_csv(path, index_label="layer")
    return similarity


def key_of(method: str, layer: Layer) -> tuple[str, Layer | None]:
    """Return a method and the layer that it looks at, or None."""
    return method, layer if methods.is_layered(method) else None


def judge_all(
    compared: Compared,
    chosen: Sequence[str],
    layers: Sequence[Layer],
    similarity: Any | None,
) -> tuple[dict, list[report.Row]]:
    """Judge all methods at all layers, and write the tables.

    Returns:
        The `Judged` by what `key_of` returns, and the rows of the table.
    """
    judged: dict[tuple[str, Layer | None], Judged] = {}
    rows, results = [], {}
    for layer in layers:
        for method in chosen:
            key = key_of(method, layer)
            if key not in judged:
                logging.info(
                    "%s at layer %s, %d of %d",
                    methods.title(method),
                    layer,
                    len(judged) + 1,
                    len({key_of(m, at) for m in chosen for at in layers}),
                )
                judged[key] = judge(compared, *key)
            row = {"layer": layer, "method": methods.title(method)}
            curve = judged[key].curve
            if curve is not None:
                row |= {
                    "accuracy AUC": round(curve.accuracy_auc, 4),
                    "interval": interval(curve),
                    "probability AUC": round(curve.probability_auc, 4),
                    "ties": round(curve.ties, 4),
                }
                results[f"{methods.short(method)}_{layer}"] = json.loads(
                    curve.to_json()
                )
            rows.append({**row, **judged[key].columns})
            # After each, since a crash should not lose the hours before it.
            # With the curves so far, since some methods take hours.
            save(removal_figures(judged, layers))
            report.write_tables(
                FLAGS.output,
                rows,
                results,
                pairs_of_methods(judged),
                similarity,
            )
    return judged, rows


def pairs_of_methods(judged: dict) -> list[report.Row]:
    """Compare the curves of all methods at each layer, in pairs."""
    from keras_facnn import metrics

    rows = []
    layers = [layer for _, layer in judged if layer is not None] or [None]
    for layer in dict.fromkeys(layers):
        curves = curves_at(judged, layer)
        if len(curves) > 1:
            for row in metrics.compare(curves).rows:
                numbers = {
                    name: f"{value:.2g}"
                    if name.startswith("p")
                    else round(value, 4)
                    for name, value in row.items()
                    if isinstance(value, float)
                }
                rows.append({"layer": layer, **row, **numbers})
    return rows


def judge(compared: Compared, method: str, layer: Layer | None) -> Judged:
    """Make the maps of a method, and judge them."""
    from keras_facnn import metrics

    images, labels = compared.images, compared.labels
    make = methods.maker(compared.model, method, layer)
    maps, seconds = None, 0.0
    defined = np.ones(len(images), bool)
    if make is not None:
        maps, seconds = timed(make, images, compared.predictions, method)
        defined = np.ptp(maps, axis=(1, 2)) > 0
        if not defined.any():
            raise ValueError(
                f"All maps of {methods.title_at(method, layer)!r} are constant."
            )
    curve = None
    if FLAGS.steps:
        curve = metrics.pixel_removal(
            compared.model,
            images,
            labels,
            maps,
            order="random" if maps is None else "most_relevant_first",
            fractions=np.linspace(0, 1, FLAGS.steps + 1),
            baseline=FLAGS.baseline,
            seed=FLAGS.seed,
            batch_size=FLAGS.batch_size,
            verbose=int(sys.stdout.isatty()),
        )
    columns: dict[str, Any] = {}
    if compared.boxes is not None:
        right = defined & (compared.predictions == labels)
        columns |= scores_by_boxes(
            None if maps is None else maps[right],
            [compared.boxes[i] for i in np.flatnonzero(right)],
            images.shape[1:3],
        )
    forward, backward = methods.passes(compared.model, method)
    columns |= {
        "forward passes per image": forward,
        "backward passes per image": backward,
        "ms per image": round(1000 * seconds, 2),
        "constant maps, left out": int((~defined).sum()),
    }
    return Judged(maps, curve, columns)


def scores_by_boxes(
    maps: np.ndarray | None, boxes: list, size: tuple[int, int]
) -> dict[str, Any]:
    """Return the scores by the boxes; of a random order, those of chance.

    The chance of MaxBoxAccV2 is that of a box around the whole image.
    """
    from keras_facnn import metrics

    names = ("pointing game", "energy in box", "MaxBoxAccV2")
    if not len(boxes):
        # The columns are those of methods that have boxes.
        return {c: "" for name in names for c in (name, f"interval of {name}")}
    if maps is None:
        # Not quite constant: a constant map has no score. Around all pixels
        # but a corner is the box of the whole image.
        maps = np.ones((len(boxes), *size))
        maps[:, 0, 0] -= 1e-6
        pointing = energy = metrics.energy_pointing_game(maps, boxes, size)
    else:
        pointing = metrics.pointing_game(maps, boxes, size)
        energy = metrics.energy_pointing_game(maps, boxes, size)
    best = metrics.max_box_accuracy(maps, boxes, size)
    columns: dict[str, Any] = {}
    for name, result in zip(names, (pointing, energy, best), strict=True):
        columns[name] = round(result.mean, 4)
        columns[f"interval of {name}"] = interval(result)
    return columns


def interval(result: Any) -> str:
    """Return the 95 % interval of a result's mean."""
    low, high = result.interval
    return f"{low:.4f} to {high:.4f}"


def timed(
    make: methods.Make,
    images: np.ndarray,
    predictions: np.ndarray,
    method: str,
) -> tuple[np.ndarray, float]:
    """Return maps, and the seconds per image without the compilation.

    Some methods compile at each call, so the time of one batch is subtracted.
    It is not subtracted for methods with many passes per image, because their
    compilation takes much less time than the passes.
    """

    def call(n: int) -> tuple[np.ndarray, float]:
        start = time.perf_counter()
        maps = make(images[:n], predictions[:n])
        return maps, time.perf_counter() - start

    total, batch = len(images), FLAGS.batch_size
    if method in ("rise", "occlusion") or total < 2 * batch:
        maps, seconds = call(total)
        return maps, seconds / total
    # The first call of all compiles most.
    call(batch)
    _, before = call(batch)
    maps, seconds = call(total)
    return maps, max(seconds - before, 0.0) / (total - batch)


def curves_at(judged: dict, layer: Layer) -> dict[str, Any]:
    """Return the curves at a layer, and those that look at none, by title."""
    return {
        methods.title(method): one.curve
        for (method, at), one in judged.items()
        if at in (layer, None) and one.curve is not None
    }


def removal_figures(judged: dict, layers: Sequence[Layer]) -> dict[str, Figure]:
    """Draw the curves of pixel removal of each layer."""
    from keras_facnn import plots

    return {
        # A layer of a model inside the model has a path.
        f"pixel_removal_{layer}".replace("/", "-"): plots.pixel_removal(curves)
        for layer in layers
        if (curves := curves_at(judged, layer))
    }


def similarity_figures(similarity: Any | None) -> dict[str, Figure]:
    """Draw how alike raw maps and Grad-CAM are, by layer."""
    from keras_facnn import plots

    if similarity is None:
        return {}
    return {"similarity_by_layer": plots.similarity_by_layer(similarity)}


def save(figures: dict[str, Figure]) -> dict[str, str]:
    """Write figures in all formats, and return the paths for the page."""
    paths = {}
    for name in sorted(figures):
        for format in dict.fromkeys(["png", *FLAGS.formats]):
            path = os.path.join(FLAGS.output, f"{name}.{format}")
            figures[name].savefig(path, dpi=150)
        paths[f"{name}.png"] = os.path.join(FLAGS.output, f"{name}.png")
    return paths


def write_images(compared: Compared, judged: dict) -> None:
    """Write `images.csv`: the area under the accuracy, by image and method."""
    columns = {
        methods.title_at(*key).replace("\n", ", "): one.curve.values
        for key, one in judged.items()
        if one.curve is not None
    }
    path = os.path.join(FLAGS.output, "images.csv")
    with record.replacing(path) as file:
        writer = csv.writer(file)
        writer.writerow(["image", "label", "prediction", *columns])
        writer.writerows(
            zip(
                range(len(compared.images)),
                [compared.names[c] for c in compared.labels],
                [compared.names[c] for c in compared.predictions],
                *columns.values(),
                strict=True,
            )
        )


def map_figures(
    compared: Compared,
    judged: dict,
    chosen: Sequence[str],
    layers: Sequence[Layer],
) -> dict[str, Figure]:
    """Draw the maps of some images, by method, and of one image, by layer."""
    from keras_facnn import plots

    shown, names, figures = compared.shown, compared.names, {}
    # The layer that a column's maps are compared with Grad-CAM at.
    columns: dict[tuple[str, Layer | None], Layer] = {}
    for layer in layers:
        for method in chosen:
            columns.setdefault(key_of(method, layer), layer)
    # Last, what looks at no layer.
    drawn = sorted(
        (key for key in columns if judged[key].maps is not None),
        key=lambda key: key[1] is None,
    )
    if drawn:
        figures["compare"] = plots.compare(
            compared.images[shown],
            {methods.title_at(*key): judged[key].maps[shown] for key in drawn},
            {
                methods.title_at(*key): methods.title_at(
                    "grad_cam", columns[key]
                )
                for key in drawn
                if ("grad_cam", columns[key]) in drawn
            },
            [names[c] for c in compared.predictions[shown]],
        )
    if compared.is_facnn and compared.model.num_layers:
        model, one = compared.model, compared.images[shown[:1]]
        c = int(compared.predictions[shown[0]])
        numbers = inputs.spread(np.arange(1, model.num_layers + 1), 8).tolist()
        figures["maps_by_layer"] = plots.maps_by_layer(
            one[0],
            {layer: model.class_maps(one, c, layer)[0] for layer in numbers},
            names[c],
        )
    return figures


if __name__ == "__main__":
    define_flags()
    inputs.run(main)
