"""Damaged, truncated, forged and wrong presets are refused.

This depends on HDF5, JSON and Keras, and not on the backend. The tests run on
JAX, on which `make test-floor` runs them with the oldest Keras.
"""

import gzip
import hashlib
import json

import h5py
import numpy as np
import pytest

from keras_facnn import FACNN
from keras_facnn.presets import weights as preset_weights
from tests.architecture.architecture_test import BOMBS

pytestmark = pytest.mark.only_on("jax")


def edit(path, **changes):
    """Change keys of a JSON file, or drop them for None, and sign metadata."""
    value = json.loads(path.read_bytes())
    value.update(changes)
    value = {k: v for k, v in value.items() if v is not None}
    if path.name == "metadata.json":
        sign(value)
    path.write_bytes((json.dumps(value, indent=2) + "\n").encode())


def sign(metadata):
    """Sign by the definition of the format, written a second time."""
    metadata.pop("sha256", None)
    rest = json.dumps(metadata, sort_keys=True, separators=(",", ":"))
    metadata["sha256"] = hashlib.sha256(rest.encode("ascii")).hexdigest()


@pytest.fixture
def folder(small_model, tmp_path):
    small_model.save_to_preset(tmp_path / "p")
    return tmp_path / "p"


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
def test_names_a_file_that_is_no_json(folder, name, text):
    (folder / name).write_bytes(text)
    with pytest.raises(ValueError, match=f"{name} of the preset.*JSON"):
        FACNN.from_preset(folder)


def change_weights(folder, change):
    """Edit the weights and sign them again."""
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


def test_a_missing_weight_is_not_replaced_by_a_random_one(folder):
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
    """Rewrite the first weight of a file, with options of h5py."""

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
    """Return as many values as before, with one missing."""
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
        (named_type, "is not a weight"),
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


def test_groups_of_any_depth_are_counted(small_model, folder):
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
def test_refuses_weights_that_compute_nothing(
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
        # The beginning of the file, which has its structure.
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
def test_refuses_a_config_that_needs_too_much_memory(
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
    """The weights would fit the new config, but mean something else."""
    change_config(folder, changes)
    with pytest.raises(ValueError, match="config.json.*sha256 should be"):
        FACNN.from_preset(folder)


@pytest.mark.parametrize(
    "changes", [{"image_shape": None}, {"num_classes": "ten"}, {"depths": 3}]
)
def test_a_config_that_builds_nothing_is_named(folder, changes):
    change_config(folder, changes)
    resign(folder)
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
def test_an_unknown_handle_lists_what_exists(handle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="(preset|hf://user/repo).*") as e:
        FACNN.from_preset(handle)
    assert "https://" in str(e.value)
