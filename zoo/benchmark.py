"""Times training steps: what each part adds to the bare convolutions.

    KERAS_BACKEND=tensorflow python -m zoo.benchmark --recipe cifar10

Models are timed in turn, round after round, so that other work of the machine
affects all of them. The table has medians and ratios to the first row. The
shape is that of `--stage`, or else of the recipe's last stage. `--regions`
compares steps of `fit` with a `RegionPenalty` with those without it instead.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from typing import Any

import numpy as np
from absl import app
from absl import flags

from zoo import inputs

if TYPE_CHECKING:
    import keras

FLAGS = flags.FLAGS


def define_flags() -> None:
    inputs.define_recipe_flags()
    inputs.define_compile_flag()
    # Or `--help` leaves it out.
    flags.adopt_module_key_flags(inputs)
    flags.DEFINE_integer("batch_size", 64, "Images per step.", 1)
    flags.DEFINE_integer("rounds", 5, "How often each model is timed.", 1)
    flags.DEFINE_integer("steps", 3, "Steps each time.", 1)
    flags.DEFINE_boolean("regions", False, "Time a `RegionPenalty` instead.")


def main() -> None:
    stage = inputs.read_stage()
    shape = stage.model.arguments()
    if shape["backbone"]:
        raise app.UsageError(
            "--recipe must be of an FA-CNN that sees pixels, without a "
            f"backbone. Received: --recipe {FLAGS.recipe}"
        )
    import keras

    import keras_facnn
    from zoo.training.optimizer import ConvMuon

    keras.config.set_dtype_policy(stage.precision)
    plain = {**shape, "deep_alignment": 0.0}
    if FLAGS.regions:
        time_regions(plain)
        return
    sgd = keras.optimizers.SGD
    models = {
        "only convolutions": (convolutions(shape), sgd(0.0)),
        "and norm, ReLU": (convolutions(shape, norm=True), sgd(0.0)),
        "and skip: FA-CNN": (keras_facnn.FACNN(**plain), sgd(0.0)),
        "and deep alignment": (keras_facnn.FACNN(**shape), sgd(0.0)),
        "and Muon": (keras_facnn.FACNN(**shape), ConvMuon(1e-9)),
    }
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (FLAGS.batch_size, *shape["image_shape"]))
    images = images.astype("uint8")
    classes = rng.integers(0, shape["num_classes"], FLAGS.batch_size)
    labels = np.eye(shape["num_classes"], dtype="float32")[classes]
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for model, optimizer in models.values():
        model.compile(
            optimizer,
            keras.losses.CategoricalCrossentropy(from_logits=True),
            jit_compile=inputs.jit_compile(),
        )
    for name, (model, _) in models.items():
        print(f"Warming up: {name}", flush=True)
        for _ in range(2):
            model.train_on_batch(images, labels)
    for number in range(FLAGS.rounds):
        print(f"Round {number + 1} of {FLAGS.rounds}", flush=True)
        for name, (model, _) in models.items():
            start = time.perf_counter()
            for _ in range(FLAGS.steps):
                # It returns the loss as a number, so the step has ended.
                model.train_on_batch(images, labels)
            seconds[name].append((time.perf_counter() - start) / FLAGS.steps)
    medians = {name: np.median(times) for name, times in seconds.items()}
    bare = medians["only convolutions"]
    print(f"{keras.backend.backend()}, {stage.precision}, {FLAGS.recipe}")
    print("| model | images/s | time, of the convolutions' |")
    print("|---|---|---|")
    for name, median in medians.items():
        print(
            f"| {name} | {FLAGS.batch_size / median:.0f} | "
            f"{median / bare:.2f} |"
        )


def time_regions(shape: dict[str, Any]) -> None:
    """Print how much longer `fit` takes if the loss is a `RegionPenalty`."""
    import keras

    import keras_facnn

    rng = np.random.default_rng(0)
    count, size = FLAGS.steps * FLAGS.batch_size, shape["image_shape"]
    images = rng.integers(0, 256, (count, *size), "uint8")
    labels = rng.integers(0, shape["num_classes"], count)
    masks = rng.integers(0, 2, (count, *size[:2])).astype("float32")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    both = [
        (loss, labels),
        (
            keras_facnn.RegionPenalty(loss),
            {"labels": labels, "regions": masks},
        ),
    ]
    runs = []
    for loss, y in both:
        model = keras_facnn.FACNN(**shape)
        model.compile("sgd", loss, jit_compile=inputs.jit_compile())
        runs.append((model, y))
    seconds = np.zeros((FLAGS.rounds + 1, 2, 2))
    for number in range(FLAGS.rounds + 1):
        # Each is the first in every second round. Round 0 warms up.
        for which in (0, 1) if number % 2 else (1, 0):
            model, y = runs[which]
            start = np.array([time.perf_counter(), time.process_time()])
            model.fit(images, y, FLAGS.batch_size, shuffle=False, verbose=0)
            end = np.array([time.perf_counter(), time.process_time()])
            seconds[number, which] = (end - start) / FLAGS.steps
    seconds = seconds[1:]
    print(f"{keras.backend.backend()}, {FLAGS.recipe}: with RegionPenalty")
    print("| time | plain step | ratio, median | quartiles |")
    print("|---|---|---|---|")
    for index, name in enumerate(["wall", "CPU"]):
        plain, ratios = seconds[:, 0, index], seconds[:, 1, index]
        low, middle, high = np.quantile(ratios / plain, [0.25, 0.5, 0.75])
        print(
            f"| {name} | {1000 * np.median(plain):.0f} ms | {middle:.3f} | "
            f"{low:.3f} to {high:.3f} |"
        )


def convolutions(shape: dict[str, Any], norm: bool = False) -> keras.Model:
    """Build a row of the convolutions of an FA-CNN, between stem and head.

    Args:
        shape: Arguments of the `FACNN`.
        norm: Whether norms and ReLUs follow the convolutions.
    """
    from keras import Input
    from keras import Model
    from keras import layers

    import keras_facnn
    from keras_facnn.layers import ClassMajorRepeat
    from keras_facnn.layers import GlobalAvgPool3DHead

    model, number = keras_facnn.FACNN(**shape), 0

    def copy(name: str) -> keras.layers.Layer:
        layer = model.get_layer(name)
        return type(layer).from_config(layer.get_config())

    maps = shape["maps_per_class"]
    inputs = Input(shape["image_shape"])
    x = copy("stem")(inputs)
    for stage, depth in enumerate(shape["depths"]):
        if stage:
            x = layers.AveragePooling2D(2)(x)
            x = ClassMajorRepeat(maps[stage] // maps[stage - 1])(x)
        for _ in range(depth):
            number += 1
            for name in model.architecture.convolutions(number):
                if model.padding == "edge":
                    x = copy(f"edge_{name}")(x)
                x = copy(f"conv_{name}")(x)
                if norm:
                    x = layers.BatchNormalization(scale=False)(x)
                    x = layers.ReLU()(x)
    return Model(inputs, GlobalAvgPool3DHead(shape["num_classes"], maps[-1])(x))


if __name__ == "__main__":
    define_flags()
    inputs.run(main)
