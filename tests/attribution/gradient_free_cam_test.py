"""Score-CAM and Ablation-CAM, against the papers' formulas in NumPy."""

import functools

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_facnn import resize_maps
from keras_facnn.attribution import ablation_cam
from keras_facnn.attribution import score_cam

CLASSES = [2, 0, 1]


@pytest.fixture
def images(rng):
    return rng.uniform(0, 1, (3, 12, 10, 3)).astype("float32")


@pytest.fixture
def parts(rng):
    """A classifier in two parts, images to maps `(6, 5, 7)` and on."""
    inputs = keras.Input((12, 10, 3))
    x = layers.Conv2D(7, 3, 2, "same", activation="elu", name="maps")(inputs)
    before = keras.Model(inputs, x)
    maps = keras.Input(x.shape[1:])
    y = layers.Conv2D(6, 3, activation="tanh")(maps)
    after = keras.Model(maps, layers.Dense(3)(layers.Flatten()(y)))
    for part in (before, after):
        part.set_weights([rng.normal(size=w.shape) / 3 for w in part.weights])
    return before, after


@pytest.fixture
def model(parts):
    before, after = parts
    return keras.Model(before.input, after(before.output))


def predict(part, x):
    return part.predict(x, verbose=0).astype("float64")


def softmax(values, axis):
    values = np.exp(values - values.max(axis, keepdims=True))
    return values / values.sum(axis, keepdims=True)


def score_weights(parts, images, to_weights):
    """Return the weights of channels `(B, channels, C)` by Algorithm 1."""
    before, after = parts
    weights = []
    for image, maps in zip(images, predict(before, images), strict=True):
        up = resize_maps(maps[None], images.shape[1:3])[0]
        up = up - up.min((0, 1))
        up = up / up.max((0, 1))
        masked = [image * mask[..., None] for mask in np.moveaxis(up, -1, 0)]
        weights.append(
            to_weights(predict(after, predict(before, np.stack(masked))))
        )
    return np.stack(weights)


@pytest.mark.parametrize("probabilities", [False, True])
def test_score_cam(model, parts, images, probabilities):
    weights = score_weights(
        parts,
        images,
        functools.partial(softmax, axis=-1 if probabilities else 0),
    )
    a = predict(parts[0], images)
    expected = np.maximum(np.einsum("bhwk,bkc->bhwc", a, weights), 0)
    options = {"layer": "maps", "probabilities": probabilities, "batch_size": 4}
    every = score_cam(model, images, "all", **options)
    assert every.shape == (3, 6, 5, 3)
    np.testing.assert_allclose(every, expected, rtol=1e-3, atol=1e-5)
    for classes in (CLASSES, None):
        chosen = classes or predict(model, images).argmax(-1)
        np.testing.assert_allclose(
            score_cam(model, images, classes, **options),
            expected[[0, 1, 2], ..., chosen],
            rtol=1e-3,
            atol=1e-5,
        )


def test_score_cam_weighs_by_outputs_that_are_probabilities(model, images):
    ended = keras.Model(model.input, ops.softmax(model.output))
    np.testing.assert_allclose(
        score_cam(ended, images, "all", layer="maps"),
        score_cam(model, images, "all", layer="maps", probabilities=True),
        rtol=1e-4,
        atol=1e-6,
    )


def test_score_cam_of_a_channel_without_contrast(images):
    """Its mask is 0, and its weight is that of a black image."""
    inputs = keras.Input((12, 10, 3))
    x = layers.Lambda(lambda x: ops.concatenate([x, 0 * x + 2.0], -1))
    maps = x(inputs)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(maps)))
    found = score_cam(model, images, 1, layer=x.name)
    black, *scores = predict(
        model,
        np.concatenate(
            [
                0 * images[:1],
                [
                    images[0] * m[..., None]
                    for m in np.moveaxis(
                        (images[0] - images[0].min((0, 1)))
                        / np.ptp(images[0], (0, 1)),
                        -1,
                        0,
                    )
                ],
            ]
        ),
    )[:, 1]
    weights = softmax(np.array([*scores, *[black] * 3]), 0)
    a = np.concatenate([images[0], np.full_like(images[0], 2)], -1)
    np.testing.assert_allclose(found[0], a @ weights, rtol=1e-4)


def test_ablation_cam(model, parts, images):
    before, after = parts
    a = predict(before, images)
    whole = predict(after, a)
    falls = np.stack(
        [whole - predict(after, a * (np.arange(7) != k)) for k in range(7)],
        axis=1,
    )
    expected = np.maximum(np.einsum("bhwk,bkc->bhwc", a, falls), 0)
    every = ablation_cam(model, images, "all", layer="maps", batch_size=3)
    np.testing.assert_allclose(
        every, expected, rtol=1e-3, atol=1e-5 * expected.max()
    )
    for classes in (CLASSES, None):
        chosen = classes or whole.argmax(-1)
        np.testing.assert_allclose(
            ablation_cam(model, images, classes, layer="maps"),
            every[[0, 1, 2], ..., chosen],
            rtol=1e-4,
            atol=1e-5 * expected.max(),
        )


def test_ablation_cam_of_a_linear_head_in_closed_form(images):
    """A channel adds its mean times its weight to the logit."""
    inputs = keras.Input((12, 10, 3))
    x = layers.Conv2D(5, 3, activation="relu", name="maps")(inputs)
    head = layers.Dense(3, name="head")
    model = keras.Model(inputs, head(layers.GlobalAveragePooling2D()(x)))
    a = predict(keras.Model(inputs, x), images)
    w = np.asarray(head.get_weights()[0])
    weights = a.mean((1, 2))[..., None] * w
    expected = np.maximum(np.einsum("bhwk,bkc->bhwc", a, weights), 0)
    maps = ablation_cam(model, images, "all", layer="maps")
    np.testing.assert_allclose(maps, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("method", [score_cam, ablation_cam])
def test_refuses_what_has_no_meaning(model, images, method):
    for options, name in (
        ({"layer": "nowhere"}, "layer"),
        ({"layer": "maps", "batch_size": 0}, "batch_size"),
        ({"layer": "maps", "classes": 3}, "classes"),
        ({"layer": "maps", "verbose": "no"}, "verbose"),
    ):
        with pytest.raises(ValueError, match=f"`{name}` must be.*Received"):
            method(model, images, **options)


@pytest.mark.only_on("tensorflow")
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_score_cam_of_tf_keras_vis(images):
    """It weighs by probabilities, and resizes otherwise: here not at all."""
    scorecam = pytest.importorskip("tf_keras_vis.scorecam")
    scores = pytest.importorskip("tf_keras_vis.utils.scores")
    inputs = keras.Input((12, 10, 3))
    x = layers.Conv2D(5, 3, padding="same", activation="elu", name="maps")
    y = layers.Dense(3)(layers.Flatten()(x(inputs)))
    model = keras.Model(inputs, y)
    theirs = scorecam.Scorecam(model)(
        scores.CategoricalScore(CLASSES),
        images,
        penultimate_layer="maps",
        seek_penultimate_conv_layer=False,
        expand_cam=False,
        normalize_cam=False,
    )
    ours = score_cam(model, images, CLASSES, layer="maps", probabilities=True)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
