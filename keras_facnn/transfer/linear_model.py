"""A classifier that is linear in the features of a frozen backbone."""

import dataclasses

import keras
import numpy as np

from keras_facnn._backend.forward import progress_bar
from keras_facnn.architecture.classifiers import Classifier
from keras_facnn.model import FACNN
from keras_facnn.transfer.logistic_regression import Linear
from keras_facnn.transfer.logistic_regression import LogisticRegression
from keras_facnn.transfer.scores import Scores
from keras_facnn.transfer.scores import scores_of

# From the strongest on. Each is the start of the next.
_PENALTIES = (1000.0, 300.0, 100.0, 30.0, 10.0)


@dataclasses.dataclass(frozen=True)
class Exchanged:
    """Copies of photos that exchanged what must not count.

    Args:
        rows: Integers `(N,)`, the rows of the copies.
        labels: Integers `(N,)`, their classes.
        shares: Float array `(B + N,)`, by which the weights of the photos to
            train on are multiplied, and then those of the copies.
    """

    rows: np.ndarray
    labels: np.ndarray
    shares: np.ndarray


def fit_linear(
    features: np.ndarray,
    train: np.ndarray,
    train_labels: np.ndarray,
    weights: np.ndarray,
    held_out: np.ndarray,
    held_out_labels: np.ndarray,
    exchanged: Exchanged | None = None,
    verbose: int = 0,
) -> tuple[Linear, float, Scores]:
    """Fit a linear classifier of features, with the best of some penalties.

    The best penalty is that of the least cross-entropy on the photos that are
    held out. With it, the fit goes on with the copies, if any.

    Args:
        features: Array `(N, versions, channels)`, which may be on disk.
        train: Integers, the rows of the photos to train on.
        train_labels: Integers, their classes. Each class has a photo.
        weights: Float array `(C,)`, the weight of each class.
        held_out: Integers, the rows of the photos that are held out.
        held_out_labels: Integers, their classes.
        exchanged: Copies to train on, too.
        verbose: 1 shows how many fits are done, 0 does not.

    Returns:
        The classifier, its penalty, and its scores on the photos held out.
    """
    fits = len(_PENALTIES) + (exchanged is not None)
    bar = progress_bar(fits, verbose, "fit")
    regression = LogisticRegression(features, train, train_labels, weights)
    # The first version is the photo as the model will see it.
    shown = features[held_out, 0]
    linear, fitted = None, []
    for penalty in _PENALTIES:
        linear = regression.fit(penalty, linear)
        scores = scores_of(linear.logits(shown), held_out_labels)
        fitted.append((linear, penalty, scores))
        bar.add(1)
    linear, penalty, scores = min(fitted, key=lambda one: one[2].cross_entropy)
    if exchanged is not None:
        regression = LogisticRegression(
            features,
            np.concatenate([train, exchanged.rows]),
            np.concatenate([train_labels, exchanged.labels]),
            weights,
            exchanged.shares,
        )
        linear = regression.fit(penalty, linear)
        scores = scores_of(linear.logits(shown), held_out_labels)
        bar.add(1)
    return linear, penalty, scores


def linear_facnn(backbone: keras.Model, linear: Linear) -> FACNN:
    """Return an FA-CNN whose `x_0` is linear in the maps of a backbone.

    Its logits differ from those of the linear classifier by the same number for
    each class, which a softmax does not see. It has no FA layers.
    """
    classifier = Classifier(backbone, linear.kernel, linear.bias, dtype=None)
    return classifier.convert(FACNN)
