import keras
import numpy as np
import pytest

from keras_facnn.attribution import expected_gradients
from keras_facnn.attribution import integrated_gradients


@pytest.fixture
def images(rng):
    return rng.normal(size=(3, 9, 7, 2)).astype("float32")


@pytest.fixture
def background(rng):
    return rng.normal(size=(4, 9, 7, 2)).astype("float32")


@pytest.fixture
def curved(rng):
    inputs = keras.Input((9, 7, 2))
    x = keras.layers.Conv2D(4, 3, activation="tanh")(inputs)
    x = keras.layers.Dense(3)(keras.layers.Flatten()(x))
    return keras.Model(inputs, x)


def drawn(samples, seed):
    """Return the draws that every backend makes: images, and points."""
    rng = np.random.default_rng(seed)
    return rng.integers(4, size=samples), rng.random(samples, "float32")


def test_of_a_linear_model_in_closed_form(linear, images, background):
    """The points do not matter, only the mean of the drawn images."""
    model, w = linear
    for options, mean in (
        ({"background": background[:1]}, background[0]),
        ({"background": background}, background[drawn(9, 2)[0]].mean(0)),
    ):
        maps = expected_gradients(
            model, images, "all", samples=9, seed=2, batch_size=4, **options
        )
        np.testing.assert_allclose(
            maps,
            ((images - mean)[..., None] * w).sum(-2),
            rtol=1e-3,
            atol=1e-5,
        )


def test_maps_sum_to_the_difference_from_the_mean_of_the_background(
    curved, images, background
):
    """In expectation; the error is that of a mean of 2000 samples."""
    logits = curved.predict(images, verbose=0)
    expected = logits - curved.predict(background, verbose=0).mean(0)
    maps = expected_gradients(
        curved,
        images,
        "all",
        background=background,
        samples=2000,
        batch_size=300,
    )
    np.testing.assert_allclose(maps.sum((1, 2)), expected, atol=0.15)
    assert np.abs(expected).max() > 0.5


def test_one_background_image_is_integrated_gradients(
    curved, images, background
):
    """Random points of the line give the integral, up to their noise."""
    maps = expected_gradients(
        curved,
        images,
        1,
        background=background[:1],
        samples=2000,
        batch_size=300,
    )
    exact = integrated_gradients(curved, images, 1, baseline=background[:1])
    error = np.linalg.norm(maps - exact) / np.linalg.norm(exact)
    assert 0 < error < 0.03


def test_a_background_of_another_range_warns(small_model):
    """An FA-CNN takes pixels in 0..255."""
    images = np.full((1, 16, 16, 3), 255)
    with pytest.warns(UserWarning, match="`background` should be in 0..255"):
        expected_gradients(
            small_model, images, 1, background=images / 255, samples=1
        )


@pytest.mark.parametrize(
    "options, name",
    [
        ({"background": np.zeros((2, 9, 8, 2))}, "background"),
        ({"background": np.zeros((9, 7, 2))}, "background"),
        ({"background": np.full((1, 9, 7, 2), np.nan)}, "background"),
        ({"background": np.zeros((0, 9, 7, 2))}, "background"),
        ({"samples": 0}, "samples"),
        ({"seed": 1.5}, "seed"),
        ({"reduce": "mean"}, "reduce"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_refuses_what_has_no_meaning(linear, images, options, name):
    options = {"background": images, **options}
    with pytest.raises(ValueError, match=f"`{name}` must .*Received"):
        expected_gradients(linear[0], images, 1, **options)
