"""What the commands share: how they end, their flags, and what these name."""

from __future__ import annotations

import ast
import functools
import importlib
import logging as std_logging
import math
import pathlib
import pkgutil
import sys
from collections.abc import Callable
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

import numpy as np
from absl import app
from absl import flags
from absl import logging

import zoo.recipes
from zoo import settings
from zoo.recipe import Conversion
from zoo.recipe import Recipe
from zoo.recipe import Stage

if TYPE_CHECKING:
    import keras

    from keras_facnn import FACNN
    from zoo.data.images import Split

FLAGS = flags.FLAGS
FITS = ("crop", "pad", "stretch")


def run(main: Callable[[], None]) -> None:
    """Run a command; an error that a user can fix takes one line."""
    app.run(functools.partial(in_one_line, main))


def in_one_line(main: Callable[[], None], argv: Sequence[str]) -> None:
    """Call `main`; exit with 1 after such an error, with 130 after Ctrl-C."""
    logging.get_absl_logger().addFilter(printable_record)
    try:
        if len(argv) > 1:
            raise app.UsageError(f"Unknown arguments: {' '.join(argv[1:])}")
        check_flags_have_values()
        main()
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        sys.exit(130)
    except (
        app.UsageError,
        FloatingPointError,
        ImportError,
        OSError,
        ValueError,
    ) as e:
        # `--verbosity=1` shows where it came from.
        logging.debug("The traceback:", exc_info=True)
        message = " ".join(str(e).split())
        if isinstance(e, ModuleNotFoundError):
            message += ". All that the zoo needs: pip install '.[zoo]'"
        print(f"{type(e).__name__}: {printable(message)}", file=sys.stderr)
        sys.exit(1)


def printable(text: str) -> str:
    """Call `keras_facnn.printable`, which is imported only if it is needed."""
    if text.isprintable():
        return text
    import keras_facnn

    return keras_facnn.printable(text)


def printable_record(record: std_logging.LogRecord) -> bool:
    """Make a line of the log printable: it may name other people's files."""
    record.msg, record.args = printable(record.getMessage()), ()
    return True


def check_flags_have_values() -> None:
    """Raise for `--flag=`, which the commands would take for no flag."""
    for name in FLAGS:
        flag = FLAGS[name]
        if flag.present and flag.value in ("", []):
            raise app.UsageError(
                f"--{name} must have a value. Received: --{name}="
            )


class FiniteParser(flags.FloatParser):
    """Numbers within bounds; neither infinity nor NaN, which no bound stops."""

    def convert(self, argument: str) -> float:
        number = super().convert(argument)
        if not math.isfinite(number):
            raise ValueError(f"{argument} is not a finite number")
        return number


def define_number(
    name: str, default: float | None, help: str, *bounds: float
) -> None:
    """Define a flag of a finite number, within a lower and an upper bound."""
    parser = FiniteParser(*bounds)
    flags.DEFINE(
        parser, name, default, help, serializer=flags.ArgumentSerializer()
    )


class IntegersParser(flags.ListParser):
    """Positive integers, split by commas."""

    def parse(self, argument: str | list) -> list[int]:
        parts = super().parse(argument)
        numbers = [int(part) for part in parts if str(part).isdecimal()]
        if len(numbers) < len(parts) or 0 in numbers:
            raise ValueError("must be positive integers, as 1,2")
        return numbers


def define_integers(name: str, default: list[int] | None, help: str) -> None:
    """Define a flag of positive integers, split by commas."""
    flags.DEFINE(
        IntegersParser(),
        name,
        default,
        help,
        serializer=flags.CsvListSerializer(","),
    )


def define_recipe_flag() -> None:
    """Define `--recipe`."""
    names, lines = [], []
    for module in pkgutil.iter_modules(zoo.recipes.__path__):
        # Without running them, since one with a fault must not stop the others.
        path = module.module_finder.find_spec(module.name, None).origin
        tree = ast.parse(pathlib.Path(path).read_bytes())
        first, *_ = (ast.get_docstring(tree) or "").splitlines() or [""]
        names.append(module.name)
        lines.append(f"{module.name}: {first}")
    flags.DEFINE_enum(
        "recipe",
        None,
        names,
        "\n".join(["Recipe, a module of zoo/recipes:", *lines]),
        required=True,
    )


def define_recipe_flags() -> None:
    """Define `--recipe`, `--stage` and `--set`."""
    define_recipe_flag()
    flags.DEFINE_string("stage", None, "Name of a single stage of the recipe.")
    flags.DEFINE_multi_string(
        "set",
        [],
        "Changes to the recipe, as epochs=3,model.alpha=0.2: the fields of "
        "zoo/recipe.py. A field of a stage changes every stage that has it; "
        "taught.epochs=3 changes only the stage taught.",
    )


def chosen_recipe() -> Recipe:
    """Return the recipe of `--recipe`, with only the stage of `--stage`."""
    recipe = load_recipe(FLAGS.recipe)
    if FLAGS.stage is None:
        return recipe
    return recipe.replace(stages=(recipe.stage(FLAGS.stage),))


def read_stage() -> Stage:
    """Return the stage of `--stage`, or else the last one, with its changes."""
    return settings.apply(chosen_recipe(), FLAGS.set).stages[-1]


def load_recipe(name: str) -> Recipe:
    """Return the recipe of a module of `zoo/recipes/` that trains."""
    recipe = load_any_recipe(name)
    if isinstance(recipe, Conversion):
        raise ValueError(
            f"`--recipe {name}` converts a trained classifier, without "
            f"training: python -m zoo.convert --recipe {name} --workdir FOLDER"
        )
    return recipe


def load_any_recipe(name: str) -> Recipe | Conversion:
    """Return the recipe of a module of `zoo/recipes/`."""
    where = f"zoo/recipes/{name}.py"
    try:
        module = importlib.import_module(f"zoo.recipes.{name}")
    except (TypeError, ValueError) as e:
        raise ValueError(f"{where}: {e}") from e
    recipe = getattr(module, "recipe", None)
    if not isinstance(recipe, (Recipe, Conversion)):
        raise ValueError(
            f"{where} must define `recipe`, a zoo.recipe.Recipe. "
            f"Received: {type(recipe).__name__}"
        )
    return recipe


def define_compile_flag() -> None:
    flags.DEFINE_bool(
        "jit_compile",
        None,
        "Whether to compile the step, by XLA or torch.compile; by default only "
        "on JAX: on TensorFlow's CPU it is slower, and torch.compile takes "
        "minutes before the first step.",
    )


def jit_compile() -> bool:
    """Return the `jit_compile` of a model, by the flag and the backend."""
    import keras

    if FLAGS.jit_compile is None:
        return keras.backend.backend() == "jax"
    return FLAGS.jit_compile


def define_data_flags(required: bool = True) -> None:
    flags.DEFINE_string(
        "data",
        None,
        "Folder split/class/*.jpg, or the name of a TensorFlow Dataset; a "
        "folder class/*.jpg with --validation_fraction.",
        required=required,
    )
    flags.DEFINE_string("data_dir", None, "Where TensorFlow Datasets are kept.")
    define_number(
        "validation_fraction",
        None,
        "Share of each class of a folder class/*.jpg that is the split "
        "validation, always the same images; the rest is the split train.",
        0.0,
        1.0,
    )
    flags.DEFINE_string(
        "classes",
        None,
        "Table of the classes to use: a header, then a row for each: its name "
        "in the data, a tab, and what to call it. The default is all classes.",
    )
    flags.DEFINE_bool(
        "skip_broken", False, "Whether to leave out images of broken files."
    )


def define_preset_flags(
    data_required: bool = True, preset_required: bool = True
) -> None:
    define_data_flags(data_required)
    flags.DEFINE_enum(
        "fit",
        None,
        FITS,
        "What to do with pictures of another aspect ratio, as in "
        "keras_facnn.load_images. The default is what the preset's training "
        "record says, or crop.",
    )
    flags.DEFINE_string(
        "preset",
        None,
        "Name, folder or URL of the preset.",
        required=preset_required,
    )
    flags.DEFINE_string(
        "split",
        "test",
        "Split of the data to measure on; . is all of a folder class/*.jpg.",
    )
    flags.DEFINE_integer("batch_size", 32, "Images per forward pass.", 1)


def define_labels_flag() -> None:
    flags.DEFINE_string(
        "labels",
        None,
        "Table of several labels per image, instead of --split: a header, "
        "`file` and the classes' names, then a row for each image: its path in "
        "the folder --data, and 0 or 1 for each class. Split by commas, or by "
        "tabs if its name ends in .tsv.",
    )


def table_of_labels() -> Split | None:
    """Return the `zoo.data.images.Split` of `--labels`; None without one."""
    if not FLAGS.labels:
        return None
    if (
        FLAGS.preset.endswith(".keras")
        or FLAGS.classes
        or FLAGS.validation_fraction is not None
    ):
        raise app.UsageError(
            "--labels needs a --preset that is no baseline, and neither "
            "--classes nor --validation_fraction."
        )
    from zoo.data import labels

    return labels.find(FLAGS.labels, FLAGS.data)


def find(split: str, may_lack_classes: bool = False) -> Split:
    """Call `zoo.data.images.find` with what the flags say."""
    from zoo.data import images

    return images.find(
        FLAGS.data,
        split,
        data_dir=FLAGS.data_dir,
        classes=FLAGS.classes,
        validation_fraction=FLAGS.validation_fraction,
        may_lack_classes=may_lack_classes,
    )


def preset_and_images(
    found: Split | None = None,
    choose: Callable[[Split, FACNN], Split] | None = None,
) -> tuple[FACNN, np.ndarray, np.ndarray, list[str]]:
    """Read the preset and the images.

    Args:
        found: The `zoo.data.images.Split`; None is that of the flags.
        choose: Optional function of the `Split` and the model to the `Split`
            to read.

    Returns:
        The model, and the images, labels and class names of the split.
    """
    found = find(FLAGS.split, True) if found is None else found
    import keras_facnn

    model = keras_facnn.FACNN.from_preset(FLAGS.preset)
    metadata = model.preset_metadata
    expected = metadata.get("class_names")
    if expected is not None and found.names != expected:
        raise ValueError(
            f"`--data` must have the classes of the preset, {expected}. "
            f"Received: {found.names}"
        )
    if found.labels.ndim == 2 and not model.threshold:
        raise ValueError(
            "`--labels` needs a preset of several labels per image, "
            f"FACNN(..., threshold=True). Received: --preset {FLAGS.preset}"
        )
    check_size(model)
    if choose is not None:
        found = choose(found, model)
    images, labels = found.read(
        model.image_shape, fit(metadata), FLAGS.skip_broken
    )
    return model, images, labels, found.names


def check_size(model: keras.Model) -> None:
    """Raise if a model takes images of any size; it is measured at one."""
    shape = model.input_shape[1:]
    if None in shape:
        raise ValueError(
            f"`--preset {FLAGS.preset}` takes images of any size, and one "
            "must be chosen to measure at. Save a copy of one size: "
            "`FACNN.from_preset(PRESET, image_shape=(HEIGHT, WIDTH, 3))"
            ".save_to_preset(FOLDER)`. "
            f"Received: a model of images of shape {shape}"
        )


def fit(metadata: dict[str, Any] | None) -> str:
    """Return how pictures are fitted, by the flag or the preset's training."""
    if FLAGS.fit:
        return FLAGS.fit
    # A preset's record may be of another program, and of any form.
    said: Any = metadata
    for key in ("training", "recipe", "fit"):
        said = said.get(key) if isinstance(said, dict) else None
    if said is None:
        return "crop"
    if said not in FITS:
        raise ValueError(
            f"The record of `--preset {FLAGS.preset}` must say one of "
            f"{', '.join(FITS)} of how its training fitted images; --fit "
            f"replaces it. Received: fit={said!r}"
        )
    return said


def baseline_and_images() -> tuple[
    keras.Model, np.ndarray, np.ndarray, list[str]
]:
    """Read a baseline's `model.keras` and images like `preset_and_images`."""
    found = find(FLAGS.split, True)
    import keras

    model = keras.saving.load_model(FLAGS.preset)
    if len(found.names) != model.output_shape[1]:
        raise ValueError(
            f"`--data` must have the {model.output_shape[1]} classes of "
            f"{FLAGS.preset}. Received: {len(found.names)}"
        )
    check_size(model)
    images, labels = found.read(
        model.input_shape[1:], FLAGS.fit or "crop", FLAGS.skip_broken
    )
    return model, images, labels, found.names


def spread(array: np.ndarray, n: int) -> np.ndarray:
    """Return at most `n` entries of an array, evenly spread."""
    n = min(n, len(array))
    return array[np.linspace(0, len(array) - 1, n).astype(int)]
