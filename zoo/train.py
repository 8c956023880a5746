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
import json
import os

from absl import app
from absl import flags
from absl import logging

from zoo import devices
from zoo import files
from zoo import inputs
from zoo import provenance

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
        "FA-CNN, or a baseline of zoo/baselines.py of equal multiply-adds, "
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
    from zoo import data  # isort: skip
    import keras

    from zoo import callbacks
    from zoo import stream

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
        model = build_model(config, replicas)
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
    run = start_or_continue(config, checkpoint, writes)
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
                metadata(config, run, class_names, model.preset_metadata),
                weights_dtype="float16",
            )
        else:
            # Uncompiled, so that it loads without this file's optimizer.
            uncompiled = keras.Model.from_config(model.get_config())
            uncompiled.set_weights(model.get_weights())
            uncompiled.save(folder)
    logging.info("Saved %s.", folder)


def build_model(config, replicas):
    import keras

    import keras_facnn
    from zoo import baselines

    arguments = {
        **config["model"],
        "synchronized_batch_norm": replicas > 1,
    }
    model = keras_facnn.FACNN(**arguments)
    if FLAGS.model != "facnn":
        build = getattr(baselines, FLAGS.model)
        model = baselines.of_equal_cost(build, model)
        if FLAGS.init:
            start = keras.saving.load_model(FLAGS.init)
            shapes, received = (
                [tuple(w.shape) for w in one.weights] for one in (model, start)
            )
            if received != shapes:
                raise ValueError(
                    f"`--init {FLAGS.init}` must be a {FLAGS.model} of the "
                    f"config's cost. Expected weights of shapes {shapes}. "
                    f"Received: {received}"
                )
            model.set_weights(start.get_weights())
        return model
    if not FLAGS.init:
        return model
    free = ("deep_alignment", "image_shape", "synchronized_batch_norm")
    start = keras_facnn.FACNN.from_preset(
        FLAGS.init, **{name: arguments[name] for name in free}
    )
    expected = {**model.get_config(), "name": start.name}
    if start.get_config() != expected:
        raise ValueError(
            f"`--init {FLAGS.init}` must be the config's model. "
            f"Expected: {expected}. Received: {start.get_config()}"
        )
    return start


def build_optimizer(config, steps):
    import keras

    from zoo.muon import ConvMuon
    from zoo.schedule import WarmupCosine

    total = steps * config["epochs"]
    warmup = int(steps * config["warmup_epochs"])
    if warmup > total // 2:
        logging.info("The warm-up is cut to half of this short run.")
        warmup = total // 2
    schedule = WarmupCosine(config["learning_rate"], warmup, total)
    cls = {"adamw": keras.optimizers.AdamW, "muon": ConvMuon}
    optimizer = cls[config["optimizer"]](
        schedule,
        weight_decay=config["weight_decay"],
        global_clipnorm=config.get("clip_norm"),
        use_ema=bool(config.get("ema")),
        ema_momentum=config.get("ema") or 0.99,
    )
    optimizer.exclude_from_weight_decay(
        var_names=["beta", "gamma", "log_scale"]
    )
    return optimizer


def start_or_continue(config, checkpoint, writes):
    """What is known of the run in the workdir, from `run.json`.

    A new run is noted there; a run with another recipe is not continued.
    """
    run = {
        "recipe": {k: v for k, v in config.items() if k != "about"},
        "data": os.path.basename(os.path.normpath(FLAGS.data)),
        "model": FLAGS.model,
        "init": FLAGS.init and os.path.basename(os.path.normpath(FLAGS.init)),
        "seed": FLAGS.seed,
        "precision": FLAGS.precision,
        "steps_per_epoch": FLAGS.steps_per_epoch,
    }
    run = json.loads(json.dumps(run))
    path = os.path.join(FLAGS.workdir, "run.json")
    if os.path.exists(path):
        with open(path) as file:
            before = json.load(file)
        changed = {
            k: (before.get(k), v) for k, v in run.items() if before.get(k) != v
        }
        if changed:
            raise ValueError(
                f"`--workdir {FLAGS.workdir}` holds another run. Use a new "
                "folder, or the flags and config that it was started with. "
                f"Changed, from and to: {changed}"
            )
        return before
    if os.path.exists(checkpoint):
        raise ValueError(
            f"`--workdir {FLAGS.workdir}` holds a checkpoint, but no run.json "
            "that tells how it was made. Use a new folder."
        )
    if not writes:
        return run
    os.makedirs(FLAGS.workdir, exist_ok=True)
    run["command"] = provenance.command()
    run["commit"] = provenance.commit()
    with files.replacing(path) as file:
        json.dump(run, file, indent=2)
    return run


def metadata(config, run, class_names, start):
    """What the readers of a preset should know of its training.

    `start` is the metadata of the preset that it began with, or None.
    """
    about = config["about"]
    note = f" ({FLAGS.data_note})" if FLAGS.data_note else ""
    return {
        "description": about["description"],
        "class_names": class_names,
        "dataset": {
            "name": about["dataset"] + note,
            "license": about["dataset_license"],
        },
        "license": about["license"],
        "training": (
            {**run, "before": start.get("training")} if start else run
        ),
    }


if __name__ == "__main__":
    define_flags()
    app.run(main)
