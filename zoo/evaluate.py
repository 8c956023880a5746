"""Measure a preset: accuracy, alignment by layer, and exactness.

    python -m zoo.evaluate --preset cifar10 --data cifar10 --split test

prints a report as JSON, with the accuracy of each class and its confusion with
other classes. If the preset has a record of its training images, these are left
out. `--write` writes the report and the command into the `metadata.json` of a
preset in a local folder. `--preset WORKDIR/model.keras` measures a baseline,
for which the report has only the accuracy.

For a preset of several labels per image (`FACNN(..., threshold=True)`), the
command measures how well each label is found. `--data FOLDER --labels
TABLE.csv` gives the labels of each image. In a folder of classes, each image
has the label of its class.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

import numpy as np
from absl import app
from absl import flags
from absl import logging
from scipy import special
from scipy import stats

from zoo import inputs
from zoo.training import record

if TYPE_CHECKING:
    import keras

    from keras_facnn import FACNN
    from keras_facnn import Evaluation
    from zoo.data.images import Split

FLAGS = flags.FLAGS
# If a class has fewer images, a single one moves its accuracy by more than 3 %.
FEW = 30

Report = dict[str, Any]


def define_flags() -> None:
    inputs.define_preset_flags()
    # Or `--help` leaves them out.
    flags.adopt_module_key_flags(inputs)
    flags.DEFINE_integer(
        "alignment_images",
        1000,
        "Images, evenly spread over the split, for the correlation with "
        "Grad-CAM of their maps, of other images' maps, and of the maps of "
        "shuffled weights.",
        1,
    )
    flags.DEFINE_integer(
        "verify_images", 256, "Images to verify the theorems on.", 1
    )
    flags.DEFINE_string(
        "unknown",
        None,
        "Folder or data set of images of other classes, to measure how well "
        "weak evidence tells them from those of --data.",
    )
    inputs.define_labels_flag()
    flags.DEFINE_string("unknown_split", "test", "Split of --unknown.")
    flags.DEFINE_bool(
        "trained_on",
        False,
        "Whether to measure also on images that the preset was trained on, by "
        "its record.",
    )
    flags.DEFINE_bool("write", False, "Whether to write into the metadata.")


def main() -> None:
    if FLAGS.write and not os.path.isdir(FLAGS.preset):
        raise app.UsageError("--write needs a --preset that is a folder.")
    is_baseline = FLAGS.preset.endswith(".keras")
    table = inputs.table_of_labels()
    split = os.path.basename(FLAGS.labels) if FLAGS.labels else FLAGS.split
    report = {"split": split}
    if is_baseline:
        model, images, labels, names = inputs.baseline_and_images()
    else:
        model, images, labels, names = inputs.preset_and_images(
            table, lambda found, model: unseen(found, model, report)
        )
    import keras_facnn
    from zoo import counts

    several = not is_baseline and model.threshold
    logits = logits_of(model, images)
    if several:
        present = labels if FLAGS.labels else np.eye(len(names))[labels]
        measured = several_labels(model, logits, present == 1, names)
    else:
        evaluation = keras_facnn.Evaluation.from_logits(logits, labels, names)
        measured = {**accuracy(evaluation), **by_class(evaluation)}
    report |= {
        "parameters": model.count_params(),
        "multiply_adds": counts.multiply_adds(model),
        **measured,
        "command": record.command(),
    }
    if FLAGS.unknown:
        report["unknown"] = unknown(model, logits)
    if not is_baseline:
        report["shared_evidence"] = shared_evidence(model, logits)
        some = inputs.spread(images, FLAGS.verify_images)
        report["alignment"] = alignment(
            model, inputs.spread(images, FLAGS.alignment_images)
        )
        report["exactness"] = {
            "images": len(some),
            # No correlation, where all maps are constant.
            **{
                name: None if math.isnan(value) else value
                for name, value in model.verify(
                    some, batch_size=FLAGS.batch_size
                ).items()
            },
        }
    print(json.dumps(report, indent=2))
    if FLAGS.write:
        write(model, report)


def unseen(found: Split, model: FACNN, report: Report) -> Split:
    """Return the images that a preset was not trained on, by its record.

    `left_out_as_trained_on` of the report counts the others; it is None if the
    record does not say what the preset was trained on.
    """
    seen = found.seen_by(model)
    report["left_out_as_trained_on"] = None
    if seen is None:
        logging.warning(
            "The record of --preset %s does not say which images it was "
            "trained on, so some of these may be among them.",
            FLAGS.preset,
        )
        return found
    report["left_out_as_trained_on"] = 0
    if not seen.any():
        return found
    share = f"{seen.sum()} of the {len(seen)} images of {found.name}"
    if FLAGS.trained_on:
        logging.warning("The preset was trained on %s.", share)
        return found
    if seen.all():
        raise ValueError(
            f"`--preset {FLAGS.preset}` was trained on {share}. Give images "
            "that it has not seen, or --trained_on."
        )
    report["left_out_as_trained_on"] = int(seen.sum())
    logging.warning("Left out, as the preset was trained on them: %s.", share)
    return found.select(~seen)


def by_class(evaluation: Evaluation) -> Report:
    """Return how many images of each class are right, and the confusions.

    `low` and `high` are Wilson's interval of an accuracy, which holds the true
    one with a chance of 95 %. For each class, `confusion` counts the classes
    that are predicted for its images. Nothing is counted if there are fewer
    images than classes.
    """
    if evaluation.images < len(evaluation.class_names):
        logging.warning(
            "Too few images to count by class: %d of %d classes.",
            evaluation.images,
            len(evaluation.class_names),
        )
        return {}
    few = [
        f"{c['class']} {c['images']}"
        for c in evaluation.classes
        if c["images"] < FEW
    ]
    if few:
        logging.warning(
            "Classes of few images, whose accuracy is only known to be between "
            "its `low` and `high`: %s.",
            ", ".join(few),
        )
    kept = ("images", "right", "accuracy", "low", "high")
    names, matrix = evaluation.class_names, evaluation.confusion_matrix
    confusion: Report = {}
    for c in matrix.sum(axis=1).nonzero()[0]:
        order = np.argsort(-matrix[c], kind="stable")
        confusion[names[c]] = {
            names[i]: int(matrix[c, i]) for i in order if matrix[c, i]
        }
    return {
        "classes": {
            c["class"]: {key: c[key] for key in kept}
            for c in evaluation.classes
        },
        "confusion": confusion,
    }


def logits_of(model: keras.Model, images: np.ndarray) -> np.ndarray:
    logits = model.predict(images, batch_size=FLAGS.batch_size, verbose=0)
    if not np.isfinite(logits).all():
        raise ValueError("The logits of this preset are not all finite.")
    return logits.astype("float64")


def accuracy(evaluation: Evaluation) -> Report:
    return {
        "images": evaluation.images,
        "top_1": evaluation.accuracy,
        "top_1_interval": list(evaluation.interval),
        "top_5": evaluation.top_5_accuracy,
        "top_5_interval": list(evaluation.top_5_interval),
        # The mean of the classes' own accuracies.
        "balanced": evaluation.balanced_accuracy,
        "cross_entropy": evaluation.cross_entropy,
    }


def several_labels(
    model: FACNN,
    logits: np.ndarray,
    present: np.ndarray,
    names: Sequence[str],
) -> Report:
    """Measure how well each label is found, if an image may have several.

    Precision, recall and F1 are those of the labels whose probability is above
    a half. `best_threshold` is the least probability of a label that gives the
    largest F1 on these very images, so `best_f1` is too good for others.

    Args:
        model: The `FACNN`.
        logits: Array `(N, C)`.
        present: Bool array `(N, C)`, whether the label is there.
        names: The C names.
    """
    p = model.probabilities(logits)
    found = logits > 0
    of_labels: Report = {}
    for c, name in enumerate(names):
        hits = int((found[:, c] & present[:, c]).sum())
        count, counted = int(present[:, c].sum()), int(found[:, c].sum())
        precision, best = precision_and_best(logits[:, c], present[:, c])
        of_labels[name] = {
            "images": count,
            "average_precision": precision,
            "precision": hits / counted if counted else None,
            "recall": hits / count if count else None,
            "f1": 2 * hits / (count + counted) if count + counted else None,
            "best_threshold": None if best is None else float(p[best[0], c]),
            "best_f1": None if best is None else best[1],
        }
    precisions = [
        label["average_precision"]
        for label in of_labels.values()
        if label["images"]
    ]
    signed = np.where(present, logits, -logits)
    return {
        "images": len(present),
        # Over the labels that some image has.
        "mean_average_precision": float(np.mean(precisions))
        if precisions
        else None,
        "all_labels_right": float((found == present).all(axis=-1).mean()),
        "binary_cross_entropy": float(-special.log_expit(signed).mean()),
        "labels": of_labels,
    }


def precision_and_best(
    scores: np.ndarray, present: np.ndarray
) -> tuple[float | None, tuple[int, float] | None]:
    """Return a label's average precision, and where its F1 is largest.

    The average precision is scikit-learn's. It is a sum over the distinct
    scores, from the largest to the least: of the precision of all images with
    at least that score, times what the score adds to the recall.

    Returns:
        The average precision; the index of an image with the score at which F1
        is largest, and that F1. None and None if no image has the label.
    """
    count = int(present.sum())
    if not count:
        return None, None
    order = np.argsort(-scores, kind="stable")
    # The last image of each score.
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    hits, counted = np.cumsum(present[order])[ends], ends + 1
    precision = float((hits / counted * np.diff(hits, prepend=0)).sum() / count)
    f1 = 2 * hits / (count + counted)
    best = int(f1.argmax())
    return precision, (order[ends[best]], float(f1[best]))


def unknown(model: keras.Model, logits: np.ndarray) -> Report:
    """Measure how well a low score tells other classes' images from known ones.

    `auroc` is the area under the receiver operating characteristic: 1 is
    perfect, 0.5 is chance. `unsure` is the share of images whose likeliest
    class has a probability below a half, of which `keras-facnn explain` warns.
    """
    from zoo.data import images as data

    found = data.find(FLAGS.unknown, FLAGS.unknown_split, FLAGS.data_dir)
    images, _ = found.read(
        model.input_shape[1:], FLAGS.fit or "crop", FLAGS.skip_broken
    )
    others = logits_of(model, images)
    # By sigmoid, for a preset of several labels per image.
    probabilities = getattr(model, "probabilities", softmax)
    scores = {
        "largest_logit": lambda x: x.max(-1),
        "largest_above_mean": lambda x: x.max(-1) - x.mean(-1),
        "largest_probability": lambda x: probabilities(x).max(-1),
    }
    likeliest = scores["largest_probability"]
    return {
        # Only its last part, as in `command`.
        "data": os.path.basename(os.path.normpath(FLAGS.unknown)),
        "images": len(images),
        "auroc": {
            name: float(
                stats.mannwhitneyu(score(logits), score(others)).statistic
                / (len(logits) * len(others))
            )
            for name, score in scores.items()
        },
        "unsure": {
            "known": float((likeliest(logits) < 0.5).mean()),
            "unknown": float((likeliest(others) < 0.5).mean()),
        },
    }


def softmax(logits: np.ndarray) -> np.ndarray:
    return special.softmax(logits, axis=-1)


def shared_evidence(model: FACNN, logits: np.ndarray) -> float:
    """Return the average class' evidence, divided by the predicted class'.

    It is 1 if the maps of all classes are the same, and 1 / C if all maps but
    those of one class are 0.
    """
    from keras import ops

    evidence = logits + float(ops.convert_to_numpy(model.head.offset))
    return float(evidence.mean() / evidence.max(-1).mean())


def alignment(model: FACNN, images: np.ndarray) -> Report:
    """Measure the mean correlation of predicted classes' maps with Grad-CAM.

    It is measured for raw maps, for their difference from the runner-up's maps,
    and for centered maps. `interval` is half the width of the 95 % interval.
    Constant maps have no correlation; `undefined` counts the raw ones.
    `controls` holds the same for maps that can't know the answer, see
    `similarity_by_layer`.
    """
    from keras_facnn import metrics

    kinds = {
        "": {},
        "_of_contrast": {"contrast": True},
        "_of_centered": {"centered": True},
    }
    similarities = {
        suffix: metrics.similarity_by_layer(
            model,
            images,
            # Of a single image there is no other.
            controls=len(images) > 1,
            batch_size=FLAGS.batch_size,
            **kind,
        )
        for suffix, kind in kinds.items()
    }
    return {
        "images": len(images),
        **correlations(similarities),
        "controls": {
            name: correlations(
                {
                    suffix: similarity.controls[name]
                    for suffix, similarity in similarities.items()
                }
            )
            for name in similarities[""].controls
        },
    }


def correlations(similarities: dict[str, Any]) -> Report:
    """Return the numbers of each `SimilarityByLayer`, named by its suffix."""

    def by_layer(numbers: Sequence[float]) -> Report:
        return {
            (f"fa_{layer}" if layer else "x_0"): None
            if np.isnan(number).any()
            else number
            for layer, number in zip(
                similarities[""].columns, numbers, strict=True
            )
        }

    report: Report = {}
    for suffix, similarity in similarities.items():
        report[f"mean_pearson{suffix}"] = by_layer(similarity.mean)
        report[f"interval{suffix}"] = by_layer(
            list(zip(*similarity.interval, strict=True))
        )
    return {**report, "undefined": by_layer(similarities[""].undefined)}


def write(model: FACNN, report: Report) -> None:
    """Write the report into the metadata of the preset."""
    stored = model.preset_metadata.get("weights", {}).get("dtype", "float32")
    model.save_to_preset(
        FLAGS.preset, {"metrics": report}, weights_dtype=stored
    )


if __name__ == "__main__":
    define_flags()
    inputs.run(main)
