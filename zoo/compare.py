"""Compares ways to make a map, by eye, by cost and by pixel removal.

    python -m zoo.compare --preset cifar10 --data cifar10 --output runs/compare

writes into the output folder: `compare.png` (Figures 1 and 5 of the paper),
`pixel_removal_LAYER.png` (Figure 4), `depth.png`, `depth.csv`, `table.csv`,
`table.md`, `results.json` and `report.html`, which opens from disk alone.

`--preset MODEL.keras` compares the maps of any Keras classifier instead, CAM's
where it ends in an average and one dense layer; there is nothing of depth then.

Of a preset for several labels an image, `--labels TABLE.csv` says which there
are, as for `zoo.evaluate`. Removal is judged by the most probable of those that
an image has; images of none are left out.
"""

import base64
import csv
import functools
import html
import itertools
import json
import math
import os
import sys
import time

import numpy as np
from absl import app
from absl import flags
from absl import logging

from zoo import inputs
from zoo.training import record

FLAGS = flags.FLAGS
TITLES = {
    "facnn": "FA-CNN",
    "facnn_centered": "FA-CNN, centered",
    "cam": "CAM",
    "grad_cam": "Grad-CAM",
    "tf_keras_vis": "Grad-CAM by tf-keras-vis",
    "hires_cam": "HiResCAM",
    "layer_cam": "Layer-CAM",
    "saliency": "saliency",
    "integrated_gradients": "Integrated Gradients",
    "rise": "RISE",
    "occlusion": "K-OCC",
    "random": "random",
}
# What looks at a layer, and so is made at each.
LAYERED = (
    "facnn",
    "facnn_centered",
    "grad_cam",
    "tf_keras_vis",
    "hires_cam",
    "layer_cam",
)
# Without `--methods`, of an FA-CNN and of other models.
METHODS = ("facnn", "grad_cam", "rise", "occlusion", "random")
METHODS_OF_OTHERS = ("cam", *METHODS[1:])
# Which way is better, and what the numbers are.
COLUMNS = {
    "accuracy AUC": (
        "↓",
        "Area under the accuracy as pixels are removed, most relevant first, "
        "with half the width of its 95 % confidence interval. A map that finds "
        "the pixels that matter takes the accuracy down fast.",
    ),
    "probability AUC": (
        "↓",
        "The same area, of the probability of the image's class.",
    ),
    "ties": (
        "",
        "Share of neighbors in the order of removal whose values are equal, "
        "so that their place alone decides.",
    ),
    "pointing game": (
        "↑",
        "How often a map's largest value is in the object's box.",
    ),
    "energy in box": (
        "↑",
        "Share of a map's positive values that is in the object's box.",
    ),
}
BASELINES = {
    "road": "Removed pixels are filled in from their neighbors, with noise "
    "(ROAD), so that the holes do no harm of their own.",
    "other": "Removed pixels leave holes, and scattered holes harm a network "
    "by themselves, more than one hole of the same area. So random order can "
    "win here; --baseline road fills the holes in.",
}
CONTROLS = {
    "other_image": "another image's map",
    "shuffled_weights": "shuffled weights",
}


def define_flags():
    inputs.define_preset_flags()
    # Or `--help` leaves them out.
    flags.adopt_module_key_flags(inputs)
    inputs.define_labels_flag()
    flags.DEFINE_string(
        "output", None, "Folder of what is written.", required=True
    )
    flags.DEFINE_integer("images", 1000, "Images, evenly spread.", 1)
    flags.DEFINE_integer("figure_images", 6, "Of these, rows of figures.", 1)
    flags.DEFINE_list(
        "layers",
        None,
        "Layers to compare at: numbers of FA layers, by default the last and "
        "that at three quarters, 24,18 of 24; of another model, names of its "
        "layers, by default the one before its GlobalAveragePooling2D.",
    )
    flags.DEFINE_list(
        "methods",
        None,
        f"Some of {', '.join(TITLES)}; tf_keras_vis on TensorFlow alone. The "
        f"default is {','.join(METHODS)}, and of a model that is no FA-CNN "
        f"{','.join(METHODS_OF_OTHERS)}.",
    )
    flags.DEFINE_integer("rise_masks", 4000, "RISE's N.", 1)
    flags.DEFINE_integer("occlusion_size", 8, "Side of K-OCC's square.", 1)
    flags.DEFINE_integer("occlusion_stride", 4, "Its stride.", 1)
    flags.DEFINE_string(
        "baseline",
        "mean",
        "What stands in for removed pixels; mean, blur, road.",
    )
    flags.DEFINE_integer("steps", 20, "Steps of pixel removal.", 1)
    flags.DEFINE_string(
        "boxes",
        None,
        "Table of the objects' boxes in a folder's images, with the columns "
        "file (split/class/name.jpg), xmin, ymin, xmax, ymax, in pixels, the "
        "last ones included. Only images with a box are compared. Adds the "
        "pointing games of those whose class is predicted right.",
    )
    flags.DEFINE_integer("seed", 0, "Of RISE's masks and random order.")


def main():
    if FLAGS.boxes and (
        not os.path.isdir(FLAGS.data)
        or FLAGS.classes
        or FLAGS.skip_broken
        or FLAGS.validation_fraction is not None
        or FLAGS.labels
    ):
        raise app.UsageError(
            "--boxes needs a folder as --data, and all of its images: neither "
            "--classes nor --labels nor --skip_broken nor "
            "--validation_fraction. "
            f"Received: --data {FLAGS.data}"
        )
    unknown = set(FLAGS.methods or ()) - set(TITLES)
    if unknown:
        raise app.UsageError(f"Unknown --methods: {', '.join(unknown)}")
    if "tf_keras_vis" in (FLAGS.methods or ()):
        import keras

        if keras.backend.backend() != "tensorflow":
            raise app.UsageError(
                "--methods tf_keras_vis needs KERAS_BACKEND=tensorflow. "
                f"Received: KERAS_BACKEND={keras.backend.backend()}"
            )
    record.make_folder("output", FLAGS.output)
    table = inputs.table_of_labels()
    if FLAGS.preset.endswith(".keras"):
        model, images, labels, names = inputs.baseline_and_images()
    else:
        model, images, labels, names = inputs.preset_and_images(table)
    from keras_facnn import FACNN
    from keras_facnn import metrics
    from keras_facnn import plots

    is_facnn = isinstance(model, FACNN)
    methods = FLAGS.methods or (METHODS if is_facnn else METHODS_OF_OTHERS)
    if not is_facnn and not {"facnn", "facnn_centered"}.isdisjoint(methods):
        raise app.UsageError(
            "--methods facnn and facnn_centered are of an FA-CNN alone. "
            f"Received: --preset {FLAGS.preset}"
        )
    layers = layers_of(model) if is_facnn else layers_of_other(model)
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

    depth = None
    if is_facnn:
        logging.info("Similarity by depth")
        depth = metrics.similarity_by_layer(
            model,
            images,
            predictions,
            # Of a single image there is no other.
            controls=len(images) > 1,
            batch_size=FLAGS.batch_size,
        )
        depth.to_dataframe().to_csv(
            os.path.join(FLAGS.output, "depth.csv"), index=False
        )

    judged, rows, results, figures = {}, [], {}, {}
    shown = inputs.spread(np.arange(len(images)), FLAGS.figure_images)
    columns, reference = {}, {}
    for layer in layers:
        curves = {}
        for method in methods:
            key = (method, layer if method in LAYERED else None)
            if key not in judged:
                logging.info("%s at layer %s", TITLES[method], layer)
                judged[key] = judge(
                    model, images, labels, predictions, boxes, *key
                )
            maps, curve, others = judged[key]
            curves[TITLES[method]] = curve
            rows.append(
                {
                    "layer": layer,
                    "method": TITLES[method],
                    "accuracy AUC": round(curve.accuracy_auc, 4),
                    "±": round(curve.accuracy_interval, 4),
                    "probability AUC": round(curve.probability_auc, 4),
                    "ties": round(curve.ties, 4),
                    **others,
                }
            )
            results[f"{method}_{layer}"] = json.loads(curve.to_json())
            # After each, since a crash should not lose the hours before it.
            write_tables(rows, results, depth)
            if maps is not None:
                columns[key] = maps[shown]
                reference.setdefault(key, ("grad_cam", layer))
        # A layer of a model inside the model has a path.
        name = f"pixel_removal_{layer}.png".replace("/", "-")
        figures[name] = plots.pixel_removal(curves)
    columns = dict(sorted(columns.items(), key=lambda c: c[0][1] is None))
    if columns:
        figures["compare.png"] = plots.compare(
            images[shown],
            {title(*key): maps for key, maps in columns.items()},
            {
                title(*key): title(*other)
                for key, other in reference.items()
                if other in columns
            },
            [names[c] for c in predictions[shown]],
        )
    if is_facnn:
        one, c = images[shown[:1]], predictions[shown[0]]
        figures["depth.png"] = plots.maps_by_layer(
            one[0],
            {
                layer: model.class_maps(one, int(c), layer)[0]
                for layer in inputs.spread(
                    np.arange(1, model.num_layers + 1), 8
                ).tolist()
            },
            names[c],
        )
    for name, figure in figures.items():
        figure.savefig(os.path.join(FLAGS.output, name), dpi=150)
    page = os.path.join(FLAGS.output, "report.html")
    with open(page, "w", encoding="utf-8") as file:
        file.write(report(rows, sorted(figures), depth, record.command()))
    print(markdown(rows))
    print(f"The report is {os.path.abspath(page)}")


def layers_of(model):
    """The FA layers to compare at, ints."""
    last = model.num_layers
    if not FLAGS.layers:
        return list(dict.fromkeys([last, max(1, 3 * last // 4)]))
    for layer in FLAGS.layers:
        if not layer.isdecimal() or not 1 <= int(layer) <= last:
            raise app.UsageError(
                f"--layers must be of 1 to {last}. Received: {layer}"
            )
    return [int(layer) for layer in FLAGS.layers]


def layers_of_other(model):
    """The layers to compare at, names, of a model that is no FA-CNN."""
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


def title(method, layer):
    at = "" if layer is None else f"\nlayer {layer}"
    return TITLES[method] + at


def read_boxes(images, fit):
    """The boxes of each image, or None."""
    from zoo.data import boxes

    if FLAGS.boxes is None:
        return None
    return boxes.load(
        FLAGS.boxes, FLAGS.data, FLAGS.split, images.shape[1:], fit
    )


def judge(model, images, labels, predictions, boxes, method, layer):
    """Maps of a method, what removing their pixels does, and other columns."""
    from keras_facnn import metrics

    make, forward, backward = maker(model, method, layer)
    maps, seconds = None, 0.0
    defined = np.ones(len(images), bool)
    if make is not None:
        maps, seconds = timed(make, images, predictions, method)
        defined = np.ptp(maps, axis=(1, 2)) > 0
        if not defined.any():
            raise ValueError(
                f"All maps of {title(method, layer)!r} are constant."
            )
    curve = metrics.pixel_removal(
        model,
        images[defined],
        labels[defined],
        None if maps is None else maps[defined],
        order="random" if maps is None else "most_relevant_first",
        fractions=np.linspace(0, 1, FLAGS.steps + 1),
        baseline=FLAGS.baseline,
        seed=FLAGS.seed,
        batch_size=FLAGS.batch_size,
        verbose=int(sys.stdout.isatty()),
    )
    columns = {}
    if boxes is not None:
        right = defined & (predictions == labels)
        columns = pointing_games(
            None if maps is None else maps[right],
            [boxes[i] for i in np.flatnonzero(right)],
            images.shape[1:3],
        )
    columns |= {
        "forward passes an image": forward,
        "backward passes an image": backward,
        "ms an image": round(1000 * seconds, 2),
        "constant maps, left out": int((~defined).sum()),
    }
    return maps, curve, columns


def pointing_games(maps, boxes, size):
    """Scores of both games; of a random order, what chance gives."""
    from keras_facnn import metrics

    if not len(boxes):
        pointing = energy = np.array([np.nan])
    elif maps is None:
        # All but constant: a constant map has no score.
        maps = np.ones((len(boxes), *size))
        maps[:, 0, 0] += 1e-6
        pointing = energy = metrics.energy_pointing_game(maps, boxes, size)
    else:
        pointing = metrics.pointing_game(maps, boxes, size)
        energy = metrics.energy_pointing_game(maps, boxes, size)
    columns = {}
    for name, values in (
        ("pointing game", pointing),
        ("energy in box", energy),
    ):
        mean, half_width = mean_and_half_width(values[~np.isnan(values)])
        columns[name] = round(mean, 4)
        columns[f"± {name.split()[0]}"] = round(half_width, 4)
    return columns


def mean_and_half_width(values):
    """The mean, and half the width of its 95 % confidence interval."""
    if len(values) < 2:
        return float(values.sum()) if len(values) else math.nan, math.nan
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    return float(values.mean()), 1.96 * error


def timed(make, images, predictions, method):
    """Maps, and the seconds that an image takes once all is compiled.

    Some methods compile at each call, so what one batch takes is subtracted;
    not where an image takes many passes, beside which that is nothing.
    """

    def call(n):
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


def maker(model, method, layer):
    """A function of images and classes to maps, and its passes an image."""
    from keras_facnn import attribution

    size, stride = FLAGS.occlusion_size, FLAGS.occlusion_stride
    shows = {"verbose": int(sys.stdout.isatty())}

    def call(function, **options):
        return functools.partial(
            function, model, batch_size=FLAGS.batch_size, **options
        )

    if method in ("facnn", "facnn_centered"):
        make = functools.partial(
            model.class_maps,
            layer=layer,
            centered=method == "facnn_centered",
            batch_size=FLAGS.batch_size,
        )
        return make, 1, 0
    if method == "cam":
        return call(attribution.cam), 1, 0
    if method in LAYERED:
        name = {"tf_keras_vis": "tf_keras_vis_grad_cam"}.get(method, method)
        return call(getattr(attribution, name), layer=layer), 1, 1
    if method == "saliency":
        return call(attribution.saliency), 1, 1
    if method == "integrated_gradients":
        steps = 50
        make = call(attribution.integrated_gradients, steps=steps)
        return make, steps, steps
    if method == "rise":
        masks = FLAGS.rise_masks
        make = call(attribution.rise, masks=masks, seed=FLAGS.seed, **shows)
        return make, masks, 0
    if method == "occlusion":
        make = call(attribution.occlusion, size=size, stride=stride, **shows)
        sides = [
            -(-max(0, side - size) // stride) + 1
            for side in model.input_shape[1:3]
        ]
        return make, math.prod(sides) + 1, 0
    return None, 0, 0


def write_tables(rows, results, depth):
    def replacing(name):
        return record.replacing(os.path.join(FLAGS.output, name))

    command = record.command()
    with replacing("table.csv") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with replacing("table.md") as file:
        file.write(f"`{command}`\n\n{markdown(rows)}")
    with replacing("results.json") as file:
        json.dump(
            {
                "command": command,
                "depth": depth and json.loads(depth.to_json()),
                "pixel_removal": results,
            },
            file,
        )


def heading(column):
    """A column's name, and an arrow to where it is better."""
    return f"{column} {COLUMNS.get(column, ('',))[0]}".strip()


def markdown(rows):
    lines = [[*map(heading, rows[0])], ["---"] * len(rows[0])]
    lines += [
        [inputs.printable(str(v)).replace("|", r"\|") for v in row.values()]
        for row in rows
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def report(rows, figures, depth, command):
    """One HTML page that needs no other file."""

    def shown(text):
        return html.escape(inputs.printable(str(text)))

    def cells(tag, values):
        return "".join(f"<{tag}>{shown(v)}</{tag}>" for v in values)

    def table(rows):
        body = "".join(f"<tr>{cells('td', r.values())}</tr>" for r in rows)
        heads = cells("th", map(heading, rows[0]))
        return f"<table><tr>{heads}</tr>{body}</table>"

    terms = "".join(
        f"<dt>{shown(heading(name))}</dt><dd>{shown(meaning)}</dd>"
        for name, (_, meaning) in COLUMNS.items()
        if name in rows[0]
    )
    holes = BASELINES["road" if FLAGS.baseline == "road" else "other"]

    def image(name):
        with open(os.path.join(FLAGS.output, name), "rb") as file:
            data = base64.b64encode(file.read()).decode()
        return f'<h2>{shown(name)}</h2><img src="data:image/png;base64,{data}">'

    by_depth = ""
    if depth is not None:
        layers = [
            {
                "layer": layer,
                "mean correlation": f"{mean:.4f}",
                "95 % interval": f"± {interval:.4f}",
                "undefined": undefined,
                **{
                    CONTROLS[name]: f"{of.mean[i]:.4f} ± {of.interval[i]:.4f}"
                    for name, of in depth.controls.items()
                },
            }
            for i, (layer, mean, interval, undefined) in enumerate(
                zip(
                    depth.layers,
                    depth.mean,
                    depth.interval,
                    depth.undefined,
                    strict=True,
                )
            )
        ]
        by_depth = (
            f"<h2>Raw maps against Grad-CAM, by depth</h2>{table(layers)}"
        )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        "<title>keras_facnn: comparison</title>"
        "<style>body{font:15px sans-serif;margin:2em;max-width:75em}"
        "td,th{padding:.2em .8em;text-align:right}img{max-width:100%}</style>"
        f"<h1>Ways to make a map</h1><p><code>{shown(command)}</code></p>"
        "<h2>Accuracy and probability as pixels are removed, most relevant "
        "first, and cost</h2>"
        f"{table(rows)}<p>↓ less is better, ↑ more is better.</p>"
        f"<dl>{terms}</dl><p>{shown(holes)}</p>"
        f"{''.join(map(image, figures))}"
        f"{by_depth}</html>"
    )


if __name__ == "__main__":
    define_flags()
    inputs.run(main)
