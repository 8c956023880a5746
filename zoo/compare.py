"""Compare attribution methods in figures, by cost and by pixel removal.

    python -m zoo.compare --preset cifar10 --data cifar10 --output runs/compare

writes into the output folder: `compare.png` (Figures 1 and 5 of the paper),
`pixel_removal_LAYER.png` (Figure 4), `maps_by_layer.png`, `similarity_by_layer`
as a figure and a table, `table.csv` and `table.md`, `pairs.csv` (which method
is better, image by image), `images.csv` (one row per image), `results.json` and
`report.html`, which opens without a server. `--formats pdf,svg` also writes
figures for a paper.

The run can be stopped at any moment, and continues when it is started again.
`--figures_only --output runs/compare` makes the figures, the tables and the
report again from what was measured so far, without a model or images.

`--replicate paper` measures what the paper reports, on enough images.

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

import dataclasses
import hashlib
import itertools
import json
import os
import shutil
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

import numpy as np
from absl import app
from absl import flags
from absl import logging

from zoo import comparison
from zoo import inputs
from zoo import methods
from zoo import parts
from zoo import replicate
from zoo import report
from zoo.comparison import Layer
from zoo.training import record

if TYPE_CHECKING:
    import keras

    from keras_facnn import metrics

FLAGS = flags.FLAGS
# What `--figures_only` may be given with.
OF_FIGURES = ("figures_only", "output", "formats")
# The number of maps by layer that fit into one figure.
LAYERS_SHOWN = 8


def define_flags() -> None:
    inputs.define_preset_flags(data_required=False, preset_required=False)
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
    flags.DEFINE_enum(
        "explain",
        "predictions",
        ["predictions", "labels"],
        "Of which classes maps are made. Pixel removal measures the accuracy, "
        "so that maps of wrong predictions have to do with another class.",
    )
    flags.DEFINE_integer("seed", 0, "Seed of RISE's masks and random order.")
    flags.DEFINE_bool(
        "figures_only",
        False,
        "Whether to make figures, tables and report again from what is in the "
        "folder --output, without a model or images. Takes only --formats.",
    )
    replicate.define_flag()


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
    def explained(self) -> np.ndarray:
        """The class of each image whose map is made."""
        return self.labels if FLAGS.explain == "labels" else self.predictions

    @property
    def is_facnn(self) -> bool:
        from keras_facnn import FACNN

        return isinstance(self.model, FACNN)

    @property
    def has_fa_layers(self) -> bool:
        """Whether it is an FA-CNN with a layer besides the last one, x_0."""
        return self.is_facnn and self.model.num_layers > 0


def main() -> None:
    if FLAGS.figures_only:
        made = read_comparison()
        rows = report.write(FLAGS.output, made, FLAGS.formats)
    else:
        made, rows = measure()
    print(report.markdown(rows))
    if made.replicates:
        print(report.markdown(replicate.rows(made)))
        print(replicate.NOTE)
    page = os.path.join(FLAGS.output, report.PAGE)
    print(f"The report is {os.path.abspath(page)}")


def read_comparison() -> comparison.Comparison:
    """Return what was measured before, for `--figures_only`."""
    given = [
        flag.name
        for module, some in FLAGS.flags_by_module_dict().items()
        for flag in some
        # Those of absl are about the log.
        if flag.present and not module.startswith("absl")
    ]
    others = sorted({*given} - {*OF_FIGURES})
    if others:
        raise app.UsageError(
            "--figures_only takes only --output and --formats, since the rest "
            f"was chosen when it was measured. Received: --{others[0]}"
        )
    made = comparison.load(FLAGS.output)
    if made is None or not made.measured:
        raise app.UsageError(
            "--figures_only needs an --output folder in which a method was "
            f"measured. Received: --output {FLAGS.output}"
        )
    return made


def measure() -> tuple[comparison.Comparison, list[report.Row]]:
    """Measure what is not yet measured, and write all into the folder."""
    if FLAGS.replicate:
        replicate.set_flags()
    for name in ("preset", "data"):
        if FLAGS[name].value is None:
            raise app.UsageError(f"--{name} must be given.")
    check_boxes_flag()
    # First, since TensorFlow must be imported before PyTorch.
    from zoo.data import images as _  # noqa: F401 # isort: skip

    check_methods_flag()
    record.make_folder("output", FLAGS.output)
    with record.alone_in("output", FLAGS.output):
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
        if FLAGS.replicate and not compared.has_fa_layers:
            raise app.UsageError(
                "--replicate needs a preset that has FA layers, such as "
                f"imagenet100. Received: --preset {FLAGS.preset}"
            )
        made = start_or_continue(compared, chosen, layers)
        # That of a run that continues, or else the same.
        compared = dataclasses.replace(compared, predictions=made.predictions)
        if FLAGS.replicate:
            replicate.announce(made, compared.model, compared.images, chosen)
        judge_all(compared, made, chosen)
        rows = report.write(FLAGS.output, made, FLAGS.formats)
    return made, rows


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


def start_or_continue(
    compared: Compared, chosen: Sequence[str], layers: Sequence[Layer]
) -> comparison.Comparison:
    """Return what is known of the comparison in the folder, or a new one."""
    settings = settings_of(compared, chosen)
    made = comparison.load(FLAGS.output)
    if made is None:
        made = comparison.Comparison(
            command="",
            settings=settings,
            methods=[],
            layers=[],
            class_names=list(compared.names),
            labels=compared.labels,
            predictions=compared.predictions,
            images=compared.images[compared.shown],
            shown=compared.shown,
        )
    else:
        made.check_settings(settings)
        titles = [one.title.replace("\n", ", ") for one in made.measured]
        logging.info(
            "Continuing. Already measured: %s.", "; ".join(titles) or "nothing"
        )
    # Those below change no number, so another run may have others.
    made.settings |= settings
    made.command = record.command()
    made.methods = [comparison.name_of(method) for method in chosen]
    made.layers = list(layers)
    made.replicates = bool(FLAGS.replicate)
    made.save(FLAGS.output)
    return made


def settings_of(compared: Compared, chosen: Sequence[str]) -> dict[str, Any]:
    """Return what the numbers depend on, by name; see `comparison.HASHES`."""
    import keras

    model, boxes = compared.model, compared.boxes
    # Keras numbers the names of models that are read after each other.
    config = {k: v for k, v in model.get_config().items() if k != "name"}
    arrays = [json.dumps(config, default=str), *model.get_weights()]
    settings = {
        "KERAS_BACKEND": keras.backend.backend(),
        "model": hash_of(*arrays),
        "images": hash_of(compared.images, compared.labels),
        "boxes": None if boxes is None else hash_of(*boxes),
    }
    names = ["figure_images", "baseline", "steps", "explain", "seed"]
    names += [f.name for f in FLAGS.get_key_flags_for_module(methods)]
    names.remove("methods")
    settings |= {f"--{name}": FLAGS[name].value for name in names}
    for method in chosen:
        path = method.rpartition(":")[0]
        if path:
            with open(path, "rb") as file:
                settings[comparison.name_of(method)] = hash_of(file.read())
    return settings


def hash_of(*parts: Any) -> str:
    """Return a hash of texts, bytes and arrays."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            part = part.encode()
        if not isinstance(part, bytes):
            array = np.ascontiguousarray(part)
            digest.update(f"{array.shape} {array.dtype}".encode())
            part = array.tobytes()
        digest.update(part)
    return digest.hexdigest()


def judge_all(
    compared: Compared, made: comparison.Comparison, chosen: Sequence[str]
) -> None:
    """Measure what is missing of all methods at all layers, and store it."""
    if compared.has_fa_layers and made.similarity is None:
        made.by_layer = maps_by_layer(compared)
        made.similarity = similarity_by_layer(compared)
        made.save(FLAGS.output)
    keys = {
        (method, layer if methods.is_layered(method) else None): None
        for layer in made.layers
        for method in chosen
    }
    for number, (method, layer) in enumerate(keys, 1):
        name = comparison.name_of(method)
        if any((o.method, o.layer) == (name, layer) for o in made.measured):
            continue
        title = methods.title_at(method, layer).replace("\n", ", ")
        logging.info("%s: %d of %d", title, number, len(keys))
        folder = parts.folder_of(FLAGS.output, name, layer)
        made.measured.append(judge(compared, method, layer, title, folder))
        # After each, since a crash should not lose the hours before it.
        made.save(FLAGS.output)
        report.write_table(FLAGS.output, made)
        shutil.rmtree(folder, ignore_errors=True)


def maps_by_layer(compared: Compared) -> dict[int, np.ndarray]:
    """Return the maps of the first image in the figures at some layers."""
    model, (first, *_) = compared.model, compared.shown
    image, c = compared.images[[first]], int(compared.predictions[first])
    layers = np.arange(1, model.num_layers + 1)
    return {
        layer: model.class_maps(image, c, layer)[0]
        for layer in inputs.spread(layers, LAYERS_SHOWN).tolist()
    }


def similarity_by_layer(compared: Compared) -> metrics.SimilarityByLayer:
    """Measure how alike raw maps and Grad-CAM are at each layer."""
    from keras_facnn import metrics

    logging.info("Similarity by layer")
    return metrics.similarity_by_layer(
        compared.model,
        compared.images,
        compared.predictions,
        # Of a single image there is no other.
        controls=len(compared.images) > 1,
        batch_size=FLAGS.batch_size,
    )


def judge(
    compared: Compared,
    method: str,
    layer: Layer | None,
    title: str,
    folder: str,
) -> comparison.Measured:
    """Make the maps of a method, and judge them.

    Args:
        compared: What to make maps of.
        method: One of `--methods`.
        layer: The layer that it looks at, or None.
        title: What to call it in lines of progress.
        folder: Path of the folder for the parts that are done.
    """
    images, labels = compared.images, compared.labels
    make = methods.maker(compared.model, method, layer)
    forward, backward = methods.passes(compared.model, method, layer)
    passes = parts.passes_of(forward, backward)
    maps, seconds = None, 0.0
    defined = np.ones(len(images), bool)
    if make is not None:

        def make_some(some: slice) -> dict[str, np.ndarray]:
            found, duration = timed(
                make, images[some], compared.explained[some], passes
            )
            check_maps(found, len(images[some]), title)
            return {"maps": found, "seconds": np.full(len(found), duration)}

        done = parts.run(
            folder,
            "maps",
            f"{title}: maps",
            len(images),
            passes,
            make_some,
        )
        # The first part of a run has to compile.
        maps, seconds = done["maps"], float(np.median(done["seconds"]))
        defined = np.ptp(maps, axis=(1, 2)) > 0
        if not defined.any():
            raise ValueError(f"All maps of {title!r} are constant.")
    curve = None
    if FLAGS.steps:
        curve = removal(compared, maps, defined, title, folder)
    columns: dict[str, Any] = {}
    if compared.boxes is not None:
        right = defined & (compared.predictions == labels)
        columns |= scores_by_boxes(
            None if maps is None else maps[right],
            [compared.boxes[i] for i in np.flatnonzero(right)],
            images.shape[1:3],
        )
    columns |= {
        "forward passes per image": forward,
        "backward passes per image": backward,
        "ms per image": f"{1000 * seconds:.2f}",
        "constant maps, left out": int((~defined).sum()),
    }
    shown = None if maps is None else maps[compared.shown]
    name = comparison.name_of(method)
    return comparison.Measured(name, layer, columns, curve, shown)


def check_maps(maps: Any, count: int, title: str) -> None:
    """Raise if a method did not return maps, as one of a user may not."""
    array = np.asarray(maps)
    if array.ndim != 3 or len(array) != count:
        raise ValueError(
            f"{title} must return maps of shape ({count}, h, w). Received: "
            f"shape {array.shape}"
        )
    if not np.isfinite(array).all():
        raise ValueError(
            f"{title} must return finite maps. Received: NaN or infinity, in "
            f"{(~np.isfinite(array)).any(axis=(1, 2)).sum()} of {count} maps"
        )


def removal(
    compared: Compared,
    maps: np.ndarray | None,
    defined: np.ndarray,
    title: str,
    folder: str,
) -> metrics.PixelRemoval:
    """Remove the pixels of images in parts.

    Args:
        compared: What the maps are of.
        maps: Array `(N, h, w)`, or None for a random order.
        defined: Bools `(N,)`, whether a map gives an order.
        title, folder: As in `judge`.
    """
    from keras_facnn import metrics

    indices = np.flatnonzero(defined)

    def remove(some: slice) -> dict[str, np.ndarray]:
        of = indices[some]
        result = metrics.pixel_removal(
            compared.model,
            compared.images[of],
            compared.labels[of],
            None if maps is None else maps[of],
            order="random" if maps is None else "most_relevant_first",
            fractions=np.linspace(0, 1, FLAGS.steps + 1),
            baseline=FLAGS.baseline,
            # Or each part would have the same random orders.
            seed=FLAGS.seed + some.start,
            batch_size=FLAGS.batch_size,
        )
        return {"json": np.array([result.to_json()])}

    texts = parts.run(
        folder,
        "removal",
        f"{title}: pixel removal",
        len(indices),
        FLAGS.steps + 1,
        remove,
    )["json"]
    results = [metrics.PixelRemoval.from_json(str(text)) for text in texts]

    def joined(attribute: str) -> np.ndarray:
        rows = np.concatenate([getattr(r, attribute) for r in results])
        array = np.full((len(defined), *rows.shape[1:]), np.nan)
        array[indices] = rows
        return array

    return dataclasses.replace(
        results[0],
        **{a: joined(a) for a in ("values", "hits", "probabilities")},
        ties=float(
            np.average(
                [r.ties for r in results], weights=[r.count for r in results]
            )
        ),
        settings={**results[0].settings, "seed": FLAGS.seed},
    )


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
        columns[name] = f"{result.mean:.4f}"
        columns[f"interval of {name}"] = report.interval(result)
    return columns


def timed(
    make: methods.Make,
    images: np.ndarray,
    predictions: np.ndarray,
    passes: int,
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
    # Of one forward and one backward pass.
    few = parts.passes_of(1, 1)
    if passes > few or total < 2 * batch:
        maps, seconds = call(total)
        return maps, seconds / total
    # The first call of all compiles most.
    call(batch)
    _, before = call(batch)
    maps, seconds = call(total)
    return maps, max(seconds - before, 0.0) / (total - batch)


if __name__ == "__main__":
    define_flags()
    inputs.run(main)
