"""One label by softmax, several by sigmoid, wherever a probability is made."""

import keras
import numpy as np
import pytest

from keras_facnn import FACNN
from keras_facnn import attribution
from keras_facnn import metrics


def compute_scores(images):
    """What `colors_model` gives, in its own words."""
    return 60 * (images.mean((1, 2)) / 510 - 0.4)


def sigmoid(x):
    return 1 / (1 + np.exp(-x.astype("float64")))


def softmax(x):
    powers = np.exp(x.astype("float64"))
    return powers / powers.sum(-1, keepdims=True)


def test_two_labels_are_both_likely_and_gray_is_none(colors_model, colors):
    explanation = colors_model.explain(colors)
    assert explanation.several_labels
    np.testing.assert_allclose(
        explanation.probabilities, sigmoid(compute_scores(colors)), atol=1e-4
    )
    yellow, red, gray, black = explanation.probabilities
    assert (yellow > 0.99).tolist() == [True, True, False]
    assert (red > 0.99).tolist() == [True, False, False]
    assert max(gray.max(), black.max()) < 1e-3
    np.testing.assert_allclose(
        explanation.layer_probabilities[:, -1], explanation.probabilities
    )
    assert explanation[:1].several_labels


def test_one_label_is_as_likely_as_softmax_says(small_model, images):
    logits = small_model.predict(images, verbose=0)
    explanation = small_model.explain(images)
    assert not explanation.several_labels
    np.testing.assert_allclose(
        explanation.probabilities, softmax(logits), atol=1e-6
    )
    np.testing.assert_allclose(
        small_model.probabilities(logits), explanation.probabilities, atol=1e-6
    )


def as_it_is(model):
    return model


def behind_augmentation(model):
    return keras.Sequential(
        [
            keras.Input(model.image_shape),
            keras.layers.RandomFlip(),
            keras.layers.RandomBrightness(0.0),
            model,
        ]
    )


def cast_at_the_end(model):
    x = keras.layers.Activation("linear", dtype="float32")(model.output)
    return keras.Model(model.input, x)


def with_a_sigmoid(model):
    return keras.Sequential([model, keras.layers.Activation("sigmoid")])


KINDS = [as_it_is, behind_augmentation, cast_at_the_end, with_a_sigmoid]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_removing_pixels_from_an_image_of_two_labels(
    kind, colors_model, colors
):
    """Left to right, a quarter at a time."""
    model = kind(colors_model)
    images = np.repeat(colors[:1], 2, axis=0)
    maps = np.tile(np.arange(16.0, 0, -1), (2, 16, 1))
    fractions = [0, 0.125, 0.25, 1]
    removal = metrics.pixel_removal(
        model, images, [0, 1], maps, fractions=fractions, baseline=0.0
    )
    left = 1 - np.array(fractions)
    p = sigmoid(60 * (left / 2 - 0.4))
    np.testing.assert_allclose(removal.probability, p, atol=1e-4)
    # Each label counts by itself: present above a half.
    assert removal.accuracy == [1, 1, 0, 0]
    deleted = metrics.deletion(
        model, images, [0, 1], maps, fractions=fractions, baseline=0.0
    )
    np.testing.assert_allclose(deleted.probability, p, atol=1e-4)
    inserted = metrics.insertion(
        model, images, [0, 1], maps, fractions=fractions, baseline=0.0
    )
    put_in = sigmoid(60 * (np.array(fractions) / 2 - 0.4))
    np.testing.assert_allclose(inserted.probability, put_in, atol=1e-4)


def test_what_the_caller_says_of_outputs_holds(colors_model, colors):
    images, maps = colors[:1], np.arange(256.0).reshape(1, 16, 16)
    model = with_a_sigmoid(colors_model)

    def first(from_logits):
        return metrics.deletion(
            model, images, [0], maps, from_logits=from_logits
        ).probability[0]

    p = sigmoid(compute_scores(images))[0]
    assert first(None) == first(False) == pytest.approx(p[0], abs=1e-4)
    assert first(True) == pytest.approx(softmax(p)[0], abs=1e-4)


@pytest.mark.parametrize(
    "method",
    [
        lambda model, images, **kwargs: attribution.rise(
            model, images, [1, 0], masks=9, **kwargs
        ),
        lambda model, images, **kwargs: attribution.occlusion(
            model, images, [1, 0], **{"probabilities": True, **kwargs}
        ),
    ],
    ids=["rise", "occlusion"],
)
def test_altered_images_are_scored_by_sigmoid(method, colors_model, colors):
    images = colors[:2]
    maps = method(colors_model, images)
    ends_in_it = with_a_sigmoid(colors_model)
    np.testing.assert_allclose(
        maps, method(ends_in_it, images, probabilities=False), atol=1e-5
    )
    with pytest.warns(UserWarning, match="`probabilities=False`"):
        method(ends_in_it, images)


def test_a_models_method_keeps_the_shape():
    model = FACNN(2, (8, 8, 3), (2,), (1,), threshold=True)
    logits = np.array([[[0.0, 2.0]], [[-900.0, 900.0]]], "float32")
    p = model.probabilities(logits)
    np.testing.assert_allclose(p, [[[0.5, 0.880797]], [[0, 1]]], atol=1e-6)
