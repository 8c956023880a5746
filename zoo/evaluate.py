"""Measures a preset: accuracy, alignment by depth, and what is exact.

    python -m zoo.evaluate --preset cifar10 --data cifar10 --split test

prints a report as JSON. `--write` puts it, with the command, into the
`metadata.json` of a preset that is a local folder.
"""

import json
import os

from absl import app
from absl import flags

FLAGS = flags.FLAGS


def define_flags():
    flags.DEFINE_string("preset", None, "Name, folder or URL of the preset.")
    flags.DEFINE_string(
        "data",
        None,
        "Folder split/class/*.jpg, or the name of a TensorFlow Dataset.",
    )
    flags.DEFINE_string("data_dir", None, "Where TensorFlow Datasets are kept.")
    flags.DEFINE_string("split", "test", "Split to measure on.")
    flags.DEFINE_integer(
        "alignment_images",
        1000,
        "Images, evenly spread over the split, for the correlation of raw maps "
        "with Grad-CAM.",
        1,
    )
    flags.DEFINE_integer(
        "verify_images", 256, "Images to verify the theorems on.", 1
    )
    flags.DEFINE_integer("batch_size", 250, "Images a forward pass.", 1)
    flags.DEFINE_bool("write", False, "Whether to write into the metadata.")
    flags.mark_flags_as_required(["preset", "data"])


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {' '.join(argv[1:])}")
    if FLAGS.write and not os.path.isdir(FLAGS.preset):
        raise app.UsageError("--write needs a --preset that is a folder.")
    # First, since TensorFlow must be imported before PyTorch.
    from zoo import data  # isort: skip
    import keras_facnn
    from zoo import provenance

    model = keras_facnn.FACNN.from_preset(FLAGS.preset)
    images, labels, class_names = data.load(
        FLAGS.data, FLAGS.split, model.image_shape, FLAGS.data_dir
    )
    expected = model.preset_metadata.get("class_names")
    if expected is not None and class_names != expected:
        raise ValueError(
            f"`--data` must have the classes of the preset, {expected}. "
            f"Received: {class_names}"
        )
    report = {
        "split": FLAGS.split,
        **accuracy(model, images, labels),
        "alignment": alignment(model, spread(images, FLAGS.alignment_images)),
        "exactness": exactness(model, spread(images, FLAGS.verify_images)),
        "command": provenance.command(),
    }
    print(json.dumps(report, indent=2))
    if FLAGS.write:
        write(report)


def accuracy(model, images, labels):
    import numpy as np

    logits = model.predict(images, batch_size=FLAGS.batch_size, verbose=0)
    logits = logits.astype("float64")
    if not np.isfinite(logits).all():
        raise ValueError("The logits of this preset are not all finite.")
    rows = np.arange(len(labels))
    best = np.argsort(-logits, axis=-1, kind="stable")
    rank = (best == labels[:, None]).argmax(-1)
    peak = logits.max(-1, keepdims=True)
    log_sum = peak[:, 0] + np.log(np.exp(logits - peak).sum(-1))
    return {
        "images": len(labels),
        "top_1": float((rank < 1).mean()),
        "top_5": float((rank < 5).mean()),
        "cross_entropy": float((log_sum - logits[rows, labels]).mean()),
    }


def alignment(model, images):
    """Mean correlation of raw maps with Grad-CAM, of the predicted classes.

    Constant maps have no correlation; `undefined` counts them.
    """
    import numpy as np

    from keras_facnn import attribution
    from keras_facnn import metrics

    predictions = model.predict(
        images, batch_size=FLAGS.batch_size, verbose=0
    ).argmax(-1)
    means, undefined = {}, {}
    for layer in range(1, model.num_layers + 1):
        arguments = {"layer": layer, "batch_size": FLAGS.batch_size}
        correlations = metrics.pearson(
            model.class_maps(images, predictions, **arguments),
            attribution.grad_cam(model, images, predictions, **arguments),
        )
        missing = np.isnan(correlations)
        name = f"fa_{layer}"
        undefined[name] = int(missing.sum())
        means[name] = None if missing.all() else float(np.nanmean(correlations))
    return {
        "images": len(images),
        "mean_pearson": means,
        "undefined": undefined,
    }


def exactness(model, images):
    measured = model.verify(images, batch_size=FLAGS.batch_size)
    return {"images": len(images), **measured}


def spread(images, n):
    """At most `n` images, evenly spread."""
    import numpy as np

    n = min(n, len(images))
    return images[np.linspace(0, len(images) - 1, n).astype(int)]


def write(report):
    path = os.path.join(FLAGS.preset, "metadata.json")
    with open(path) as file:
        metadata = json.load(file)
    metadata["metrics"] = report
    partial = path + ".partial"
    with open(partial, "w") as file:
        file.write(json.dumps(metadata, indent=2) + "\n")
    os.replace(partial, path)


if __name__ == "__main__":
    define_flags()
    app.run(main)
