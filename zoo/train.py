"""Train all stages of a recipe, and save its preset.

    python -m zoo.train --recipe cifar10 --data cifar10 --workdir runs/cifar10
    python -m zoo.train --recipe photos --data FOLDER \\
        --validation_fraction 0.2 --workdir runs/photos
    python -m zoo.train --recipe imagenette --data imagenette/160px-v2 \\
        --workdir runs/imagenette

If the recipe has one stage, it runs in the workdir. If it has several, they run
in order, each in a subfolder of the workdir with the name of the stage. The
preset of the last stage is the preset of the recipe. `--stage NAME` runs only
this stage, in the workdir. It starts from `--init PRESET`, and needs `--teacher
MODEL` if the stage has a teacher. `--set epochs=3,taught.learning_rate=0.01`
changes the recipe; see `zoo/settings.py`.

The folder of a stage holds `last.weights.h5` and `before.weights.h5` (weights
and optimizer of the last two checkpoints), `best.weights.h5` (weights of the
best validation), `log.csv`, `tensorboard/`, `run.json` and, at the end, the
folder `preset/`. Ctrl-C saves a checkpoint first. After Ctrl-C, a crash or a
kill, the same command continues from the last checkpoint of the stage that was
running.

All GPUs of the machine are used on TensorFlow and JAX. For several machines,
see "Many devices" in zoo/README.md.

KERAS_BACKEND chooses the backend. On CPU, set MALLOC_TRIM_THRESHOLD_ and
MALLOC_MMAP_THRESHOLD_ high (8589934592). Otherwise the process returns memory
to the kernel and requests it again all the time.
"""

from __future__ import annotations

import contextlib
import functools
import os
from typing import TYPE_CHECKING

from absl import flags
from absl import logging

from zoo import inputs
from zoo import settings
from zoo.recipe import Model
from zoo.recipe import PooledModel
from zoo.recipe import Recipe
from zoo.recipe import Stage
from zoo.recipe import Teacher
from zoo.training import devices
from zoo.training import record
from zoo.training.checkpoints import Checkpoints

if TYPE_CHECKING:
    import keras

    from zoo.data.images import Split
    from zoo.training.fitting import Images

FLAGS = flags.FLAGS


def define_flags() -> None:
    inputs.define_recipe_flags()
    inputs.define_data_flags()
    inputs.define_compile_flag()
    devices.define_flags()
    flags.DEFINE_string(
        "description",
        None,
        "What the preset's metadata say that it is. The default is the "
        "recipe's description, if the data are those of the recipe.",
    )
    flags.DEFINE_string(
        "dataset",
        None,
        "Name of the data set, for the metadata. The default is the recipe's, "
        "if the data are those of the recipe, or the folder's name.",
    )
    flags.DEFINE_string(
        "dataset_license", None, "License of the data set, for the metadata."
    )
    flags.DEFINE_string(
        "data_note",
        None,
        "What to say about the data, after its name, in the metadata.",
    )
    flags.DEFINE_string(
        "init",
        None,
        "Preset, or model.keras of a baseline, from which a single stage "
        "starts, instead of what the recipe says.",
    )
    flags.DEFINE_string(
        "teacher",
        None,
        "Classifier of the same classes, in their order, from which a single "
        "stage learns: a preset, or the .keras file of a model of images in "
        "0..255 to logits. Its share of the targets is that of the recipe, or "
        "a half; see --set teacher.weight.",
    )
    flags.DEFINE_string(
        "workdir", None, "Folder of checkpoints and logs.", required=True
    )
    flags.DEFINE_integer("seed", 0, "Seed of weights, order, augmentation.")
    flags.DEFINE_integer("validate_every", 5, "Epochs between validations.", 1)
    flags.DEFINE_float(
        "memory_gib",
        16,
        "The most that decoded training images may take. If they would take "
        "more, they are decoded at each step. The process needs about three "
        "times as much for them.",
        0.0,
    )
    inputs.define_number(
        "checkpoint_minutes", 10, "Between checkpoints within an epoch.", 0.0
    )
    flags.DEFINE_integer(
        "steps_per_epoch", None, "Fewer steps per epoch, for a trial.", 1
    )
    # Or `--help` leaves them out.
    flags.adopt_module_key_flags(inputs)
    flags.adopt_module_key_flags(devices)


def main() -> None:
    record.check_command()
    recipe = read_recipe()
    # Import this first, because TensorFlow must be imported before PyTorch.
    from zoo.data import images as _  # noqa: F401 # isort: skip

    shared = devices.set_up(stage.batch_size for stage in recipe.stages)
    names = [stage.name for stage in recipe.stages]
    folders = {name: os.path.join(FLAGS.workdir, name) for name in names}
    if len(names) == 1:
        folders = {names[0]: FLAGS.workdir}
    with contextlib.ExitStack() as stack:
        # If there are several processes, only one writes.
        if shared.writes:
            for folder in dict.fromkeys([FLAGS.workdir, *folders.values()]):
                stack.enter_context(record.locked(folder))
        train(recipe, folders, shared)


def read_recipe() -> Recipe:
    """Return the recipe that the flags name, as it is to run."""
    recipe = inputs.chosen_recipe()
    if FLAGS.init or FLAGS.teacher:
        recipe = recipe.replace(stages=(start_and_teacher(recipe),))
    recipe = settings.apply(recipe, FLAGS.set)
    running = [stage.name for stage in recipe.stages]
    stages = []
    for stage in recipe.stages:
        for flag, name in (
            ("init", stage.init),
            ("teacher", stage.teacher and stage.teacher.model),
        ):
            others = {s.name for s in inputs.load_recipe(FLAGS.recipe).stages}
            if not FLAGS[flag].value and name in others.difference(running):
                raise ValueError(
                    f"`--stage {stage.name}` needs `--{flag}`: what the stage "
                    f"{name} has made. Received: --{flag} None"
                )
        if stage.warmup_epochs > stage.epochs / 2:
            logging.info("The warm-up is cut to half of this short run.")
            stage = stage.replace(warmup_epochs=stage.epochs / 2)
        stages.append(stage)
    return recipe.replace(stages=tuple(stages))


def start_and_teacher(recipe: Recipe) -> Stage:
    """Return the only stage of a recipe with `--init` and `--teacher`."""
    flag = "init" if FLAGS.init else "teacher"
    stage, *others = recipe.stages
    if others:
        names = ", ".join(stage.name for stage in recipe.stages)
        raise ValueError(
            f"`--{flag}` needs a single `--stage`, of {names}. "
            f"Received: --{flag} {FLAGS[flag].value}"
        )
    if FLAGS.init:
        stage = stage.replace(init=FLAGS.init)
    if FLAGS.teacher:
        given = stage.teacher or Teacher(model=FLAGS.teacher)
        stage = stage.replace(teacher=given.replace(model=FLAGS.teacher))
    return stage


def train(
    recipe: Recipe, folders: dict[str, str], shared: devices.Devices
) -> None:
    """Run all stages of a recipe, each in its folder."""
    import keras

    *splits, recipe = find_splits(recipe)
    made: dict[str, str] = {}
    for number, stage in enumerate(recipe.stages, 1):
        if len(recipe.stages) > 1:
            logging.info(
                "Stage %d of %d: %s", number, len(recipe.stages), stage.name
            )
        if number > 1:
            # Count the names of layers from 0, as when this stage continues.
            distribution = keras.distribution.distribution()
            keras.utils.clear_session()
            keras.distribution.set_distribution(distribution)
        folder = folders[stage.name]
        made[stage.name] = train_stage(
            recipe, stage, splits, folder, made, shared
        )


def find_splits(recipe: Recipe) -> tuple[Split, Split, Recipe]:
    """Find the images.

    Returns:
        The training and validation split, and the recipe with their classes.
    """
    splits = (recipe.train_split, recipe.validation_split)
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
    stages = []
    for stage in recipe.stages:
        if recipe.any_classes:
            stage = stage.replace(model=for_classes(stage.model, len(names)))
        if len(names) != stage.model.num_classes:
            raise ValueError(
                f"`--recipe {FLAGS.recipe}` is for {stage.model.num_classes} "
                "classes; photos is for any number. "
                f"Received: --data {FLAGS.data} of {len(names)}"
            )
        check_batch_size(stage, len(train_split.labels))
        stages.append(stage)
    return train_split, val_split, recipe.replace(stages=tuple(stages))


def check_batch_size(stage: Stage, count: int) -> None:
    """Raise if a stage takes more images per step than there are."""
    if stage.batch_size > count:
        raise ValueError(
            f"`batch_size` must be at most the {count} training images. "
            f"Received: batch_size={stage.batch_size}"
        )


def for_classes(
    model: Model | PooledModel, num_classes: int
) -> Model | PooledModel:
    """Return a model of some number of classes.

    It has about as many channels as before, unless `--set` says how many maps
    each class has.
    """
    keys = [key for text in FLAGS.set for key, _ in settings.parse(text)]
    is_set = any(key.endswith("model.maps_per_class") for key in keys)
    if isinstance(model, Model) and not is_set:
        first, *_ = maps = model.maps_per_class
        scaled = max(1, round(first * model.num_classes / num_classes))
        model = model.replace(
            maps_per_class=tuple(scaled * m // first for m in maps)
        )
    return model.replace(num_classes=num_classes)


def train_stage(
    recipe: Recipe,
    stage: Stage,
    splits: list[Split],
    folder: str,
    made: dict[str, str],
    shared: devices.Devices,
) -> str:
    """Run one stage, or what is left of it.

    Args:
        recipe: The `Recipe`.
        stage: Its `Stage`.
        splits: The training and the validation split.
        folder: Path of the stage's folder.
        made: Paths of what the stages before have made, by their names.
        shared: The `Devices`.

    Returns:
        The path of what the stage makes.
    """
    import keras

    from zoo.training import saving
    from zoo.training import teacher
    from zoo.training.fitting import Fitting

    keras.utils.set_random_seed(FLAGS.seed)
    keras.config.set_dtype_policy(stage.precision)
    target = os.path.join(folder, stage.output)
    taught, of_teacher = None, None
    if stage.teacher:
        path = made.get(stage.teacher.model, stage.teacher.model)
        channels = stage.model.image_shape[2]
        with devices.without_others():
            knows = teacher.load(path, splits[0].names, channels)
        of_teacher = teacher.record(stage.teacher, knows)
        taught = functools.partial(
            teacher.taught, teacher=knows, weight=stage.teacher.weight
        )
    checkpoints = Checkpoints(folder)
    run, is_finished = record.start_or_continue(
        folder, recipe, stage, splits, of_teacher, checkpoints.exist()
    )
    if is_finished and os.path.exists(target):
        logging.info("This run is finished; it made %s.", target)
        return target
    images = read_images(stage, splits)
    # Broken ones are left out now.
    check_batch_size(stage, len(images.train))
    steps = FLAGS.steps_per_epoch or len(images.train) // stage.batch_size
    with shared.scope():
        start = stage.init and made.get(stage.init, stage.init)
        model = build(stage, start, steps, shared.replicas)
    if shared.writes:
        with devices.without_others():
            before = getattr(model, "preset_metadata", None)
            metadata = record.metadata(recipe, stage, run, splits[0], before)
            saving.try_to_save(model, stage, target, metadata)
        record.note(folder, run)
    fitting = Fitting(
        model, stage, images, steps, folder, checkpoints, shared, taught
    )
    if not (fitting.is_done and os.path.exists(target)):
        fitting.run()
        if shared.writes:
            with devices.without_others():
                saving.save(model, stage, target, metadata)
            logging.info("Saved %s.", target)
    if shared.writes:
        record.note(folder, run, is_finished=True)
    shared.wait_for_all()
    return target


def read_images(stage: Stage, splits: list[Split]) -> Images:
    """Decode the images of the splits, in the sizes that a stage needs."""
    from zoo.training.fitting import Images

    train_split, val_split = splits
    shape, crop = stage.model.image_shape, stage.crop
    train_shape = (*crop.from_size, shape[2]) if crop else shape
    return Images(
        *train_split.read(
            train_shape, stage.fit, FLAGS.skip_broken, FLAGS.memory_gib
        ),
        *val_split.read(shape, stage.fit, FLAGS.skip_broken),
    )


def build(
    stage: Stage, init: str | None, steps: int, replicas: int
) -> keras.Model:
    """Return the compiled model, with its optimizer's variables."""
    import keras

    from keras_facnn import EvidencePenalty
    from zoo import networks
    from zoo.training.optimizer import build_optimizer

    arguments = {
        **stage.model.arguments(),
        "synchronized_batch_norm": replicas > 1,
    }
    model = networks.build(stage.kind, arguments, init)
    if stage.freeze_backbone is not None:
        networks.freeze(model, stage.freeze_backbone)
    loss = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=stage.label_smoothing
    )
    if stage.kind == "facnn":
        loss = EvidencePenalty(loss, stage.evidence_penalty)
    model.compile(
        optimizer=build_optimizer(stage, steps),
        loss=loss,
        weighted_metrics=[keras.metrics.CategoricalAccuracy("accuracy")],
        jit_compile=inputs.jit_compile(),
    )
    model.optimizer.build(model.trainable_variables)
    return model


if __name__ == "__main__":
    define_flags()
    inputs.run(main)
