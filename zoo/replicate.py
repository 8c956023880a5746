"""`zoo.compare --replicate paper`: measure what the paper of FA-CNN reports."""

from __future__ import annotations

import datetime
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

from absl import flags
from absl import logging

from zoo import comparison
from zoo import inputs
from zoo import methods
from zoo import parts

if TYPE_CHECKING:
    import keras
    import numpy as np

FLAGS = flags.FLAGS
# The paper, arXiv 2603.25798, compares the maps at layers 24, 18 and 12 of 24
# with Grad-CAM (Figure 1), and removes pixels by those of layers 24 and 18
# (Figure 4): the methods and layers that are the default of `zoo.compare`.
SHARES_OF_DEPTH = (1, 3 / 4, 1 / 2)
# So that every 95 % interval of a share has a half width below 0.03: the
# variance of an image's 0 or 1 is at most 1/4, and (1.96 * 0.5 / 0.03)**2 is
# 1067. An image's area under the accuracy varies less than a 0 or 1.
IMAGES = 1100
DEFAULTS = {"preset": "imagenet100", "images": IMAGES}
# Of similarity by layer and its controls: four times maps, once gradients.
SIMILARITY_PASSES = 4 + 2
NOTE = (
    "The intervals are of images only: another training of the model, or other "
    "masks, would give other numbers. Images without a value, such as those "
    "of constant maps, do not count. Only the claims of the paper and the "
    'captions of its figures were at hand, so "–" is a number unknown here.'
)


def define_flag() -> None:
    flags.DEFINE_enum(
        "replicate",
        None,
        ["paper"],
        "Measure what the paper of FA-CNN, arXiv 2603.25798, reports, by "
        "FA-CNN, Grad-CAM, RISE, K-OCC and in random order, on "
        f"{IMAGES} images, by default of the preset imagenet100. Other flags "
        "change that.",
    )


def set_flags() -> None:
    """Give flags that are not given the values that the paper needs."""
    for name, value in DEFAULTS.items():
        if not FLAGS[name].present:
            FLAGS[name].value = value


def announce(
    made: comparison.Comparison,
    model: keras.Model,
    images: np.ndarray,
    chosen: Sequence[str],
) -> None:
    """Log how precise the numbers will be and how long they will take.

    Args:
        made: What was measured so far.
        model: The model.
        images: All images.
        chosen: The values of `--methods`.
    """
    width = 1.96 * 0.5 / len(images) ** 0.5
    logging.info(
        "%d images: half of a 95 %% interval of an accuracy is at most %.3f.",
        len(images),
        width,
    )
    passes = passes_left(made, model, chosen)
    if passes:
        speed = passes_per_second(model, images)
        left = datetime.timedelta(seconds=round(passes / speed))
        logging.info(
            "%s forward passes are left, at %.0f per second: about %s. A stop "
            "or a kill loses a minute or so: the same command continues.",
            f"{passes:,}",
            speed,
            left,
        )


def passes_left(
    made: comparison.Comparison, model: keras.Model, chosen: Sequence[str]
) -> int:
    """Return how many forward passes are left; a backward one counts as two."""
    count = len(made.labels)
    total = 0 if made.similarity else count * SIMILARITY_PASSES
    measured = {(one.method, one.layer) for one in made.measured}
    for method in chosen:
        name = comparison.name_of(method)
        for layer in made.layers if methods.is_layered(method) else [None]:
            if (name, layer) in measured:
                continue
            folder = parts.folder_of(FLAGS.output, name, layer)
            for work, passes in (
                (
                    "maps",
                    parts.passes_of(*methods.passes(model, method, layer)),
                ),
                ("removal", FLAGS.steps + 1),
            ):
                done = parts.done(folder, work, count, passes)
                total += passes * (count - done)
    return total


def passes_per_second(model: keras.Model, images: np.ndarray) -> float:
    """Measure forward passes per second for some seconds."""
    batch = inputs.spread(images, FLAGS.batch_size)

    def predict() -> None:
        model.predict(batch, batch_size=FLAGS.batch_size, verbose=0)

    # The first one compiles.
    predict()
    start, done = time.perf_counter(), 0
    while not done or time.perf_counter() - start < 3:
        predict()
        done += len(batch)
    return done / (time.perf_counter() - start)


def rows(made: comparison.Comparison) -> list[dict[str, Any]]:
    """Return the table of the paper's numbers and these."""
    table = []
    similarity = made.similarity
    if similarity is not None:
        depth = len(similarity.columns)
        for share in SHARES_OF_DEPTH:
            i = max(1, int(share * depth)) - 1
            low, high = (end[i] for end in similarity.interval)
            table.append(
                {
                    "what": "correlation of raw map and Grad-CAM",
                    "method": methods.title("facnn"),
                    "layer": similarity.columns[i],
                    # Its Theorem 1.
                    "paper": "1" if share == 1 else "–",
                    "measured": f"{similarity.mean[i]:.4f}",
                    "95 % interval": f"{low:.4f} to {high:.4f}",
                    "images": similarity.count - similarity.undefined[i],
                }
            )
    for layer in made.layers:
        for one in made.at(layer):
            if one.curve is None:
                continue
            low, high = one.curve.interval
            table.append(
                {
                    "what": "area under the accuracy ↓",
                    "method": methods.title(one.method),
                    "layer": layer,
                    "paper": "–",
                    "measured": f"{one.curve.mean:.4f}",
                    "95 % interval": f"{low:.4f} to {high:.4f}",
                    "images": one.curve.count - one.curve.undefined,
                }
            )
    return table
