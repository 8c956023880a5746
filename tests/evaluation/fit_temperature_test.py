import keras
import numpy as np
import pytest
from scipy import special

import keras_facnn
from keras_facnn import fit_temperature
from keras_facnn.evaluation._fit_temperature import best_temperature


def entropy(logits, labels, temperature):
    p = special.log_softmax(logits / temperature, axis=-1)
    return -p[np.arange(len(labels)), labels].mean()


def test_divides_logits_and_changes_no_map(folder, model, arrays):
    images, labels, logits, _ = arrays
    maps = model.class_maps(images)
    temperature = fit_temperature(model, folder)
    fitted = model.predict(images, verbose=0)
    np.testing.assert_allclose(fitted * temperature, logits, rtol=1e-4)
    np.testing.assert_array_equal(model.class_maps(images), maps)
    # It is the best of a grid of temperatures.
    grid = np.geomspace(0.05, 20, 4001)
    best = grid[np.argmin([entropy(logits, labels, t) for t in grid])]
    assert temperature == pytest.approx(best, rel=3e-3)
    # What is fitted already needs no other.
    assert fit_temperature(model, folder) == pytest.approx(1, abs=1e-3)
    record = model.preset_metadata["temperature"]
    assert record["images"] == len(labels)
    assert record["value"] == pytest.approx(temperature, rel=2e-3)


@pytest.mark.only_on("torch")
def test_photos_that_are_broken_can_be_skipped(folder, model, arrays):
    images, labels, _, paths = arrays
    with open(paths[3], "wb") as file:
        file.write(b"no picture")
    with pytest.raises(ValueError, match='png.*`on_error="skip"` leaves'):
        fit_temperature(model, folder)
    with pytest.raises(ValueError, match="`on_error` must be.*Received: on_e"):
        fit_temperature(model, folder, on_error="ignore")
    with pytest.warns(UserWarning, match="Skipped 1 of 30 photos"):
        temperature = fit_temperature(model, folder, on_error="skip")
    assert model.preset_metadata["temperature"]["images"] == 29
    # It is that of the other photos with their own labels.
    model.head.set_weights([np.log(40.0)])
    rest = np.delete(images, 3, axis=0), np.delete(labels, 3)
    assert fit_temperature(model, rest) == pytest.approx(temperature, rel=1e-4)


@pytest.mark.only_on("torch")
def test_a_threshold_stays_where_it_is(colors_model, rng):
    images = rng.integers(0, 256, (40, 16, 16, 3)).astype("uint8")
    images //= rng.integers(1, 5, (40, 1, 1, 3)).astype("uint8")
    labels = images.mean((1, 2)).argmax(-1)
    labels[:6] = (labels[:6] + 1) % 3
    logits = colors_model.predict(images, verbose=0)
    temperature = fit_temperature(colors_model, (images, labels))
    fitted = colors_model.predict(images, verbose=0)
    np.testing.assert_allclose(fitted * temperature, logits, atol=1e-3)
    np.testing.assert_array_equal(fitted > 0, logits > 0)


@pytest.mark.only_on("torch")
def test_presets_keep_it_with_what_describes_them(model, arrays, tmp_path):
    images, labels, logits, _ = arrays
    described = {
        "class_names": model.class_names,
        "description": "Finds ants.",
        "training": {"epochs": 3},
        "metrics": {"top_1": 0.5},
    }
    model.save_to_preset(tmp_path / "before", described)
    loaded = keras_facnn.FACNN.from_preset(tmp_path / "before")
    temperature = fit_temperature(loaded, (images, labels))
    loaded.save_to_preset(tmp_path / "after")
    again = keras_facnn.FACNN.from_preset(tmp_path / "after")
    np.testing.assert_allclose(
        again.predict(images, verbose=0) * temperature, logits, rtol=1e-4
    )
    record = again.preset_metadata
    assert record["temperature"]["value"] == temperature
    assert record["description"] == "Finds ants."
    assert record["training"] == {"epochs": 3}
    assert "transferred_from" not in record
    # They were measured with other probabilities.
    assert "metrics" not in record


@pytest.mark.only_on("torch")
def test_more_training_makes_it_stale(model, arrays, tmp_path):
    images, labels, _, _ = arrays
    fit_temperature(model, (images, labels))
    model.save_to_preset(tmp_path / "preset")
    loaded = keras_facnn.FACNN.from_preset(tmp_path / "preset")
    conv = loaded.get_layer("conv_1")
    conv.set_weights([w + 0.01 for w in conv.get_weights()])
    loaded.save_to_preset(tmp_path / "trained")
    record = keras_facnn.FACNN.from_preset(tmp_path / "trained").preset_metadata
    assert "temperature" not in record
    assert "temperature" in record["transferred_from"]


@pytest.mark.only_on("torch")
def test_photos_that_are_all_right_tell_nothing(model, arrays):
    images, _, logits, _ = arrays
    before = model.get_weights()
    with pytest.raises(ValueError, match="right answers and wrong ones"):
        fit_temperature(model, (images, logits.argmax(-1)))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("lead", [1, 2, 4, 8, 100])
def test_scores_that_are_all_right_tell_nothing(lead):
    """The cross-entropy is 0 in float64 before the bound is reached."""
    labels = np.arange(12) % 3
    softmax = lead * np.eye(3)[labels]
    sigmoid = lead * (2 * np.eye(3)[labels] - 1)
    for logits, several_labels in ((softmax, False), (sigmoid, True)):
        with pytest.raises(ValueError, match="below any bound.*12 are right"):
            best_temperature(logits, labels, several_labels)
    logits = softmax.copy()
    logits[0] = logits[1]  # One is wrong.
    assert 0.02 < best_temperature(logits, labels, False) < 50 * lead


@pytest.mark.only_on("torch")
def test_needs_an_fa_cnn(images):
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.GlobalAveragePooling2D()(inputs)
    with pytest.raises(ValueError, match="`model` must be an FA-CNN"):
        fit_temperature(keras.Model(inputs, x), (images, [0] * 5))


@pytest.mark.only_on("torch")
def test_is_not_fitted_on_training_photos(folder, model):
    train, held_out = keras_facnn.load_folder(folder, read=False).split(0.5)
    model.preset_metadata = {
        **train.metadata,
        "class_names": model.class_names,
    }
    with pytest.raises(ValueError, match="trained on all"):
        fit_temperature(model, train)
    fit_temperature(model, held_out)
