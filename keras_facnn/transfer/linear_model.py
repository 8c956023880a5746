"""A classifier that is linear in the features of a frozen backbone."""

import keras
import numpy as np

from keras_facnn.architecture.classifiers import Classifier
from keras_facnn.model import FACNN
from keras_facnn.transfer.logistic_regression import Linear
from keras_facnn.transfer.logistic_regression import LogisticRegression
from keras_facnn.transfer.scores import Scores
from keras_facnn.transfer.scores import scores_of

# From the strongest on. Each is the start of the next.
_PENALTIES = (1000.0, 300.0, 100.0, 30.0, 10.0)


def fit_linear(
    features: np.ndarray,
    train: np.ndarray,
    train_labels: np.ndarray,
    weights: np.ndarray,
    held_out: np.ndarray,
    held_out_labels: np.ndarray,
    shares: np.ndarray | None = None,
) -> tuple[Linear, float, Scores]:
    """Fit a linear classifier of features, with the best of some penalties.

    The best penalty is that of the least cross-entropy on the photos that are
    held out.

    Args:
        features: Array `(N, versions, channels)`, which may be on disk.
        train: Integers, the rows of the photos to train on.
        train_labels: Integers, their classes. Each class has a photo.
        weights: Float array `(C,)`, the weight of each class.
        held_out: Integers, the rows of the photos that are held out.
        held_out_labels: Integers, their classes.
        shares: Float array, by which the weights of the photos to train on are
            multiplied. None means 1.

    Returns:
        The classifier, its penalty, and its scores on the photos held out.
    """
    regression = LogisticRegression(
        features, train, train_labels, weights, shares
    )
    # The first version is the photo as the model will see it.
    shown = features[held_out, 0]
    linear, fitted = None, []
    for penalty in _PENALTIES:
        linear = regression.fit(penalty, linear)
        scores = scores_of(linear.logits(shown), held_out_labels)
        fitted.append((linear, penalty, scores))
    return min(fitted, key=lambda one: one[2].cross_entropy)


def linear_facnn(backbone: keras.Model, linear: Linear) -> FACNN:
    """Return an FA-CNN whose `x_0` is linear in the maps of a backbone.

    Its logits differ from those of the linear classifier by the same number for
    each class, which a softmax does not see. It has no FA layers.
    """
    classifier = Classifier(backbone, linear.kernel, linear.bias, dtype=None)
    return classifier.convert(FACNN)
