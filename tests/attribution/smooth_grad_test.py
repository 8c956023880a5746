import keras
import numpy as np
import pytest
from keras import ops

from keras_facnn.attribution import saliency
from keras_facnn.attribution import smooth_grad
from keras_facnn.attribution import var_grad

SAMPLES = 7


@pytest.fixture
def images(rng):
    return rng.normal(size=(3, 9, 7, 2)).astype("float32")


@pytest.fixture
def squares(rng):
    """A classifier whose gradient of class `c` is `2 * w_c * x`, and `w`."""
    w = rng.normal(size=(3, 9, 7, 2)).astype("float32")
    inputs = keras.Input((9, 7, 2))
    scores = [ops.sum(inputs**2 * one, axis=(1, 2, 3)) for one in w]
    return keras.Model(inputs, ops.stack(scores, axis=-1)), w


def noise_of(images, noise, seed):
    """Return the noise `(samples, B, H, W, channels)`, float64."""
    drawn = [
        np.random.default_rng((seed, i)).standard_normal(
            images[:1].shape, "float32"
        )
        for i in range(SAMPLES)
    ]
    ranges = images.max((1, 2, 3)) - images.min((1, 2, 3))
    return noise * ranges.reshape(-1, 1, 1, 1) * np.array(drawn, "float64")


def test_of_a_quadratic_model_in_closed_form(squares, images):
    """The noise is the same on every backend."""
    model, w = squares
    classes = [2, 0, 1]
    added = noise_of(images, 0.2, seed=5)
    gradients = 2 * w[classes] * (images + added)
    options = {"noise": 0.2, "samples": SAMPLES, "seed": 5, "batch_size": 8}
    for method, expected in (
        (smooth_grad, gradients.mean(0)),
        (var_grad, gradients.var(0)),
    ):
        for reduce, reduced in (
            (None, expected),
            ("sum", expected.sum(-1)),
            ("max_abs", np.abs(expected).max(-1)),
        ):
            np.testing.assert_allclose(
                method(model, images, classes, reduce=reduce, **options),
                reduced,
                rtol=1e-4,
                atol=1e-5,
            )


def test_all_classes(squares, images):
    model, w = squares
    added = noise_of(images, 0.15, seed=0)
    gradients = 2 * np.moveaxis(w, 0, -1) * (images + added)[..., None]
    for method, expected in (
        (smooth_grad, np.abs(gradients.mean(0)).max(-2)),
        (var_grad, gradients.var(0).max(-2)),
    ):
        maps = method(model, images, "all", samples=SAMPLES)
        assert maps.shape == (3, 9, 7, 3)
        np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", [smooth_grad, var_grad])
def test_batches_change_nothing(squares, images, method):
    model, _ = squares
    expected, *others = (
        method(model, images[:n], 1, samples=5, batch_size=size)
        for n, size in ((3, 32), (3, 4), (3, 2), (1, 32))
    )
    for maps in others:
        np.testing.assert_allclose(maps, expected[: len(maps)], rtol=1e-5)


def test_of_images_without_contrast(squares):
    """Their range is 0, and so is the noise."""
    model, _ = squares
    gray = np.full((1, 9, 7, 2), 0.5)
    np.testing.assert_allclose(
        smooth_grad(model, gray, 1, samples=3),
        saliency(model, gray, 1),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        var_grad(model, gray, 1, samples=3), 0, atol=1e-12
    )


def test_the_class_is_predicted_without_noise(squares, images):
    model, _ = squares
    predicted = model.predict(images, verbose=0).argmax(-1)
    np.testing.assert_array_equal(
        smooth_grad(model, images, noise=3.0, samples=3),
        smooth_grad(model, images, predicted, noise=3.0, samples=3),
    )


@pytest.mark.parametrize(
    "options, name",
    [
        ({"noise": 0}, "noise"),
        ({"noise": np.nan}, "noise"),
        ({"samples": 1}, "samples"),
        ({"seed": -1}, "seed"),
        ({"reduce": "mean"}, "reduce"),
        ({"reduce": ["sum"]}, "reduce"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_refuses_what_has_no_meaning(squares, images, options, name):
    with pytest.raises(ValueError, match=f"`{name}` must be.*Received"):
        var_grad(squares[0], images, **options)
