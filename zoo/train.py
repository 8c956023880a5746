"""Trains an FA-CNN and saves it as a preset.

    python -m zoo.train --config cifar10 --data cifar10 --workdir runs/cifar10

The workdir gets `last.weights.h5` and `best.weights.h5` (weights and optimizer,
of the last step saved and of the best validation), `log.csv`, `tensorboard/`
and, at the end, the folder `preset/`. Ctrl-C saves first. The same command
continues where the last checkpoint was, also after a crash or a kill.

All GPUs of the machine are used, on TensorFlow and JAX. For several machines,
see "Many devices" in zoo/README.md.

KERAS_BACKEND chooses the backend. On CPU, torch is the fastest; set
MALLOC_TRIM_THRESHOLD_ and MALLOC_MMAP_THRESHOLD_ high (8589934592), or memory
goes back and forth to the kernel.
"""

import copy
import importlib
import os

from absl import app
from absl import flags
from absl import logging

from zoo import inputs
from zoo.training import devices
from zoo.training import record

FLAGS = flags.FLAGS


def define_flags():
    inputs.define_config_flag()
    inputs.define_data_flags()
    devices.define_flags()
    # Or `--help` leaves them out.
    flags.adopt_module_key_flags(inputs)
    flags.adopt_module_key_flags(devices)
    flags.DEFINE_string(
        "data_note",
        None,
        "What to say of the data, beside its name, in the preset's metadata.",
    )
    flags.DEFINE_enum(
        "model",
        "facnn",
        ["facnn", "resnet", "plain"],
        "FA-CNN, or a baseline of zoo/networks.py of equal multiply-adds, "
        "trained in the same way and saved as model.keras.",
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
    flags.DEFINE_float(
        "learning_rate", None, "Highest rate; the config's by default.", 0.0
    )
    flags.DEFINE_float(
        "deep_alignment", None, "Its weight; the config's by default.", 0.0
    )
    flags.DEFINE_float(
        "alpha",
        None,
        "The same weight for each layer's branch; the config's by default.",
        0.0,
        1.0,
    )
    flags.DEFINE_list(
        "maps_per_class",
        None,
        "Maps R of each class, a stage, as 1,2; the config's by default.",
    )
    flags.DEFINE_float(
        "ema",
        None,
        "Momentum of the average of weights to validate and save; the "
        "config's by default.",
        0.0,
        1.0,
    )
    flags.DEFINE_float(
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
    flags.DEFINE_bool(
        "jit_compile",
        None,
        "Whether to compile the step with XLA or torch.compile. The default "
        "is what is fastest on CPU: not on TensorFlow, yes on JAX and PyTorch.",
    )
    flags.DEFINE_float(
        "memory_gib",
        16,
        "The most that decoded training images may take; more are decoded at "
        "each step. The process needs about three times as much for them.",
        0.0,
    )
    flags.DEFINE_float(
        "checkpoint_minutes", 10, "Between checkpoints within an epoch.", 0.0
    )
    flags.DEFINE_integer(
        "steps_per_epoch", None, "Fewer steps an epoch, for a trial.", 1
    )


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {' '.join(argv[1:])}")
    module = importlib.import_module(f"zoo.configs.{FLAGS.config}")
    config = copy.deepcopy(module.config)
    for name in (
        "epochs",
        "batch_size",
        "learning_rate",
        "optimizer",
        "ema",
        "clip_norm",
    ):
        if FLAGS[name].value is not None:
            config[name] = FLAGS[name].value
    for name in ("deep_alignment", "alpha"):
        if FLAGS[name].value is not None:
            config["model"][name] = FLAGS[name].value
    if FLAGS.maps_per_class:
        config["model"]["maps_per_class"] = [
            int(maps) for maps in FLAGS.maps_per_class
        ]
    train(config)


def train(config):
    # First, since TensorFlow must be imported before PyTorch.
    from zoo.data import images as data  # isort: skip
    import keras

    from zoo import networks
    from zoo.data import stream
    from zoo.training import callbacks
    from zoo.training.optimizer import build_optimizer

    keras.utils.set_random_seed(FLAGS.seed)
    keras.config.set_dtype_policy(FLAGS.precision)
    batch_size, epochs = config["batch_size"], config["epochs"]
    scope, replicas, share = devices.replicate(batch_size)
    writes = share[0] == 0

    shape = config["model"]["image_shape"]
    num_classes = config["model"]["num_classes"]
    crop = config.get("crop")
    images, labels, class_names = inputs.load(
        config["train_split"],
        (*crop["from"], shape[2]) if crop else shape,
        FLAGS.memory_gib,
    )
    val_images, val_labels, val_names = inputs.load(
        config["validation_split"], shape
    )
    if val_names != class_names:
        raise ValueError(
            f"The splits of `--data {FLAGS.data}` must have the same classes. "
            f"Only in {config['train_split']!r}: "
            f"{sorted(set(class_names) - set(val_names))}. Only in "
            f"{config['validation_split']!r}: "
            f"{sorted(set(val_names) - set(class_names))}"
        )
    if len(class_names) != num_classes:
        raise ValueError(
            f"`--config {FLAGS.config}` is for {num_classes} classes. "
            f"Received: --data {FLAGS.data} of {len(class_names)}"
        )
    if batch_size > len(images):
        raise ValueError(
            f"`--batch_size` must be at most the {len(images)} training "
            f"images. Received: --batch_size {batch_size}"
        )
    steps = FLAGS.steps_per_epoch or len(images) // batch_size

    with scope:
        arguments = {
            **config["model"],
            "synchronized_batch_norm": replicas > 1,
        }
        model = networks.build(FLAGS.model, arguments, FLAGS.init)
        optimizer = build_optimizer(config, steps)
        jit_compile = FLAGS.jit_compile
        if jit_compile is None:
            jit_compile = keras.backend.backend() != "tensorflow"
        model.compile(
            optimizer=optimizer,
            loss=keras.losses.CategoricalCrossentropy(
                from_logits=True, label_smoothing=config["label_smoothing"]
            ),
            weighted_metrics=[keras.metrics.CategoricalAccuracy("accuracy")],
            jit_compile=jit_compile,
        )
        optimizer.build(model.trainable_variables)

    def path(name):
        return os.path.join(FLAGS.workdir, name)

    checkpoint = path("last.weights.h5")
    folder = path("preset" if FLAGS.model == "facnn" else "model.keras")
    run = record.start_or_continue(config, checkpoint, writes)
    if os.path.exists(checkpoint):
        model.load_weights(checkpoint)

    def steps_done():
        return int(keras.ops.convert_to_numpy(optimizer.iterations))

    if steps_done() >= epochs * steps and os.path.exists(folder):
        logging.info("This run is finished; it made %s.", folder)
        return

    while True:
        epoch, offset = divmod(steps_done(), steps)
        logging.info("Starting at epoch %d of %d.", epoch + 1, epochs)
        watchers = []
        if writes:
            log = callbacks.CSVLog(path("log.csv"))
            watchers = [
                callbacks.Checkpoint(
                    checkpoint,
                    path("best.weights.h5"),
                    log.best("val_accuracy"),
                    FLAGS.checkpoint_minutes,
                ),
                callbacks.Progress(epochs, steps, batch_size, offset),
                log,
                keras.callbacks.TensorBoard(
                    path("tensorboard"), write_graph=False
                ),
            ]
        if config.get("ema"):
            # Last, so that `Checkpoint` sees the averages at a test's end.
            watchers.append(keras.callbacks.SwapEMAWeights())
        model.fit(
            stream.train_stream(
                images,
                labels,
                num_classes,
                batch_size,
                FLAGS.seed,
                pad=config.get("pad", 0),
                crop=crop and (crop["smallest"], *shape[:2]),
                cutout=config.get("cutout", 0),
                cutmix=config.get("cutmix", 0.0),
                mixup=config.get("mixup", 0.0),
                step=steps_done(),
                share=share,
            ),
            initial_epoch=epoch,
            # The rest of an epoch that was broken off is a fit of its own.
            epochs=epoch + 1 if offset else epochs,
            steps_per_epoch=steps - offset,
            validation_data=data.pad_to_multiple(
                val_images, val_labels, num_classes, replicas
            ),
            validation_batch_size=250 // replicas * replicas,
            validation_freq=[
                epoch
                for epoch in range(1, epochs + 1)
                if epoch % FLAGS.validate_every == 0 or epoch == epochs
            ],
            callbacks=watchers,
            verbose=0,
        )
        if steps_done() >= epochs * steps:
            break
        # At its end `fit` puts averaged weights into the model.
        devices.wait_for_all(share)
        model.load_weights(checkpoint)
    if not writes:
        return
    with devices.alone():
        if FLAGS.model == "facnn":
            model.save_to_preset(
                folder,
                record.metadata(
                    config, run, class_names, model.preset_metadata
                ),
                weights_dtype="float16",
            )
        else:
            # Uncompiled, so that it loads without this file's optimizer.
            uncompiled = keras.Model.from_config(model.get_config())
            uncompiled.set_weights(model.get_weights())
            uncompiled.save(folder)
    logging.info("Saved %s.", folder)


if __name__ == "__main__":
    define_flags()
    app.run(main)
