"""Targets of which a trained classifier has a say: distillation."""

import keras
from keras import ops

import keras_facnn
from keras_facnn.gradients import compiled_function


def load(path, num_classes, channels):
    """A classifier to learn from.

    Args:
        path: `.keras` file of a model from images in 0..255 to logits, or a
            preset's name, folder or URL.
        num_classes: Number of classes, which must be those of the training,
            in the same order.
        channels: Of the images to train on.

    Returns:
        A `keras.Model`.
    """
    if path.endswith(".keras"):
        model = keras.saving.load_model(path, compile=False)
    else:
        model = keras_facnn.FACNN.from_preset(path)
    shapes = model.input_shape, model.output_shape
    if (
        len(shapes[0]) != 4
        or shapes[0][-1] != channels
        or shapes[1] != (None, num_classes)
    ):
        raise ValueError(
            f"`--teacher {path}` must take images of {channels} channels and "
            f"give the logits of the data's {num_classes} classes. Received: "
            f"a model of shapes {shapes[0]} to {shapes[1]}"
        )
    return model


def taught(stream, teacher, weight):
    """Batches whose targets are in part what a teacher says of the images.

    It sees each image as the student does, cropped, flipped and mixed (Beyer et
    al., "A good teacher is patient and consistent", arXiv 2106.05237): where a
    crop has lost the object, the target says so.

    Source: Hinton et al., "Distilling the Knowledge in a Neural Network",
    arXiv 1503.02531, at a temperature of 1.

    Args:
        stream: `tf.data.Dataset` of `(images, one-hot labels)`.
        teacher: What `load` returned. Images of another size than its own are
            resized, bilinearly.
        weight: Number from 0 to 1, the teacher's share of the targets; the
            labels have the rest.

    Yields:
        `(images, targets)`, NumPy arrays.
    """
    size = teacher.input_shape[1:3]

    def probabilities(images):
        images = ops.cast(images, "float32")
        if None not in size and images.shape[1:3] != size:
            images = ops.image.resize(images, size)
        return ops.softmax(teacher(images, training=False))

    says = compiled_function(probabilities, teacher.variables)
    for images, labels in stream.as_numpy_iterator():
        told = ops.convert_to_numpy(says(images))
        yield images, (1 - weight) * labels + weight * told
