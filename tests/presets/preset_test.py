import gzip
import hashlib
import json
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
from keras_facnn.presets import weights as preset_weights
from tests.size_test import BOMBS

NAMES = ["ant", "bee", "cat", "dog"]
SAMPLES = pathlib.Path(__file__).parents[2] / "samples"


def weights(model):
    return [ops.convert_to_numpy(w) for w in model.weights]


def edit(path, **changes):
    """Changes or, for None, drops keys of a JSON file, and signs metadata."""
    value = json.loads(path.read_bytes())
    value.update(changes)
    value = {k: v for k, v in value.items() if v is not None}
    if path.name == "metadata.json":
        sign(value)
    path.write_bytes((json.dumps(value, indent=2) + "\n").encode())


def sign(metadata):
    """By the definition, written a second time."""
    metadata.pop("sha256", None)
    rest = json.dumps(metadata, sort_keys=True, separators=(",", ":"))
    metadata["sha256"] = hashlib.sha256(rest.encode("ascii")).hexdigest()


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


# --- Damage ---


def test_a_flipped_byte_is_noticed(folder):
    path = folder / "model.weights.h5"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="sha256 should be .* Received"):
        FACNN.from_preset(folder)


def test_a_truncated_file_is_noticed(folder):
    path = folder / "model.weights.h5"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="sha256 should be .* Received"):
        FACNN.from_preset(folder)


@pytest.mark.parametrize(
    "name", ["config.json", "metadata.json", "model.weights.h5"]
)
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"lacks {name}"):
        FACNN.from_preset(folder)


@pytest.mark.parametrize("name", ["config.json", "metadata.json"])
@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"[]",
        b"",
        b"\xff\xfe{\x00}\x00",
        b'{"\xe4": 1}',
        b"[" * 100_000,
        b'{"x":' * 100_000,
        b'{"x": ' + b"9" * 5000 + b"}",
        gzip.compress(b"{}"),
    ],
    ids=range(9),
)
def test_json_that_is_none_is_named(folder, name, text):
    (folder / name).write_bytes(text)
    with pytest.raises(ValueError, match=f"{name} of the preset.*JSON"):
        FACNN.from_preset(folder)


def change_weights(folder, change):
    """Edits the weights and signs them anew."""
    with h5py.File(folder / "model.weights.h5", "r+") as file:
        change(file)
    resign(folder)


def resign(folder):
    for part, name in (
        ("config", "config.json"),
        ("weights", "model.weights.h5"),
    ):
        sha256 = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        edit(folder / "metadata.json", **{part: {"sha256": sha256}})


def first_dataset(file):
    names = []
    file.visititems(
        lambda name, x: (
            names.append(name) if isinstance(x, h5py.Dataset) else None
        )
    )
    return names[0]


def test_a_missing_weight_is_no_random_weight(folder):
    def drop(file):
        del file[first_dataset(file)]

    change_weights(folder, drop)
    with pytest.raises(ValueError, match="do not fit its config"):
        FACNN.from_preset(folder)


@pytest.mark.parametrize("how", ["link", "storage", "virtual", "empty"])
def test_weights_may_not_point_out_of_the_file(folder, tmp_path, how):
    with h5py.File(tmp_path / "secret.h5", "w") as secret:
        secret["x"] = np.zeros(10_000, "float32")

    def hide(file):
        name = first_dataset(file)
        shape = file[name].shape
        del file[name]
        if how == "link":
            file[name] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "x")
        elif how == "storage":
            size = 4 * int(np.prod(shape))
            file.create_dataset(
                name, shape, "f4", external=[(tmp_path / "secret.h5", 0, size)]
            )
        elif how == "virtual":
            layout = h5py.VirtualLayout(shape, "f4")
            file.create_virtual_dataset(name, layout)
        else:
            file[name] = h5py.Empty("f4")

    change_weights(folder, hide)
    with pytest.raises(ValueError, match="(is a link|holds no values)"):
        FACNN.from_preset(folder)


def rewrite(change):
    """Rewrites the first weight of a file, with options of h5py."""

    def rewritten(file):
        name = first_dataset(file)
        value = file[name][...]
        del file[name]
        value, options = change(value)
        file.create_dataset(name, data=value, **options)

    return rewritten


def in_itself(file):
    file["loop"] = file["/"]


def twice(file):
    """As many values as before, with one missing."""
    names = []
    file.visititems(
        lambda name, x: (
            names.append(name) if isinstance(x, h5py.Dataset) else None
        )
    )
    a, b = next(
        (a, b)
        for a in names
        for b in names
        if a < b and file[a].shape == file[b].shape
    )
    del file[b]
    file[b] = file[a]


def deep(file):
    group = file
    for _ in range(3000):
        group = group.create_group("g")


def named_type(file):
    file["type"] = np.dtype("f4")


@pytest.mark.parametrize(
    "change, message",
    [
        (in_itself, "is in the file twice"),
        (twice, "is in the file twice"),
        (named_type, "is no weight"),
        *[
            (rewrite(lambda v, t=t: (v.astype(t), {})), "not float16 or")
            for t in ("int32", "uint8", "bool", "complex64", "float64", ">f4")
        ],
        (rewrite(lambda v: (v.astype("S8"), {})), "not float16 or"),
        (rewrite(lambda v: (v, {"compression": "gzip"})), "compressed"),
        (rewrite(lambda v: (v * np.nan, {})), "not finite"),
        (rewrite(lambda v: (np.full_like(v, np.inf), {})), "not finite"),
    ],
    ids=range(13),
)
def test_weights_are_plain_finite_floats(folder, change, message):
    change_weights(folder, change)
    with pytest.raises(ValueError, match=f"do not fit its config.*{message}"):
        FACNN.from_preset(folder)


def test_no_depth_of_groups_is_too_deep_to_count(small_model, folder):
    change_weights(folder, deep)
    path = folder / "model.weights.h5"
    preset_weights.check_file(path, small_model.count_params(), "p")
    with pytest.raises(ValueError, match="larger than it can be.*Received"):
        FACNN.from_preset(folder)


@pytest.mark.parametrize(
    "layer, name, value, message",
    [
        ("norm_1", "moving_variance", -1.0, "negative"),
        ("head", "log_scale", 1000.0, "too large"),
    ],
)
def test_weights_that_compute_nothing_are_refused(
    small_model, tmp_path, folder, layer, name, value, message
):
    variable = getattr(small_model.get_layer(layer), name)
    variable.assign(np.full(variable.shape, value))
    with pytest.raises(ValueError, match=f"{message}.*nothing was saved"):
        small_model.save_to_preset(tmp_path / "q")
    small_model.save_weights(folder / "model.weights.h5")
    resign(folder)
    with pytest.raises(ValueError, match=f"do not fit its config.*{message}"):
        FACNN.from_preset(folder)


@pytest.mark.parametrize("content", [b"", b"x" * 10_000, b"\x89HDF\r\n\x1a\n"])
def test_weights_that_are_no_hdf5_are_refused(folder, content):
    (folder / "model.weights.h5").write_bytes(content)
    resign(folder)
    with pytest.raises(ValueError, match="do not fit its config"):
        FACNN.from_preset(folder)


def test_garbled_hdf5_is_one_clear_error(folder, rng):
    path = folder / "model.weights.h5"
    content = path.read_bytes()
    refused = 0
    for _ in range(40):
        garbled = bytearray(content)
        # The front, where the structure lies.
        for at in rng.integers(0, 4000, 20):
            garbled[at] = rng.integers(256)
        path.write_bytes(garbled)
        resign(folder)
        try:
            FACNN.from_preset(folder)
        except ValueError as e:
            assert str(folder) in str(e)
            refused += 1
    assert refused


def test_a_file_larger_than_the_config_allows_is_not_read(folder):
    with open(folder / "model.weights.h5", "r+b") as file:
        file.truncate(2**34)
    with pytest.raises(ValueError, match="larger than it can be.*Received"):
        FACNN.from_preset(folder)


@pytest.mark.parametrize("load_weights", [True, False])
@pytest.mark.parametrize("bomb, message", BOMBS)
def test_a_config_that_would_eat_the_machine_is_refused(
    folder, bomb, message, load_weights
):
    change_config(folder, bomb)
    resign(folder)
    with pytest.raises(ValueError, match=f"config of the preset.*{message}"):
        FACNN.from_preset(folder, load_weights=load_weights)


@pytest.mark.parametrize("name", ["batch_norm_gain", "synchronized_batch_norm"])
@pytest.mark.parametrize("value", ["no", 0, None])
def test_switches_are_true_or_false(folder, name, value):
    change_config(folder, {name: value})
    resign(folder)
    with pytest.raises(ValueError, match=f"`{name}`.*true or false.*Received"):
        FACNN.from_preset(folder)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"class_name": "Custom>ResNet"}, "must be of an FA-CNN.*ResNet"),
        ({"class_name": None}, "must be of an FA-CNN.*None"),
        ({"config": None}, "Missing:.*num_classes"),
        ({"config": {"num_classes": 4, "layers": []}}, "Unknown:.*layers"),
    ],
)
def test_a_config_of_another_model_is_refused(folder, changes, message):
    edit(folder / "config.json", **changes)
    with pytest.raises(ValueError, match=message):
        FACNN.from_preset(folder)


def change_config(folder, changes):
    config = json.loads((folder / "config.json").read_text())["config"]
    edit(folder / "config.json", config={**config, **changes})


@pytest.mark.parametrize(
    "changes", [{"depths": [2, 1]}, {"depths": [1, 1]}, {"depths": [1, 3]}]
)
def test_weights_of_another_architecture_are_refused(folder, changes):
    change_config(folder, changes)
    resign(folder)
    with pytest.raises(ValueError, match="do not fit its config"):
        FACNN.from_preset(folder)


@pytest.mark.parametrize("changes", [{"space_to_depth": 1}, {"alpha": 0.9}])
def test_a_config_that_was_changed_is_noticed(folder, changes):
    """The weights would fit these, and mean something else."""
    change_config(folder, changes)
    with pytest.raises(ValueError, match="config.json.*sha256 should be"):
        FACNN.from_preset(folder)


@pytest.mark.parametrize(
    "changes", [{"image_shape": None}, {"num_classes": "ten"}, {"depths": 3}]
)
def test_a_config_that_builds_nothing_is_named(folder, changes):
    change_config(folder, changes)
    resign(folder)
    edit(folder / "metadata.json", class_names=None)
    with pytest.raises(ValueError, match="config of the preset.*Received"):
        FACNN.from_preset(folder)


@pytest.mark.parametrize(
    "value", [None, {}, {"sha256": 3}, {"sha256": "../../etc/passwd"}]
)
@pytest.mark.parametrize("part", ["config", "weights"])
def test_metadata_without_a_hash_are_refused(folder, part, value):
    edit(folder / "metadata.json", **{part: value})
    with pytest.raises(ValueError, match=f"SHA-256 of the {part}"):
        FACNN.from_preset(folder)


@pytest.mark.parametrize(
    "handle",
    [
        "no_such_preset", "../presets", "", 3, None, "ftp://host/p", b"cifar10",
        "x" * 5000, "a\0b", "a\0b/c", "~nobody_here/p",
    ],
)  # fmt: skip
def test_unknown_handles_say_what_there_is(handle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="(preset|hf://user/repo).*") as e:
        FACNN.from_preset(handle)
    assert "https://" in str(e.value)


# --- Overrides ---


@pytest.mark.parametrize("value", ["no", 1, None])
def test_load_weights_is_true_or_false(folder, value):
    with pytest.raises(ValueError, match="`load_weights` must be True or Fa"):
        FACNN.from_preset(folder, load_weights=value)


def test_without_weights_anything_may_change(folder):
    model = FACNN.from_preset(
        folder, load_weights=False, depths=(2, 2), num_classes=7
    )
    assert model.num_layers == 4
    assert model.num_classes == 7


def test_with_weights_the_architecture_stays(folder):
    with pytest.raises(ValueError, match="load_weights=False.*depths"):
        FACNN.from_preset(folder, depths=(2, 1))
    with pytest.raises(ValueError, match="`overrides` must be.*colour"):
        FACNN.from_preset(folder, colour="red")
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
    """With 2 classes for 4, each stage is as wide as before."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model = FACNN.from_preset(folder, num_classes=2)
    assert model.maps_per_class == (4, 8)
    old = small_model.predict_with_maps(images)
    new = model.predict_with_maps(images)
    # The maps are those of before, shared out anew.
    np.testing.assert_allclose(
        new[1][..., 0], old[1][..., :2].mean(-1), rtol=1e-5
    )
    np.testing.assert_allclose(new[0][:, 1], old[0][:, 2:].mean(-1), rtol=1e-5)
    assert "class_names" not in model.preset_metadata


def test_transfer_says_nothing_of_the_old_classes(small_model, tmp_path):
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
    # Where the weights come from, and on what terms, stays said.
    before = record["transferred_from"]
    assert {name: before[name] for name in said} == said


def test_transfer_says_which_weights_were_cut_or_extended(folder, images):
    source = FACNN.from_preset(folder)
    with pytest.warns(
        UserWarning, match=r"conv_2/kernel \(3, 3, 16, 16\)->"
    ) as warnings:
        model = FACNN.from_preset(folder, num_classes=3)
    messages = [str(w.message) for w in warnings]
    (message,) = [m for m in messages if "does not divide" in m]
    assert len(message) < 400 + len(str(folder))
    # 4 classes of 2 and 4 maps become 3 classes of 3 and 6.
    assert model.maps_per_class == (3, 6)
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
def test_the_maps_of_a_bundled_preset_tell_classes_apart(name):
    """Where all classes have the same maps, the mean logit is the largest."""
    pytest.importorskip("PIL")
    model = FACNN.from_preset(name)
    photos = load_images(sorted(SAMPLES.rglob("*.jpg")), model)
    logits = model.predict(photos, verbose=0)
    assert logits.mean() < 0.55 * logits.max(axis=-1).mean()


def test_copies_of_a_preset_are_presets(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    FACNN.from_preset(str(tmp_path / "copy"))
