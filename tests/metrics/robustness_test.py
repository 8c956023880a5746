import warnings

import keras
import numpy as np
import pytest

from keras_facnn import FACNN
from keras_facnn import attribution
from keras_facnn.metrics import local_lipschitz
from keras_facnn.metrics import max_sensitivity

METRICS = [max_sensitivity, local_lipschitz]


def squares(model, images, classes):
    """Maps of the squared values, which need no model."""
    return np.asarray(images, "float64")[..., 0] ** 2


def test_values_by_hand(curved, pictures):
    seen = []

    def noted(model, images, classes):
        seen.append(np.asarray(images))
        return squares(model, images, classes)

    kwargs = {"noise": 0.1, "samples": 6}
    sensitivity = max_sensitivity(curved, pictures, noted, **kwargs)
    lipschitz = local_lipschitz(curved, pictures, noted, **kwargs)
    whole, *copies = seen[:7]
    np.testing.assert_array_equal(whole, pictures)
    # The same noise for both.
    np.testing.assert_array_equal(copies, seen[8:])
    changes, rates = [], []
    for i, picture in enumerate(pictures):
        of_image = []
        for copy in copies:
            noise = copy[i] - picture
            bound = 0.1 * (picture.max() - picture.min())
            assert 0.9 * bound < np.abs(noise).max() <= bound * 1.0001
            change = np.sqrt(((copy[i] ** 2 - picture**2) ** 2).sum())
            of_image.append(
                (
                    change / np.sqrt((picture**4).sum()),
                    change / np.sqrt((noise**2).sum()),
                )
            )
        changes.append(max(pair[0] for pair in of_image))
        rates.append(max(pair[1] for pair in of_image))
    np.testing.assert_allclose(sensitivity.values, changes, rtol=1e-4)
    np.testing.assert_allclose(lipschitz.values, rates, rtol=1e-4)
    assert sensitivity.settings["attribution"] == "noted"


def test_a_linear_map_has_its_factor_and_a_fixed_one_is_robust(
    curved, pictures
):
    def linear(model, images, classes, factor=3):
        return factor * np.asarray(images)[..., 0]

    for factor in (3, 5):
        result = local_lipschitz(curved, pictures, linear, factor=factor)
        np.testing.assert_allclose(result.values, factor, rtol=1e-4)
    for metric in METRICS:
        fixed = metric(curved, pictures, lambda *_: np.ones((5, 4, 4)))
        assert fixed.mean == 0 and not fixed.higher_is_better
    # The scale of a map does not matter to this one.
    small, large = (
        max_sensitivity(curved, pictures, linear, factor=factor).values
        for factor in (0.1, 10)
    )
    np.testing.assert_allclose(small, large, rtol=1e-5)


@pytest.mark.parametrize("metric", METRICS)
def test_more_samples_only_raise_the_values(metric, curved, pictures):
    few, many = (
        metric(curved, pictures, squares, samples=n).values for n in (2, 20)
    )
    assert (few <= many).all() and (few < many).any()
    other = metric(curved, pictures, squares, samples=2, seed=1).values
    assert not np.allclose(few, other)


def test_noisy_images_have_the_class_of_the_image(curved, pictures):
    """Also where the model gives them another, and in any batch."""
    seen = []

    def noted(model, images, classes):
        seen.append(list(classes))
        return squares(model, images, classes)

    predicted = keras.ops.convert_to_numpy(curved(pictures)).argmax(-1)
    max_sensitivity(curved, pictures, noted, samples=3, noise=5.0)
    assert seen == 4 * [list(predicted)]
    seen.clear()
    local_lipschitz(curved, pictures, noted, [0, 1, 2, 3, 0], samples=1)
    assert seen == 2 * [[0, 1, 2, 3, 0]]


def test_what_has_no_value_is_left_out(curved, pictures):
    pictures[1] = 0.5
    for metric in METRICS:
        result = metric(curved, pictures, squares)
        assert np.isnan(result.values).tolist() == [0, 1, 0, 0, 0]

    def nothing_at_first(model, images, classes):
        maps = squares(model, images, classes)
        maps[3] = 0 if np.array_equal(images, pictures) else 1
        return maps

    assert max_sensitivity(curved, pictures, nothing_at_first).undefined == 2
    assert local_lipschitz(curved, pictures, nothing_at_first).undefined == 1


@pytest.mark.parametrize("metric", METRICS)
def test_methods_run_without_a_warning_of_the_range(
    metric, small_model, images
):
    """Noise takes pixels out of 0..255, which is no mistake of the user's."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "`images` should be in 0..255")
        for method, kwargs in (
            (FACNN.class_maps, {"layer": 2}),
            (attribution.saliency, {}),
        ):
            result = metric(
                small_model, images, method, noise=0.5, samples=2, **kwargs
            )
            assert result.mean > 0


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    "changes, message",
    [
        ({"noise": 0}, "`noise` must be a finite number, above 0"),
        ({"samples": 0}, "`samples` must be a positive integer"),
        ({"seed": -1}, "`seed` must be an integer"),
        ({"attribution": "cam"}, "`attribution` must be a function"),
        ({"classes": [9] * 5}, "`classes` must be"),
        ({"verbose": "yes"}, "`verbose` must be"),
        (
            {"attribution": lambda *_: np.zeros((4, 3, 3))},
            r"`maps` must have shape \(5, h, w\)",
        ),
    ],
)
def test_refuses_bad_arguments(metric, changes, message, curved, pictures):
    arguments = {"attribution": squares, **changes}
    with pytest.raises(ValueError, match=message):
        metric(curved, pictures, **arguments)
