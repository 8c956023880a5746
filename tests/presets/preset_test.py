import pathlib
import shutil
import warnings

import h5py
import keras
import numpy as np
import pytest
from keras import ops

from keras_facnn import FACNN
from keras_facnn import load_images

NAMES = ["ant", "bee", "cat", "dog"]
SAMPLES = pathlib.Path(__file__).parents[2] / "samples"


def weights(model):
    return [ops.convert_to_numpy(w) for w in model.weights]


@pytest.fixture
def folder(small_model, tmp_path):
    small_model.save_to_preset(tmp_path / "p", {"class_names": NAMES})
    return tmp_path / "p"


def test_round_trips_bit_for_bit(small_model, images, folder):
    loaded = FACNN.from_preset(folder)
    for a, b in zip(weights(small_model), weights(loaded), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(
        loaded.predict(images, verbose=0),
        small_model.predict(images, verbose=0),
    )
    assert loaded.preset_metadata["class_names"] == NAMES
    assert loaded.preset_metadata["parameters"] == small_model.count_params()


def test_float16_on_disk_is_float32_in_memory(small_model, tmp_path):
    small_model.save_to_preset(tmp_path / "p", weights_dtype="float16")
    loaded = FACNN.from_preset(tmp_path / "p")
    for a, b in zip(weights(small_model), weights(loaded), strict=True):
        assert b.dtype == np.float32
        np.testing.assert_array_equal(a.astype("float16").astype("float32"), b)


def test_optimizer_state_stays_out(small_model, images, tmp_path):
    small_model.compile(
        "adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    small_model.fit(images, np.zeros(5), verbose=0)
    small_model.save_to_preset(tmp_path / "p")
    with h5py.File(tmp_path / "p" / "model.weights.h5") as file:
        sizes = []
        file.visititems(lambda _, x: sizes.append(getattr(x, "size", 0)))
    assert sum(sizes) == small_model.count_params()


def test_the_file_is_one_that_keras_reads(small_model, images, folder):
    fresh = FACNN.from_config(small_model.get_config())
    fresh.load_weights(folder / "model.weights.h5")
    np.testing.assert_array_equal(
        fresh.predict(images, verbose=0), small_model.predict(images, verbose=0)
    )


def test_an_old_preset_is_replaced_and_other_folders_are_not(
    small_model, folder, tmp_path
):
    small_model.save_to_preset(folder, {"description": "second"})
    assert FACNN.from_preset(folder).preset_metadata["description"] == "second"
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="`directory` must be.*Received"):
        small_model.save_to_preset(folder)
    assert (folder / "thesis.tex").read_text() == "years of work"
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="`directory` must be.*Received"):
        small_model.save_to_preset(tmp_path / "file")


@pytest.mark.parametrize(
    "bad, message",
    [
        ({"metadata": {"class_names": ["one"]}}, "`class_names`.*4 strings"),
        ({"metadata": {"description": {1, 2}}}, "JSON"),
        ({"weights_dtype": "int8"}, "`weights_dtype` must be.*int8"),
    ],
)
def test_a_save_that_fails_leaves_nothing(small_model, tmp_path, bad, message):
    with pytest.raises((ValueError, TypeError), match=message):
        small_model.save_to_preset(tmp_path / "p", **bad)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_float16_cannot_hold_are_not_saved(small_model, tmp_path):
    small_model.get_layer("norm_1").moving_variance.assign(np.full(8, 1e6))
    with pytest.raises(ValueError, match="not finite as float16"):
        small_model.save_to_preset(tmp_path / "p", weights_dtype="float16")
    assert list(tmp_path.iterdir()) == []


# --- Overrides ---


@pytest.mark.parametrize("value", ["no", 1, None])
def test_load_weights_is_true_or_false(folder, value):
    with pytest.raises(ValueError, match="`load_weights` must be True or Fa"):
        FACNN.from_preset(folder, load_weights=value)


def test_without_weights_any_argument_may_change(folder):
    model = FACNN.from_preset(
        folder, load_weights=False, depths=(2, 2), num_classes=7
    )
    assert model.num_layers == 4
    assert model.num_classes == 7


def test_with_weights_the_architecture_stays(folder):
    with pytest.raises(ValueError, match="load_weights=False.*depths"):
        FACNN.from_preset(folder, depths=(2, 1))
    with pytest.raises(ValueError, match="channels.*Received: image_shape"):
        FACNN.from_preset(folder, image_shape=(16, 16, 1))
    with pytest.raises(ValueError, match="`num_classes` must be"):
        FACNN.from_preset(folder, num_classes=0)
    with pytest.raises(ValueError, match="`image_shape` must be"):
        FACNN.from_preset(folder, image_shape=None)


def test_images_of_another_size(small_model, folder, images):
    model = FACNN.from_preset(folder, image_shape=(None, None, 3))
    np.testing.assert_allclose(
        model.predict(images, verbose=0),
        small_model.predict(images, verbose=0),
        rtol=1e-5,
    )
    assert model.class_maps(images[:, :12, :8]).shape == (5, 3, 2, 4)


def test_transfer_keeps_every_weight_that_fits(small_model, folder, images):
    """With 2 classes instead of 4, each stage keeps its width."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model = FACNN.from_preset(folder, num_classes=2)
    assert model.maps_per_class == (4, 8)
    old = small_model.predict_with_maps(images)
    new = model.predict_with_maps(images)
    # The maps are the old ones, divided among the new classes.
    np.testing.assert_allclose(
        new[1][..., 0], old[1][..., :2].mean(-1), rtol=1e-5
    )
    np.testing.assert_allclose(new[0][:, 1], old[0][:, 2:].mean(-1), rtol=1e-5)
    assert "class_names" not in model.preset_metadata


def test_transfer_drops_metadata_of_the_old_classes(small_model, tmp_path):
    said = {
        "description": "Tells ants, bees, cats and dogs apart.",
        "class_names": ["ant", "bee", "cat", "dog"],
        "dataset": {"name": "Theirs", "license": "Research alone"},
        "license": "MIT",
        "metrics": {"top_1": 0.9},
    }
    small_model.save_to_preset(tmp_path / "theirs", said)
    model = FACNN.from_preset(tmp_path / "theirs", num_classes=2)
    model.save_to_preset(tmp_path / "mine", {"class_names": ["yes", "no"]})
    record = FACNN.from_preset(tmp_path / "mine").preset_metadata
    assert record["class_names"] == ["yes", "no"]
    assert not {"description", "dataset", "license", "metrics"} & set(record)
    # The origin and the license of the weights are kept.
    before = record["transferred_from"]
    assert {name: before[name] for name in said} == said


def test_transfer_to_as_many_classes_drops_the_old_names(small_model, tmp_path):
    names = ["ant", "bee", "cat", "dog"]
    small_model.save_to_preset(tmp_path / "theirs", {"class_names": names})
    model = FACNN.from_preset(tmp_path / "theirs", num_classes=4)
    assert model.class_names is None
    for mine, theirs in zip(
        model.get_weights(), small_model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)
    model.save_to_preset(tmp_path / "mine")
    record = FACNN.from_preset(tmp_path / "mine").preset_metadata
    assert "class_names" not in record
    assert record["transferred_from"]["class_names"] == names
    # Without the argument, the classes stay.
    assert FACNN.from_preset(tmp_path / "theirs").class_names == names


def test_transfer_says_how_much_was_cut_or_extended(folder, images):
    source = FACNN.from_preset(folder)
    with pytest.warns(UserWarning, match="cut or extended") as warnings:
        model = FACNN.from_preset(folder, num_classes=3)
    messages = [str(w.message) for w in warnings]
    (message,) = [m for m in messages if "does not divide" in m]
    assert len(message) < 400 + len(str(folder))
    # 4 classes of 2 and 4 maps become 3 classes of 3 and 6.
    assert model.maps_per_class == (3, 6)
    widths = [(8, 8, 9, 9), (16, 16, 18, 18), (16, 16, 18, 18)]
    kept = sum(9 * a * b + 3 * b for a, b, _, _ in widths) + 1
    total = sum(9 * a * b + 3 * b for _, _, a, b in widths) + 1
    assert f" {kept / total:.1%} of the new model's values are from" in message
    assert "12 of 13 weights were cut or extended at their ends" in message
    for level, width in ((1, 8), (2, 16), (3, 16)):
        name = f"conv_{level}"
        old = ops.convert_to_numpy(source.get_layer(name).kernel)
        new = ops.convert_to_numpy(model.get_layer(name).kernel)
        np.testing.assert_array_equal(new[:, :, :width, :width], old)
    model.compile(
        "adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    model.fit(images, np.array([0, 1, 2, 0, 1]), verbose=0)
    assert np.isfinite(model.predict(images, verbose=0)).all()


def test_bundled_presets_are_complete():
    assert "cifar10" in FACNN.presets
    for name, metadata in FACNN.presets.items():
        model = FACNN.from_preset(name)
        assert model.preset_metadata == metadata
        assert model.count_params() == metadata["parameters"]
        for key in (
            "description",
            "class_names",
            "dataset",
            "license",
            "training",
            "metrics",
        ):
            assert metadata[key], (name, key)


@pytest.mark.parametrize("name", FACNN.presets)
def test_the_maps_of_a_bundled_preset_differ_by_class(name):
    """If all classes had the same maps, the mean logit would be the largest."""
    pytest.importorskip("PIL")
    model = FACNN.from_preset(name)
    photos = load_images(sorted(SAMPLES.rglob("*.jpg")), model)
    logits = model.predict(photos, verbose=0)
    assert logits.mean() < 0.55 * logits.max(axis=-1).mean()


def test_copies_of_a_preset_are_presets(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    FACNN.from_preset(str(tmp_path / "copy"))
