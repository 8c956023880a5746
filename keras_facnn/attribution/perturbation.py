"""What the perturbing methods share: scores of altered images."""

import numpy as np
from keras import ops

from keras_facnn.checks import check_classes
from keras_facnn.checks import check_images
from keras_facnn.checks import classifier_shapes


def scorer(model, probabilities):
    """A function from a batch of images to float64 scores `(n, C)`."""

    def scores(batch):
        outputs = np.asarray(model.predict_on_batch(batch), "float32")
        if probabilities:
            outputs = ops.convert_to_numpy(ops.softmax(outputs, axis=-1))
        return outputs.astype("float64")

    return scores


def check_inputs(model, images, classes):
    """Checked float32 images and classes, and the number of classes."""
    image_shape, num_classes = classifier_shapes(model)
    images = check_images(images, image_shape)
    classes = check_classes(classes, len(images), num_classes)
    return images.astype("float32"), classes, num_classes


def wanted(classes, index, scores):
    """The class index of one image, or a slice of all classes."""
    if isinstance(classes, str):
        return slice(None)
    if classes is None:
        return int(np.argmax(scores))
    return int(classes[index])
