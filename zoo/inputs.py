"""What the commands read: flags of config, data, preset, what they name."""

import pkgutil

import numpy as np
from absl import flags

import zoo.configs

FLAGS = flags.FLAGS


def define_config_flag():
    names = [m.name for m in pkgutil.iter_modules(zoo.configs.__path__)]
    flags.DEFINE_enum(
        "config", None, names, "Recipe, a module of zoo/configs.", required=True
    )


def define_data_flags():
    flags.DEFINE_string(
        "data",
        None,
        "Folder split/class/*.jpg, or the name of a TensorFlow Dataset.",
        required=True,
    )
    flags.DEFINE_string("data_dir", None, "Where TensorFlow Datasets are kept.")
    flags.DEFINE_string(
        "classes",
        None,
        "Table of the classes to use: a header, then rows of a class' name in "
        "the data, a tab, and what to call it. The default is all classes.",
    )
    flags.DEFINE_bool(
        "skip_broken", False, "Whether to leave out images of broken files."
    )


def define_preset_flags():
    define_data_flags()
    flags.DEFINE_string(
        "preset", None, "Name, folder or URL of the preset.", required=True
    )
    flags.DEFINE_string("split", "test", "Split of the data to measure on.")
    flags.DEFINE_integer("batch_size", 250, "Images a forward pass.", 1)


def load(split, image_shape, memory_gib=None):
    """`zoo.data.images.load` of what the flags say."""
    from zoo.data import images

    return images.load(
        FLAGS.data,
        split,
        image_shape,
        data_dir=FLAGS.data_dir,
        classes=FLAGS.classes,
        skip_broken=FLAGS.skip_broken,
        memory_gib=memory_gib,
    )


def preset_and_images():
    """The preset's model, and images, labels and class names of the split."""
    # First, since TensorFlow must be imported before PyTorch.
    from zoo.data import images as _  # noqa: F401 # isort: skip
    import keras_facnn

    model = keras_facnn.FACNN.from_preset(FLAGS.preset)
    images, labels, class_names = load(FLAGS.split, model.image_shape)
    expected = model.preset_metadata.get("class_names")
    if expected is not None and class_names != expected:
        raise ValueError(
            f"`--data` must have the classes of the preset, {expected}. "
            f"Received: {class_names}"
        )
    return model, images, labels, class_names


def baseline_and_images():
    """A baseline's model, and images, labels and class names of the split."""
    # First, since TensorFlow must be imported before PyTorch.
    from zoo.data import images as _  # noqa: F401 # isort: skip
    import keras

    model = keras.saving.load_model(FLAGS.preset)
    images, labels, class_names = load(FLAGS.split, model.input_shape[1:])
    if len(class_names) != model.output_shape[1]:
        raise ValueError(
            f"`--data` must have the {model.output_shape[1]} classes of "
            f"{FLAGS.preset}. Received: {len(class_names)}"
        )
    return model, images, labels, class_names


def spread(array, n):
    """At most `n` entries of an array, evenly spread."""
    n = min(n, len(array))
    return array[np.linspace(0, len(array) - 1, n).astype(int)]
