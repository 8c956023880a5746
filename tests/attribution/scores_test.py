"""What the scores are that maps explain, and what becomes of their gradient."""

import functools

import keras
import numpy as np
import pytest
from keras import layers

from keras_facnn.attribution import contrast
from keras_facnn.attribution import disagreement
from keras_facnn.attribution import grad_cam
from keras_facnn.attribution import hires_cam
from keras_facnn.attribution import integrated_gradients
from keras_facnn.attribution import occlusion
from keras_facnn.attribution import rise
from keras_facnn.attribution import saliency
from keras_facnn.attribution import smooth_grad

BACKEND = keras.backend.backend()
METHODS = {
    "grad_cam": lambda m, x: grad_cam(m, x, 1, layer="c"),
    "hires_cam": lambda m, x: hires_cam(m, x, 1, layer="c"),
    "saliency": lambda m, x: saliency(m, x, 1),
    "integrated_gradients": lambda m, x: integrated_gradients(m, x, 1, steps=3),
    "smooth_grad": lambda m, x: smooth_grad(m, x, 1, samples=3),
}


def every_method(test):
    return pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)(
        test
    )


def classifier(activation=None, dtype=None, side=8, channels=4):
    x = keras.Input((side, side, 3))
    y = layers.Conv2D(channels, 3, name="c", dtype=dtype)(x)
    y = layers.GlobalAveragePooling2D(dtype=dtype)(y)
    y = layers.Dense(3, activation=activation, dtype="float32", name="d")(y)
    return keras.Model(x, y)


@every_method
def test_gradients_of_a_softmax_warn_with_what_to_do(rng, method):
    images = rng.normal(size=(2, 8, 8, 3))
    with pytest.warns(UserWarning, match="probabilities.*activation=None"):
        method(classifier("softmax"), images)


@every_method
def test_gradients_of_logits_do_not_warn(rng, method):
    assert np.isfinite(
        method(classifier(), rng.normal(size=(2, 8, 8, 3)))
    ).all()


def test_scores_that_are_probabilities_are_not_softmaxed_twice(rng):
    images = rng.normal(size=(2, 8, 8, 3))
    with pytest.warns(UserWarning, match="a softmax again"):
        rise(classifier("softmax"), images, 1, masks=4)


@every_method
def test_outputs_that_are_not_finite_are_said(rng, method):
    model = classifier()
    kernel, bias = model.get_layer("d").get_weights()
    model.get_layer("d").set_weights([kernel * np.nan, bias])
    with pytest.raises(ValueError, match="outputs must be finite.*Received"):
        method(model, rng.normal(size=(2, 8, 8, 3)))


@pytest.mark.parametrize("name", METHODS)
def test_small_gradients_do_not_vanish_in_float16(rng, name):
    """The gradient of an average over 64x64 places is below float16's least."""
    half, full = (
        classifier(dtype=d, side=66) for d in ("mixed_float16", "float32")
    )
    weights = [w * 1e-2 for w in full.get_weights()]
    half.set_weights(weights)
    full.set_weights(weights)
    images = rng.uniform(0, 1, (1, 66, 66, 3))
    expected = METHODS[name](full, images)
    received = METHODS[name](half, images)
    assert abs((received == 0).mean() - (expected == 0).mean()) < 0.02
    scale = np.abs(expected).max()
    np.testing.assert_allclose(received / scale, expected / scale, atol=0.02)


def test_large_gradients_do_not_overflow_in_float16(rng):
    half, full = (
        classifier(dtype=d, side=4) for d in ("mixed_float16", "float32")
    )
    weights = [w * 20 if w.ndim == 2 else w for w in full.get_weights()]
    half.set_weights(weights)
    full.set_weights(weights)
    images = rng.normal(size=(2, 4, 4, 3))
    expected = METHODS["hires_cam"](full, images)
    received = METHODS["hires_cam"](half, images)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(received / scale, expected / scale, atol=0.02)


@every_method
def test_an_output_in_a_dict_of_one(rng, method):
    images = rng.normal(size=(2, 8, 8, 3))
    model = classifier()
    named = keras.Model(model.input, {"y": model.output})
    np.testing.assert_allclose(
        method(named, images), method(model, images), rtol=1e-5, atol=1e-7
    )


def test_perturbations_of_an_output_in_a_dict_of_one(rng):
    images = rng.normal(size=(2, 8, 8, 3))
    model = classifier()
    named = keras.Model(model.input, {"y": model.output})
    for method in (
        lambda m: rise(m, images, masks=4),
        lambda m: occlusion(m, images, size=4),
    ):
        np.testing.assert_allclose(method(named), method(model), rtol=1e-5)


@pytest.mark.skipif(BACKEND != "torch", reason="PyTorch's own mode")
@every_method
def test_gradients_within_inference_mode(rng, method):
    import torch

    model, images = classifier(), rng.normal(size=(2, 8, 8, 3))
    expected = method(model, images)
    with torch.inference_mode():
        np.testing.assert_allclose(
            method(model, images), expected, rtol=1e-5, atol=1e-7
        )


@pytest.mark.parametrize(
    "call, name",
    [
        (lambda m, x: rise(m, x, seed=-1), "seed"),
        (lambda m, x: rise(m, x, seed=1.5), "seed"),
        (lambda m, x: rise(m, x, masks=10**30), "masks"),
        (lambda m, x: rise(m, x, grid="7"), "grid"),
        (lambda m, x: rise(m, x, p=np.nan), "p"),
        (lambda m, x: rise(m, x, tolerance=np.inf), "tolerance"),
        (lambda m, x: occlusion(m, x, size=2.0), "size"),
        (lambda m, x: occlusion(m, x, baseline=np.nan), "baseline"),
        (lambda m, x: occlusion(m, x, baseline=None), "baseline"),
        (lambda m, x: integrated_gradients(m, x, baseline="road"), "baseline"),
        (
            lambda m, x: integrated_gradients(m, x, baseline=x[:, 1:]),
            "baseline",
        ),
        (lambda m, x: integrated_gradients(m, x, baseline=np.inf), "baseline"),
        (lambda m, x: integrated_gradients(m, x, steps=0), "steps"),
        (lambda m, x: saliency(m, x, batch_size=0), "batch_size"),
        (lambda m, x: grad_cam(m, x, layer="c", batch_size=1.0), "batch_size"),
    ],
)
def test_options_are_refused_by_name(rng, call, name):
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        call(classifier(), rng.normal(size=(2, 8, 8, 3)))


def test_what_only_an_fa_cnn_has_refuses_other_models(rng):
    images = rng.normal(size=(2, 8, 8, 3))
    for call in (
        lambda m: contrast(m, images, 0, 1),
        lambda m: disagreement(m, images),
    ):
        for model in (classifier(), None):
            with pytest.raises(ValueError, match="an FA-CNN.*grad_cam"):
                call(model)


def test_classes_by_name(small_model, images):
    small_model.preset_metadata = {"class_names": ["a", "b", "c", "d"]}
    for call, named, numbered in (
        (disagreement, ("c",), (2,)),
        (contrast, ("a", ["b", "c", "a", "d", "d"]), (0, [1, 2, 0, 3, 3])),
        (functools.partial(grad_cam, layer=1), ("d",), (3,)),
        (saliency, ("d",), (3,)),
        (functools.partial(occlusion, size=16), ("d",), (3,)),
    ):
        np.testing.assert_array_equal(
            call(small_model, images, *named),
            call(small_model, images, *numbered),
        )


@pytest.mark.parametrize("name", ["contrast", "disagreement", "saliency"])
def test_pixels_of_another_range_warn_once(small_model, rng, name):
    call = {
        "contrast": lambda m, x: contrast(m, x, 0, 1),
        "disagreement": disagreement,
        "saliency": saliency,
    }[name]
    with pytest.warns(UserWarning, match="0..255") as caught:
        call(small_model, rng.uniform(0, 1, (2, 16, 16, 3)))
    assert [w.category for w in caught].count(UserWarning) == 1


@pytest.mark.parametrize("method", [rise, occlusion])
def test_one_output_has_no_softmax(rng, method):
    x = keras.Input((8, 8, 3))
    y = layers.Dense(1)(layers.GlobalAveragePooling2D()(x))
    images = rng.normal(size=(2, 8, 8, 3))
    with pytest.raises(ValueError, match="`probabilities` must be False"):
        method(keras.Model(x, y), images, probabilities=True)
