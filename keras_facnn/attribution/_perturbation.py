"""Compute the scores of altered images, for methods that perturb them."""

from collections.abc import Callable

import keras
import numpy as np

from keras_facnn._backend.forward import compiled_scores_function
from keras_facnn._backend.forward import run_in_batches
from keras_facnn._checks.arrays import as_float32
from keras_facnn._checks.classes import CheckedClasses
from keras_facnn._checks.classes import check_classes
from keras_facnn._checks.models import check_images_for
from keras_facnn._checks.models import classifier_shapes
from keras_facnn._graph.image_size import check_image_size
from keras_facnn._graph.probabilities import ends_in_probabilities
from keras_facnn._graph.probabilities import probabilities_function
from keras_facnn.attribution._class_gradient import check_scores
from keras_facnn.types import Classes
from keras_facnn.types import Images


def scoring_function(
    model: keras.Model, probabilities: bool, batch_size: int
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from at most `batch_size` images to scores `(n, C)`.

    The scores are float64.
    """
    if probabilities and classifier_shapes(model)[1] == 1:
        raise ValueError(
            "`probabilities` must be False for a model of one output, whose "
            "softmax is always 1. Received: probabilities=True"
        )
    as_probabilities = probabilities_function(model, from_logits=True)
    function = compiled_scores_function(model)
    checked = False

    def scores(batch: np.ndarray) -> np.ndarray:
        nonlocal checked
        outputs = run_in_batches(function, batch, batch_size, one_size=True)
        if not checked:
            check_scores(
                outputs,
                twice=probabilities and ends_in_probabilities(model, outputs),
            )
            checked = True
        if probabilities:
            outputs = as_probabilities(outputs)
        return outputs.astype("float64")

    return scores


def check_images_and_classes(
    model: keras.Model, images: Images, classes: Classes
) -> tuple[np.ndarray, CheckedClasses, int]:
    """Return checked float32 images and classes, and the number of classes."""
    images = as_float32(check_images_for(model, images))
    check_image_size(model, images)
    _, num_classes = classifier_shapes(model)
    checked = check_classes(
        classes,
        len(images),
        num_classes,
        names=getattr(model, "class_names", None),
    )
    return images, checked, num_classes


def class_index(
    classes: CheckedClasses, index: int, scores: np.ndarray
) -> int | slice:
    """Return the class of one image, or a slice of all classes."""
    if isinstance(classes, str):
        return slice(None)
    if classes is None:
        return int(np.argmax(scores))
    return int(classes[index])
