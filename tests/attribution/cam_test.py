import functools

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_facnn.attribution import ablation_cam
from keras_facnn.attribution import grad_cam
from keras_facnn.attribution import hires_cam
from keras_facnn.attribution import integrated_gradients
from keras_facnn.attribution import layer_cam
from keras_facnn.attribution import saliency


def finite_differences(model, images, classes, layer):
    """Activations and central differences of the logit, in NumPy alone."""
    inner = model.get_layer(layer).output
    features = keras.Model(model.input, inner).predict(images, verbose=0)
    rest = keras.Model(inner, model.output)
    rows = np.arange(len(images))
    gradient = np.zeros_like(features)
    for where in np.ndindex(features.shape[1:]):
        step = np.zeros_like(features)
        step[(slice(None), *where)] = 0.5
        up = rest.predict_on_batch(features + step)[rows, classes]
        down = rest.predict_on_batch(features - step)[rows, classes]
        gradient[(slice(None), *where)] = up - down
    return features, gradient


@pytest.fixture
def classifier(rng):
    """Linear after its one hidden layer, so differences are exact."""
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="hidden")(inputs)
    y = layers.Dense(3)(layers.Flatten(name="flatten")(x))
    return keras.Model(inputs, y)


def test_agrees_with_finite_differences(rng, classifier):
    images = rng.uniform(0, 2, (3, 6, 6, 3)).astype("float32")
    classes = [2, 0, 1]
    a, g = finite_differences(classifier, images, classes, "hidden")
    weights = g.mean((1, 2), keepdims=True)
    for method, expected in (
        (grad_cam, np.maximum((weights * a).sum(-1), 0)),
        (hires_cam, (g * a).sum(-1)),
        (layer_cam, np.maximum((np.maximum(g, 0) * a).sum(-1), 0)),
    ):
        np.testing.assert_allclose(
            method(classifier, images, classes, layer="hidden"),
            expected,
            rtol=1e-3,
            atol=1e-4,
        )


def test_a_layer_inside_a_residual_branch(rng):
    """The skip around the layer is constant to the gradient at it."""
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(2, 3, padding="same", name="branch")(inputs)
    x = layers.Add()([inputs, x])
    y = layers.Dense(3, use_bias=False)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, y)
    images = rng.normal(size=(2, 6, 6, 2)).astype("float32")
    branch = keras.Model(inputs, model.get_layer("branch").output)
    kernel = model.layers[-1].get_weights()[0]
    expected = np.maximum(
        (branch.predict(images, verbose=0) * kernel[:, 1] / 36).sum(-1), 0
    )
    np.testing.assert_allclose(
        grad_cam(model, images, 1, layer="branch"), expected, atol=1e-6
    )


def test_a_model_of_lists_of_one_input(rng, classifier):
    """The usual way to build on another model gives a list of inputs."""
    images = rng.uniform(0, 2, (2, 6, 6, 3)).astype("float32")
    listed = keras.Model(classifier.inputs, classifier.outputs)
    np.testing.assert_allclose(
        grad_cam(listed, images, 1, layer="hidden"),
        grad_cam(classifier, images, 1, layer="hidden"),
        rtol=1e-6,
    )


def test_classes_and_batches(rng, classifier):
    images = rng.uniform(0, 2, (5, 6, 6, 3)).astype("float32")
    every = grad_cam(classifier, images, "all", layer="hidden", batch_size=2)
    assert every.shape == (5, 4, 4, 3)
    top = classifier.predict(images, verbose=0).argmax(-1)
    np.testing.assert_allclose(
        grad_cam(classifier, images, layer="hidden"),
        every[np.arange(5), ..., top],
        rtol=1e-5,
        atol=1e-6,
    )
    np.testing.assert_allclose(
        grad_cam(classifier, images, 1, layer="hidden"),
        every[..., 1],
        rtol=1e-5,
        atol=1e-6,
    )


def test_does_not_move_batch_statistics(small_model, images):
    before = small_model.get_weights()
    grad_cam(small_model, images, layer=1)
    for a, b in zip(before, small_model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_refuses_unknown_layers(small_model, images):
    with pytest.raises(ValueError, match="fa_2.*Received.*'fa_9'"):
        grad_cam(small_model, images, layer="fa_9")


def test_refuses_layers_without_maps(classifier, rng):
    with pytest.raises(ValueError, match="4 dimensions"):
        grad_cam(classifier, np.zeros((1, 6, 6, 3)), layer="flatten")


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_models_of_mixed_precision(rng, dtype):
    """All of it, also the logits, as Keras' own classifiers are."""
    models = {}
    for policy in ("float32", dtype):
        options = {"dtype": policy}
        inputs = keras.Input((9, 7, 3))
        x = layers.Conv2D(6, 3, activation="relu", name="x", **options)(inputs)
        x = layers.GlobalAveragePooling2D(**options)(x)
        models[policy] = keras.Model(inputs, layers.Dense(4, **options)(x))
    models[dtype].set_weights(models["float32"].get_weights())
    images = rng.uniform(0, 2, (3, 9, 7, 3)).astype("float32")
    layer_methods = [
        functools.partial(method, layer="x")
        for method in (grad_cam, hires_cam, layer_cam, ablation_cam)
    ]
    for method in (*layer_methods, saliency, integrated_gradients):
        exact, mixed = (
            method(model, images, [2, 0, 3]) for model in models.values()
        )
        assert mixed.dtype == np.float32
        gap = np.linalg.norm(mixed - exact) / np.linalg.norm(exact)
        assert gap < 0.05


class Stops(layers.Layer):
    def call(self, x):
        return ops.stop_gradient(x)


@pytest.mark.parametrize(
    "stop",
    [ops.stop_gradient, Stops(), layers.Lambda(ops.stop_gradient)],
    ids=["operation", "layer", "lambda"],
)
def test_says_where_no_gradient_comes_through(rng, stop):
    images = rng.uniform(0, 1, (2, 6, 6, 3)).astype("float32")
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 3, name="before")(inputs)
    x = layers.Conv2D(4, 3, name="after")(stop(x))
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(3)(x))
    assert hires_cam(model, images, 1, layer="after").any()
    for call, what in (
        (lambda: grad_cam(model, images, layer="before"), "`layer` 'before'"),
        (lambda: hires_cam(model, images, 1, layer="before"), "'before'"),
        (lambda: layer_cam(model, images, "all", layer="before"), "'before'"),
        (lambda: saliency(model, images), "`images`"),
        (lambda: integrated_gradients(model, images, 1), "`images`"),
    ):
        # It is said at each call, not only at the first.
        for _ in range(2):
            with pytest.raises(ValueError, match=f"{what}.*stop_gradient"):
                call()


def test_zeros_of_a_connected_model_are_maps(rng):
    """A ReLU that is off, a path around the stop, and a constant gradient."""
    images = rng.uniform(0, 1, (2, 6, 6, 3)).astype("float32")
    inputs = keras.Input((6, 6, 3))
    x = layers.Activation("linear", name="x")(inputs)
    off = layers.ReLU()(-1.0 - ops.relu(x))
    around = x + ops.stop_gradient(ops.sin(x))
    for maps, are_zeros in ((off, True), (around, False), (x, False)):
        y = layers.GlobalAveragePooling2D()(maps)
        model = keras.Model(inputs, y)
        found = hires_cam(model, images, 1, layer="x")
        assert not found.any() if are_zeros else found.any()
