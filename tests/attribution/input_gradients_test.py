import functools

import keras
import numpy as np
import pytest
import scipy

from keras_facnn.attribution import integrated_gradients
from keras_facnn.attribution import saliency


@pytest.fixture
def images(rng):
    return rng.normal(size=(3, 9, 7, 2)).astype("float32")


def test_of_a_linear_model_in_closed_form(linear, images):
    model, weights = linear
    classes = [2, 0, 1]
    w = np.moveaxis(weights, -1, 0)[classes]
    np.testing.assert_allclose(
        saliency(model, images, classes, batch_size=2),
        np.abs(w).max(-1),
        rtol=1e-4,
    )
    np.testing.assert_allclose(
        integrated_gradients(model, images, classes, baseline=1.5, steps=3),
        (w * (images - 1.5)).sum(-1),
        rtol=1e-3,
        atol=1e-5,
    )


def test_integrated_gradients_sum_to_the_difference_of_logits(images):
    keras.utils.set_random_seed(3)
    inputs = keras.Input((9, 7, 2))
    x = keras.layers.Conv2D(8, 3, activation="tanh")(inputs)
    x = keras.layers.Flatten()(x)
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    logits = model.predict(images, verbose=0)
    start = model.predict(np.zeros((1, 9, 7, 2)), verbose=0)
    maps = integrated_gradients(model, images)
    expected = logits.max(-1) - start[0, logits.argmax(-1)]
    np.testing.assert_allclose(maps.sum((1, 2)), expected, rtol=1e-3)


def test_channels_and_classes_of_a_linear_model(linear, images):
    model, w = linear
    change = images[..., None] - 1.5
    for method, expected in (
        (saliency, np.broadcast_to(w, (3, *w.shape))),
        (
            functools.partial(integrated_gradients, baseline=1.5, steps=2),
            w * change,
        ),
    ):
        for reduce, reduced in (
            (None, expected),
            ("sum", expected.sum(-2)),
            ("max_abs", np.abs(expected).max(-2)),
        ):
            every = method(model, images, "all", reduce=reduce, batch_size=2)
            assert every.dtype == np.float32
            np.testing.assert_allclose(every, reduced, rtol=1e-3, atol=1e-5)
            np.testing.assert_array_equal(
                method(model, images, 2, reduce=reduce, batch_size=2),
                every[..., 2],
            )


def test_baselines(linear, images, rng):
    """A blurred or plain image, one image for all, or one for each."""
    model, w = linear
    one = rng.normal(size=(9, 7, 2))
    for baseline, start in (
        ("mean", images.mean((1, 2), keepdims=True)),
        (
            "blur",
            [scipy.ndimage.gaussian_filter(x, (0.9, 0.9, 0)) for x in images],
        ),
        (one, one),
        (images[::-1], images[::-1]),
        ([1.0, -2.0], np.array([1.0, -2.0])),
    ):
        found = integrated_gradients(
            model, images, 1, baseline=baseline, steps=2, batch_size=2
        )
        expected = (w[..., 1] * (images - start)).sum(-1)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("method", [saliency, integrated_gradients])
def test_refuses_models_of_integers(method):
    inputs = keras.Input((4, 4, 3), dtype="uint8")
    x = keras.ops.cast(inputs, "float32") / 255
    outputs = keras.layers.Dense(2)(keras.layers.Flatten()(x))
    model = keras.Model(inputs, outputs)
    with pytest.raises(ValueError, match="must take floats.*uint8"):
        method(model, np.zeros((1, 4, 4, 3), "uint8"), 0)


def test_all_classes_at_once_must_fit_into_memory(rng):
    inputs = keras.Input((64, 64, 1))
    x = keras.layers.GlobalAveragePooling2D()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2**19)(x))
    with pytest.raises(ValueError, match='`images` and `classes="all"` ask'):
        saliency(model, np.zeros((1, 64, 64, 1)), "all")
