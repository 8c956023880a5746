"""Check that a preset's maps change when its weights are shuffled.

    python -m zoo.sanity --preset cifar10 --data cifar10

prints a table, as Markdown, of raw and centered maps of the predicted classes.
All weights are shuffled, which is the end of `cascading_randomization`. Its
columns are Spearman's correlation with the trained model's map after that; the
same for the map of another image, a control; and the rise of the maps' entropy,
of `efficient_randomization`. Each has its mean and 95 % interval, a bootstrap
over images. The last column of each check has the least and the largest mean of
the shufflings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from absl import app
from absl import flags

from zoo import inputs

if TYPE_CHECKING:
    from keras_facnn import FACNN
    from keras_facnn.metrics import Result

FLAGS = flags.FLAGS
HEAD = (
    "maps",
    "similarity after shuffling",
    "of the shufflings",
    "similarity of another image",
    "rise of entropy",
    "of the shufflings",
)


def define_flags() -> None:
    inputs.define_preset_flags()
    # Or `--help` leaves them out.
    flags.adopt_module_key_flags(inputs)
    flags.DEFINE_integer(
        "images", 200, "Images, evenly spread over the split.", 2
    )
    flags.DEFINE_integer("shufflings", 5, "How often all is shuffled.", 1)


def main() -> None:
    if FLAGS.preset.endswith(".keras"):
        raise app.UsageError("--preset must be no baseline, but a preset.")
    model, images, _, _ = inputs.preset_and_images()
    images = inputs.spread(images, FLAGS.images)
    rows = [
        (name, *measure(model, images, centered))
        for name, centered in (("raw", False), ("centered", True))
    ]
    for row in (HEAD, ("---",) * len(HEAD), *rows):
        print(f"| {' | '.join(row)} |")


def measure(
    model: FACNN, images: np.ndarray, centered: bool
) -> tuple[str, ...]:
    """Return the cells of the table after the first."""
    from keras_facnn import FACNN
    from keras_facnn import metrics

    options = {"centered": centered, "batch_size": FLAGS.batch_size}
    classes = model.predict(
        images, batch_size=FLAGS.batch_size, verbose=0
    ).argmax(axis=-1)
    maps = model.class_maps(images, classes, **options)
    # One cycle through all images in random order, since they are sorted.
    cycle = np.random.default_rng(0).permutation(len(images))
    others = np.empty_like(cycle)
    others[cycle] = np.roll(cycle, 1)

    def over_shufflings(metric, **more) -> tuple[str, str]:
        results = [
            metric(
                model,
                images,
                FACNN.class_maps,
                classes,
                seed=seed,
                **options,
                **more,
            )
            for seed in range(FLAGS.shufflings)
        ]
        means = [np.ravel(result.mean)[0] for result in results]
        values = np.stack([np.ravel(result) for result in results], axis=1)
        return (
            said(metrics.Result(values=values, metric="mean of shufflings")),
            f"{digits(min(means))} to {digits(max(means))}",
        )

    return (
        *over_shufflings(metrics.cascading_randomization, layers="all"),
        said(metrics.spearman(maps[others], maps)),
        *over_shufflings(metrics.efficient_randomization),
    )


def said(result: Result) -> str:
    """Return the mean, its interval, and how many images have no value."""
    low, high = result.interval
    left_out = f", {result.undefined} undefined" * bool(result.undefined)
    interval = f"{digits(low)} to {digits(high)}"
    return f"{digits(result.mean)} ({interval}{left_out})"


def digits(number: float) -> str:
    """Return a number with two decimals, and 0 without a sign."""
    return f"{round(number, 2) + 0.0:.2f}"


if __name__ == "__main__":
    define_flags()
    inputs.run(main)
