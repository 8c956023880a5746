import re
import warnings

import keras
import numpy as np
import pytest
from keras import ops

from keras_facnn import FACNN


def test_centered_maps_are_what_softmax_sees(small_model, images):
    logits, maps = small_model.predict_with_maps(images)
    _, centered = small_model.predict_with_maps(images, centered=True)
    expected = maps - maps.sum(axis=-1, keepdims=True) / 4
    np.testing.assert_allclose(centered, expected, rtol=1e-5, atol=1e-7)
    assert (centered < 0).any()
    scale = float(ops.convert_to_numpy(small_model.head.scale))
    means = scale * centered.mean(axis=(1, 2))
    shared = logits.mean(axis=-1, keepdims=True)
    np.testing.assert_allclose(means, logits - shared, rtol=1e-3, atol=1e-5)

    def softmax(x):
        e = np.exp(x.astype("float64"))
        return e / e.sum(axis=-1, keepdims=True)

    np.testing.assert_allclose(softmax(means), softmax(logits), rtol=1e-4)
    one = small_model.class_maps(images, 2, layer=1, centered=True)
    of_all = small_model.class_maps(images, layer=1)
    np.testing.assert_allclose(
        one, of_all[..., 2] - of_all.mean(axis=-1), rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize("options", [{}, {"centered": False}])
def test_explain_is_what_the_single_methods_say(small_model, images, options):
    """Of centered maps, unless others are asked for."""
    explanation = small_model.explain(images, layers=(1, "fa_3"), **options)
    centered = not options
    assert explanation.centered == centered
    logits, maps = small_model.predict_with_maps(images, centered=centered)
    predicted = logits.argmax(axis=-1)
    np.testing.assert_array_equal(explanation.classes, predicted)
    np.testing.assert_allclose(explanation.maps, maps, rtol=1e-5, atol=1e-6)
    e = np.exp(logits.astype("float64"))
    np.testing.assert_allclose(
        explanation.probabilities, e / e.sum(axis=-1, keepdims=True), rtol=1e-4
    )
    assert list(explanation.layer_maps) == [1, 3]
    for layer, received in explanation.layer_maps.items():
        expected = small_model.class_maps(
            images, predicted, layer=layer, centered=centered
        )
        np.testing.assert_allclose(received, expected, rtol=1e-5, atol=1e-6)
    e = np.exp(small_model.layer_logits(images).astype("float64"))
    np.testing.assert_allclose(
        explanation.layer_probabilities,
        e / e.sum(axis=-1, keepdims=True),
        rtol=1e-4,
    )
    assert explanation.class_names is None
    np.testing.assert_array_equal(explanation.images, images)


def test_explain_refuses_a_centered_that_is_no_bool(small_model, images):
    with pytest.raises(ValueError, match="`centered` must be.*'yes'"):
        small_model.explain(images, centered="yes")


def test_classes_may_be_named(small_model, images):
    small_model.preset_metadata = {"class_names": ["ant", "bee", "cat", "dog"]}
    by_name = small_model.class_maps(images, "cat")
    np.testing.assert_array_equal(by_name, small_model.class_maps(images, 2))
    mixed = ["dog", "ant", "ant", "bee", "cat"]
    np.testing.assert_array_equal(
        small_model.layer_evidence(images, mixed),
        small_model.layer_evidence(images, [3, 0, 0, 1, 2]),
    )
    np.testing.assert_array_equal(
        small_model.explain(images, np.array(mixed)).classes, [3, 0, 0, 1, 2]
    )
    with pytest.raises(ValueError, match="`classes` must be among.*cat.*'Cat'"):
        small_model.class_maps(images, "Cat")


@pytest.mark.parametrize("height, width", [(2, 2), (2, 64), (3, 16)])
def test_images_too_small_for_the_pooling_are_refused(height, width):
    model = FACNN(3, (None, None, 3), (1, 1), (1, 1), space_to_depth=2)
    images = np.full((2, height, width, 3), 99.0)
    before = model.get_weights()
    for read in (
        model.class_maps,
        model.predict_with_maps,
        model.layer_logits,
        model.layer_evidence,
        model.verify,
        model.explain,
    ):
        with pytest.raises(ValueError, match="`images` must be at least 4x4"):
            read(images)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert model.class_maps(np.full((1, 4, 4, 3), 9.0)).shape == (1, 1, 1, 3)


@pytest.mark.parametrize(
    "change, seen",
    [
        (lambda x: x / 255, "0..1"),
        (lambda x: (x / 255 > 0.5).astype("uint8"), "0..1"),
        (lambda x: x > 127, "0..1"),
        (lambda x: x / 250, "0..1"),
        (lambda x: x / 127.5 - 1, "normalized"),
        (lambda x: x - 120.0, "normalized"),
        (lambda x: x.astype("int8"), "signed"),
        (lambda x: (x * 257).astype("uint16"), "8 bits"),
        (lambda x: x * 1e28, "8 bits"),
        (lambda x: ops.cast(x / 255.0, "bfloat16"), "0..1"),
    ],
)
def test_warns_of_values_that_are_not_pixels(small_model, rng, change, seen):
    images = rng.integers(0, 256, (2, 16, 16, 3))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        small_model.class_maps(change(images))
    (ours,) = [w for w in caught if "0..255" in str(w.message)]
    assert re.search(f"`images` should be in 0..255, but.*{seen}", str(ours))
    assert ours.filename == __file__


def test_pixels_do_not_warn(small_model, images, recwarn):
    for pixels in (images, images.astype(">f4"), 0 * images):
        small_model.class_maps(pixels)
    assert not [w for w in recwarn if "0..255" in str(w.message)]


def test_channels_first_as_the_global_default_changes_nothing(
    small_model, images
):
    expected = small_model.class_maps(images)
    keras.config.set_image_data_format("channels_first")
    try:
        model = FACNN.from_config(small_model.get_config())
        model.set_weights(small_model.get_weights())
        np.testing.assert_allclose(
            model.class_maps(images), expected, rtol=1e-5
        )
        np.testing.assert_allclose(
            model.layer_evidence(images, maps=True),
            small_model.layer_evidence(images, maps=True),
            rtol=1e-5,
        )
    finally:
        keras.config.set_image_data_format("channels_last")


def test_verifies_in_float16(rng):
    """Over 64x64 places a gradient is below float16's least value."""
    model = FACNN(
        4,
        image_shape=(64, 64, 3),
        depths=(1,),
        maps_per_class=(2,),
        dtype="mixed_float16",
    )
    images = rng.uniform(0, 255, (2, 64, 64, 3))
    found = model.verify(images)
    assert found["theorem_1_correlation"] > 0.9999
    assert found["theorem_1_error"] < 1e-3
