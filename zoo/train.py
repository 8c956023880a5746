"""Trains an FA-CNN and saves it as a preset.

    python -m zoo.train --config cifar10 --data cifar10 --workdir runs/cifar10
    python -m zoo.train --config photos --data FOLDER \\
        --validation_fraction 0.2 --workdir runs/photos

The workdir gets `last.weights.h5` and `before.weights.h5` (weights and
optimizer, of the last step saved and the one before), `best.weights.h5` (of the
best validation), `log.csv`, `tensorboard/` and, at the end, the folder
`preset/`. Ctrl-C saves first. The same command continues where the last
checkpoint was, also after a crash or a kill.

All GPUs of the machine are used, on TensorFlow and JAX. For several machines,
see "Many devices" in zoo/README.md.

KERAS_BACKEND chooses the backend. On CPU, set MALLOC_TRIM_THRESHOLD_ and
MALLOC_MMAP_THRESHOLD_ high (8589934592), or memory goes back and forth to the
kernel.
"""

import contextlib
import functools
import os
import random
import tempfile

import numpy as np
from absl import flags
from absl import logging

from zoo import alphas
from zoo import inputs
from zoo.training import devices
from zoo.training import record
from zoo.training.checkpoints import Checkpoints

FLAGS = flags.FLAGS


def define_flags():
    inputs.define_config_flag()
    inputs.define_data_flags()
    inputs.define_compile_flag()
    devices.define_flags()
    flags.DEFINE_string(
        "description",
        None,
        "What the preset's metadata say that it is; by default what the "
        "config says, if it is of this data.",
    )
    flags.DEFINE_string(
        "dataset",
        None,
        "Name of the data set, for the metadata. The default is the config's, "
        "if it is of this data, or the folder's name.",
    )
    flags.DEFINE_string(
        "dataset_license", None, "Licence of the data set, for the metadata."
    )
    flags.DEFINE_string(
        "data_note",
        None,
        "What to say of the data, beside its name, in the preset's metadata.",
    )
    flags.DEFINE_enum(
        "model",
        "facnn",
        ["facnn", "resnet", "plain", "pooled"],
        "FA-CNN, or a baseline of zoo/networks.py, trained in the same way and "
        "saved as model.keras: resnet and plain have equal multiply-adds; "
        "pooled is the backbone of a hybrid's config, an average and one "
        "dense layer.",
    )
    flags.DEFINE_string(
        "init",
        None,
        "Preset, or model.keras of a baseline, to start from, in place of "
        "random weights.",
    )
    flags.DEFINE_string(
        "workdir", None, "Folder of checkpoints and logs.", required=True
    )
    flags.DEFINE_integer(
        "epochs", None, "Passes over the data; the config's by default.", 1
    )
    flags.DEFINE_integer(
        "batch_size", None, "Images a step; the config's by default.", 1
    )
    inputs.define_number(
        "learning_rate", None, "Highest rate; the config's by default.", 0.0
    )
    inputs.define_number(
        "deep_alignment", None, "Its weight; the config's by default.", 0.0
    )
    inputs.define_number(
        "evidence_penalty",
        None,
        "What a mean logit of 1 costs an FA-CNN; the config's by default.",
        0.0,
    )
    flags.DEFINE_string(
        "teacher",
        None,
        "Classifier of the same classes, in their order, to learn from: a "
        "preset, or the .keras file of a model of images in 0..255 to logits.",
    )
    inputs.define_number(
        "teacher_weight",
        None,
        "The teacher's share of the targets, 0.5 by default; the labels have "
        "the rest, and label smoothing is as without.",
        0.0,
        1.0,
    )
    inputs.define_number(
        "alpha",
        None,
        "The same weight for each layer's branch; the config's by default.",
        0.0,
        1.0,
    )
    inputs.define_number(
        "late_alphas",
        None,
        "In place of --alpha: harmonic weights up to the middle layer, and "
        "this share of that after it, which ties the middle layers' maps more "
        "closely to the logits.",
        0.0,
        1.0,
    )
    flags.mark_flags_as_mutual_exclusive(["alpha", "late_alphas"])
    flags.DEFINE_integer(
        "classwise_layers",
        None,
        "How many of the last layers see only their own class' maps; the "
        "config's by default.",
        0,
    )
    flags.DEFINE_enum(
        "padding",
        None,
        ["zeros", "edge"],
        "What the branches see beyond the border; the config's by default.",
    )
    inputs.define_integers(
        "maps_per_class",
        None,
        "Maps R of each class, a stage, as 1,2; the config's by default.",
    )
    inputs.define_number(
        "ema",
        None,
        "Momentum of the average of weights to validate and save; the "
        "config's by default.",
        0.0,
        1.0,
    )
    inputs.define_number(
        "clip_norm",
        None,
        "Largest norm of all gradients together; the config's by default.",
        0.0,
    )
    flags.DEFINE_enum(
        "optimizer", None, ["adamw", "muon"], "The config's by default."
    )
    flags.DEFINE_integer("seed", 0, "Seed of weights, order, augmentation.")
    flags.DEFINE_integer("validate_every", 5, "Epochs between validations.", 1)
    flags.DEFINE_enum(
        "precision",
        "mixed_bfloat16",
        ["mixed_bfloat16", "float32"],
        "Dtype policy.",
    )
    flags.DEFINE_float(
        "memory_gib",
        16,
        "The most that decoded training images may take; more are decoded at "
        "each step. The process needs about three times as much for them.",
        0.0,
    )
    inputs.define_number(
        "checkpoint_minutes", 10, "Between checkpoints within an epoch.", 0.0
    )
    flags.DEFINE_integer(
        "steps_per_epoch", None, "Fewer steps an epoch, for a trial.", 1
    )
    # Or `--help` leaves them out.
    flags.adopt_module_key_flags(inputs)
    flags.adopt_module_key_flags(devices)


def main():
    record.check_command()
    config = read_config()
    # First, since TensorFlow must be imported before PyTorch.
    from zoo.data import images as _  # noqa: F401 # isort: skip
    import keras

    keras.utils.set_random_seed(FLAGS.seed)
    keras.config.set_dtype_policy(FLAGS.precision)
    scope, replicas, share = devices.replicate(config.batch_size)
    with contextlib.ExitStack() as stack:
        # Of several processes, one writes.
        if share[0] == 0:
            stack.enter_context(record.locked(FLAGS.workdir))
        train(config, scope, replicas, share)


def given(*names):
    """Those of some flags that are given, as a dict."""
    values = {name: FLAGS[name].value for name in names}
    return {k: v for k, v in values.items() if v is not None}


def read_config():
    """The config with what the flags change of it."""
    config = inputs.read_config(FLAGS.config)
    model = config.model.replace(
        **given("deep_alignment", "alpha", "classwise_layers", "padding")
    )
    if FLAGS.late_alphas is not None:
        layers = sum(model.depths)
        model = model.replace(
            alpha=alphas.smaller_late(FLAGS.late_alphas, layers)
        )
    if FLAGS.maps_per_class:
        model = model.replace(maps_per_class=tuple(FLAGS.maps_per_class))
    config = config.replace(
        model=model,
        **given(
            "epochs",
            "batch_size",
            "learning_rate",
            "evidence_penalty",
            "optimizer",
            "ema",
            "clip_norm",
            "fit",
        ),
    )
    if FLAGS.model != "facnn":
        ignored = given(
            "alpha", "deep_alignment", "evidence_penalty", "late_alphas"
        )
        if ignored:
            raise ValueError(
                f"`--{next(iter(ignored))}` is of an FA-CNN only. Received: "
                f"--model {FLAGS.model}"
            )
        # So that the record says what was used.
        config = config.replace(
            evidence_penalty=0.0,
            model=model.replace(deep_alignment=0.0, stochastic_depth=0.0),
        )
    if config.warmup_epochs > config.epochs / 2:
        logging.info("The warm-up is cut to half of this short run.")
        config = config.replace(warmup_epochs=config.epochs / 2)
    return config


def find_splits(config):
    """The training and validation images, and the config with their classes."""
    splits = (config.train_split, config.validation_split)
    if FLAGS.validation_fraction is not None:
        splits = ("train", "validation")
    train_split, val_split = map(inputs.find, splits)
    names, val_names = train_split.names, val_split.names
    if val_names != names:
        raise ValueError(
            f"The splits of `--data {FLAGS.data}` must have the same classes. "
            f"Only in {splits[0]!r}: {sorted(set(names) - set(val_names))}. "
            f"Only in {splits[1]!r}: {sorted(set(val_names) - set(names))}"
        )
    model, num_classes = config.model, len(names)
    if config.any_classes:
        if not FLAGS.maps_per_class:
            # As many channels as the config has for its number of classes.
            first, *_ = maps = model.maps_per_class
            scaled = max(1, round(first * model.num_classes / num_classes))
            model = model.replace(
                maps_per_class=tuple(scaled * m // first for m in maps)
            )
        model = model.replace(num_classes=num_classes)
    if num_classes != model.num_classes:
        raise ValueError(
            f"`--config {FLAGS.config}` is for {model.num_classes} classes; "
            "photos is for any number. "
            f"Received: --data {FLAGS.data} of {num_classes}"
        )
    return train_split, val_split, config.replace(model=model)


def train(config, scope, replicas, share):
    import keras

    from zoo.data.images import pad_to_multiple
    from zoo.data.stream import train_stream
    from zoo.training import callbacks
    from zoo.training import epoch_state
    from zoo.training import teacher

    def path(name):
        return os.path.join(FLAGS.workdir, name)

    writes = share[0] == 0
    train_split, val_split, config = find_splits(config)
    shape, crop = config.model.image_shape, config.crop
    knows, of_teacher = None, None
    if FLAGS.teacher:
        weight = 0.5 if FLAGS.teacher_weight is None else FLAGS.teacher_weight
        with devices.alone():
            knows = teacher.load(FLAGS.teacher, train_split.names, shape[2])
        of_teacher = teacher.record(FLAGS.teacher, knows, weight)
    elif FLAGS.teacher_weight is not None:
        raise ValueError(
            "`--teacher_weight` needs a `--teacher`. Received: "
            f"--teacher_weight {FLAGS.teacher_weight}"
        )
    checkpoints = Checkpoints(FLAGS.workdir)
    run = record.start_or_continue(
        config, (train_split, val_split), of_teacher, checkpoints.exist()
    )
    options = {"fit": config.fit, "skip_broken": FLAGS.skip_broken}
    images, labels = train_split.read(
        (*crop.from_size, shape[2]) if crop else shape,
        memory_gib=FLAGS.memory_gib,
        **options,
    )
    val_images, val_labels = val_split.read(shape, **options)
    batch_size, epochs = config.batch_size, config.epochs
    if batch_size > len(images):
        raise ValueError(
            f"`--batch_size` must be at most the {len(images)} training "
            f"images. Received: --batch_size {batch_size}"
        )
    steps = FLAGS.steps_per_epoch or len(images) // batch_size
    with scope:
        model = build(config, steps, replicas)
    folder = path("preset" if FLAGS.model == "facnn" else "model.keras")
    if writes:
        with devices.alone():
            metadata = record.metadata(
                config,
                run,
                train_split,
                getattr(model, "preset_metadata", None),
            )
            try_to_save(model, folder, metadata)
        record.note(run)
    load = functools.partial(epoch_state.load, model)
    metrics = checkpoints.restore(load)

    def steps_done():
        return int(keras.ops.convert_to_numpy(model.optimizer.iterations))

    if steps_done() >= epochs * steps and os.path.exists(folder):
        logging.info("This run is finished; it made %s.", folder)
        return
    num_classes = config.model.num_classes
    validation = pad_to_multiple(val_images, val_labels, num_classes, replicas)
    validation_batch_size = 250 // replicas * replicas
    validated = [
        epoch
        for epoch in range(1, epochs + 1)
        if epoch % FLAGS.validate_every == 0 or epoch == epochs
    ]

    def watchers(offset):
        """The callbacks of a fit that begins at this step of an epoch."""
        chosen = []
        if writes:
            chosen = [
                callbacks.Checkpoint(
                    checkpoints,
                    path("best.weights.h5"),
                    callbacks.Log(path("log.csv")),
                    FLAGS.checkpoint_minutes,
                ),
                callbacks.Progress(epochs, steps, batch_size, offset),
                keras.callbacks.TensorBoard(
                    path(record.FOLDER), write_graph=False
                ),
            ]
        if config.ema:
            # Last, so that `Checkpoint` sees the averages at a test's end.
            chosen.append(keras.callbacks.SwapEMAWeights())
        return chosen

    epoch, offset = divmod(steps_done(), steps)
    if metrics and not offset:
        logging.info("Ending epoch %d of %d.", epoch, epochs)
        epoch_state.end_epoch(
            model,
            epoch - 1,
            metrics,
            validation if epoch in validated else None,
            validation_batch_size,
            watchers(steps),
        )
        metrics = {}
    while True:
        epoch, offset = divmod(steps_done(), steps)
        if epoch < epochs:
            logging.info("Starting at epoch %d of %d.", epoch + 1, epochs)
        stream = train_stream(
            images,
            labels,
            num_classes,
            batch_size,
            FLAGS.seed,
            pad=config.pad,
            crop=crop and (crop.smallest, *shape[:2]),
            cutout=config.cutout,
            cutmix=config.cutmix,
            mixup=config.mixup,
            step=steps_done(),
            share=share,
        )
        if knows is not None:
            stream = teacher.taught(stream, knows, of_teacher["weight"])
        continued = [epoch_state.ContinuedMetrics(metrics)] if metrics else []
        model.fit(
            stream,
            initial_epoch=epoch,
            # The rest of an epoch that was broken off is a fit of its own.
            epochs=epoch + 1 if offset else epochs,
            steps_per_epoch=steps - offset,
            validation_data=validation,
            validation_batch_size=validation_batch_size,
            validation_freq=validated,
            callbacks=[*continued, *watchers(offset)],
            verbose=0,
        )
        if steps_done() >= epochs * steps:
            break
        # At its end `fit` puts averaged weights into the model.
        devices.wait_for_all(share)
        metrics = checkpoints.restore(load)
    if writes:
        with devices.alone():
            save(model, folder, metadata)
        logging.info("Saved %s.", folder)


def build(config, steps, replicas):
    """The compiled model, with its optimizer's variables."""
    import keras

    from keras_facnn import EvidencePenalty
    from zoo import networks
    from zoo.training.optimizer import build_optimizer

    arguments = {
        **config.model.arguments(),
        "synchronized_batch_norm": replicas > 1,
    }
    model = networks.build(FLAGS.model, arguments, FLAGS.init)
    if config.freeze_backbone is not None:
        networks.freeze(model, config.freeze_backbone)
    loss = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=config.label_smoothing
    )
    if FLAGS.model == "facnn":
        loss = EvidencePenalty(loss, config.evidence_penalty)
    model.compile(
        optimizer=build_optimizer(config, steps),
        loss=loss,
        weighted_metrics=[keras.metrics.CategoricalAccuracy("accuracy")],
        jit_compile=inputs.jit_compile(),
    )
    model.optimizer.build(model.trainable_variables)
    return model


def try_to_save(model, target, metadata):
    """Raises where `save` could not write to `target` after the training."""
    # Where a link stands, what it points to is replaced.
    place, name = os.path.split(os.path.realpath(target))
    # Of several processes one tries, and all must draw the same seeds after.
    state = random.getstate()
    try:
        with tempfile.TemporaryDirectory(
            dir=place, prefix=f".{name}-trial-"
        ) as folder:
            trial = os.path.join(folder, name)
            save(model, trial, metadata)
            like = _contents(trial)
    except (NotImplementedError, OSError, TypeError, ValueError) as e:
        raise ValueError(
            f"After the training, the model could not be saved as {target}: {e}"
        ) from e
    finally:
        random.setstate(state)
    holds = _contents(target) if os.path.lexists(target) else like
    if holds != like and not (like and holds == set()):
        raise ValueError(
            f"`--workdir {FLAGS.workdir}` holds other things in the place of "
            f"what the training is to save. Move them away: {target}"
        )


def _contents(path):
    """Names of what a folder holds; None of what is no folder."""
    return set(os.listdir(path)) if os.path.isdir(path) else None


def save(model, folder, metadata):
    """Saves the preset, or a baseline's `model.keras`, without metadata."""
    import keras

    if FLAGS.model == "facnn":
        largest = max(np.abs(value).max() for value in model.get_weights())
        dtype = "float16"
        if largest > np.finfo(dtype).max:
            dtype = "float32"
            logging.warning(
                "Weights are saved as float32: %g is among them.", largest
            )
        # The `training` of `metadata` says what it began with.
        before, model.preset_metadata = model.preset_metadata, None
        try:
            model.save_to_preset(folder, metadata, weights_dtype=dtype)
        finally:
            model.preset_metadata = before
    else:
        # Uncompiled, so that it loads without the optimizer of the zoo.
        uncompiled = keras.Model.from_config(model.get_config())
        uncompiled.set_weights(model.get_weights())
        uncompiled.save(folder)


if __name__ == "__main__":
    define_flags()
    inputs.run(main)
