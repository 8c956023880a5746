"""The metadata of a preset are kept, checked and signed."""

import copy
import hashlib
import json
import pickle

import keras
import numpy as np
import pytest

from keras_facnn import FACNN

NAMES = ["ant", "bee", "cat", "dog"]
METADATA = {
    "class_names": NAMES,
    "description": "Vier Tiere, \u732b",
    "dataset": {"name": "animals", "license": "CC0"},
    "license": "Apache-2.0",
    "training": {"epochs": 3},
    "metrics": {"top_1": 0.5},
}
WITHOUT_METRICS = {k: v for k, v in METADATA.items() if k != "metrics"}


@pytest.fixture
def folder(small_model, tmp_path):
    small_model.save_to_preset(tmp_path / "p", METADATA)
    return tmp_path / "p"


def said(model):
    """Return a user's part of a model's metadata."""
    return {
        k: v for k, v in (model.preset_metadata or {}).items() if k in METADATA
    }


def saved_again(model, folder, metadata=None, **options):
    model.save_to_preset(folder.parent / "q", metadata, **options)
    return said(FACNN.from_preset(folder.parent / "q"))


# --- Kept ---


def test_saving_again_keeps_metadata(folder):
    model = FACNN.from_preset(folder)
    assert saved_again(model, folder) == METADATA
    assert saved_again(model, folder, {"license": "MIT"}) == {
        **METADATA,
        "license": "MIT",
    }
    # A user may also pass the metadata on.
    assert saved_again(model, folder, dict(model.preset_metadata)) == METADATA


def test_metrics_are_of_their_weights(folder):
    model = FACNN.from_preset(folder)
    assert (
        saved_again(model, folder, weights_dtype="float16") == WITHOUT_METRICS
    )
    assert saved_again(model, folder, {"metrics": {"top_1": 1}}) == {
        **METADATA,
        "metrics": {"top_1": 1},
    }
    other = FACNN.from_preset(folder, image_shape=(None, None, 3))
    assert saved_again(other, folder) == WITHOUT_METRICS


@pytest.mark.parametrize("overrides", [{}, {"image_shape": (8, 8, 3)}])
def test_weights_that_were_trained_on_get_a_new_record(
    folder, tmp_path, overrides
):
    """Of the old record, only the license stays; all of it is the origin."""
    model = FACNN.from_preset(folder, **overrides)
    kernel = model.get_layer("conv_1").kernel
    kernel.assign_add(np.full(kernel.shape, 1e-6))
    names = {"class_names": ["w", "x", "y", "z"]}
    for twin in (model, model.fuse()):
        twin.save_to_preset(tmp_path / "q", names)
        record = FACNN.from_preset(tmp_path / "q").preset_metadata
        assert record["license"] == METADATA["license"]
        assert record["class_names"] == names["class_names"]
        assert not {"description", "dataset", "training", "metrics"} & set(
            record
        )
        assert record["transferred_from"] == METADATA
    mine = {**names, "description": "Mine.", "training": {"epochs": 1}}
    assert saved_again(model, folder, mine) == {
        **mine,
        "license": METADATA["license"],
    }


def test_metrics_of_float16_weights_are_kept(small_model, tmp_path):
    small_model.save_to_preset(tmp_path / "p", METADATA, "float16")
    model = FACNN.from_preset(tmp_path / "p")
    assert saved_again(model, tmp_path / "p", weights_dtype="float16") == (
        METADATA
    )


def copied(model, how, tmp_path):
    if how == "pickle":
        return pickle.loads(pickle.dumps(model))
    if how == "deepcopy":
        return copy.deepcopy(model)
    if how == "keras":
        model.save(tmp_path / "m.keras")
        return keras.saving.load_model(tmp_path / "m.keras")
    return FACNN.from_config(model.get_config())


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("how", ["pickle", "deepcopy", "keras"])
def test_copies_know_whether_they_were_trained_on(folder, tmp_path, how, when):
    model = FACNN.from_preset(folder)
    twin = copied(model, how, tmp_path)
    assert saved_again(twin, folder) == WITHOUT_METRICS
    trained = model if when == "before" else twin
    kernel = trained.get_layer("conv_1").kernel
    kernel.assign_add(np.full(kernel.shape, 1e-6))
    if when == "before":
        twin = copied(copied(model, how, tmp_path), how, tmp_path)
    twin.save_to_preset(tmp_path / "q")
    record = FACNN.from_preset(tmp_path / "q").preset_metadata
    assert not {"description", "dataset", "training", "metrics"} & set(record)
    assert record["transferred_from"] == WITHOUT_METRICS


def test_fused_weights_do_not_count_as_trained_on(folder, tmp_path):
    fused = FACNN.from_preset(folder).fuse()
    assert saved_again(fused, folder) == WITHOUT_METRICS
    assert saved_again(fused.fuse(), folder) == WITHOUT_METRICS
    assert (
        saved_again(copied(fused, "keras", tmp_path), folder) == WITHOUT_METRICS
    )


@pytest.mark.parametrize("how", ["pickle", "deepcopy", "keras", "config"])
def test_copies_keep_the_class_names(folder, tmp_path, how):
    model = FACNN.from_preset(folder)
    twin = copied(model, how, tmp_path)
    assert said(twin) == WITHOUT_METRICS
    # The metadata belong to the model, not to its architecture.
    twin.save_to_preset(tmp_path / "q")
    config = (tmp_path / "q" / "config.json").read_bytes()
    assert config == (folder / "config.json").read_bytes()


def test_models_without_metadata_have_none_in_their_config(small_model):
    assert "preset_metadata" not in small_model.get_config()
    assert copy.deepcopy(small_model).preset_metadata is None


# --- Checked ---


@pytest.mark.parametrize("names", [tuple(NAMES), np.array(NAMES)])
def test_class_names_may_be_any_sequence(small_model, tmp_path, names):
    small_model.save_to_preset(tmp_path / "p", {"class_names": names})
    loaded = FACNN.from_preset(tmp_path / "p")
    assert loaded.preset_metadata["class_names"] == NAMES


@pytest.mark.parametrize(
    "names",
    [
        NAMES[:3],
        ["ant", "bee", "cat", "cat"],
        ["ant", "bee", "cat", ""],
        ["ant", "bee", "cat", " "],
        ["ant", "bee", "cat", 4],
        "four",
    ],
)
def test_class_names_must_differ(small_model, tmp_path, names):
    with pytest.raises(ValueError, match="`class_names`.*4 strings.*Received"):
        small_model.save_to_preset(tmp_path / "p", {"class_names": names})
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="`class_names` in `preset_metadata`"):
        small_model.preset_metadata = {"class_names": names}
    assert small_model.preset_metadata is None


def test_metadata_become_json_types_when_set(small_model, images):
    small_model.preset_metadata = {"class_names": np.array(NAMES), "n": 1}
    assert small_model.preset_metadata == {"class_names": NAMES, "n": 1}
    assert small_model.explain(images[:1], "cat").name_of(3) == "dog"
    for wrong in ("ant", ["ant"], 5, {"n": object()}, {3: "ant"}):
        with pytest.raises(ValueError, match="must be .*dict that JSON can"):
            small_model.preset_metadata = wrong
    small_model.preset_metadata = None
    assert small_model.class_names is None


@pytest.mark.parametrize(
    "names", [["a", "a", "b", "c"], ["a", "b", "c", "\ud800"]]
)
def test_class_names_are_checked_in_loading(folder, names):
    """This also holds for metadata that someone else signed."""
    write(folder, {**read(folder), "class_names": names})
    with pytest.raises(ValueError, match="`class_names`.*metadata.json"):
        FACNN.from_preset(folder)


def loop():
    value = {}
    value["self"] = value
    return value


@pytest.mark.parametrize(
    "value, where",
    [
        ({1, 2}, "metadata['x']"),
        ({"y": [0, b"bytes"]}, "metadata['x']['y'][1]"),
        ({3: "three"}, "metadata['x'][3]"),
        (float("nan"), "metadata['x']"),
        (np.float32("inf"), "metadata['x']"),
        (10**5000, "metadata['x']"),
        ("\ud800", "metadata['x']"),
        (loop(), "metadata['x']['self']"),
        (np.array([object()]), "metadata['x'][0]"),
    ],
    ids=range(9),
)
def test_what_json_cannot_hold_is_named(small_model, tmp_path, value, where):
    with pytest.raises(ValueError, match="`metadata` .*JSON.*Received") as e:
        small_model.save_to_preset(tmp_path / "p", {"x": value})
    assert where in str(e.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("metadata", [["a"], "text", {"a"}, b"b", 3])
def test_metadata_must_be_a_dict(small_model, tmp_path, metadata):
    with pytest.raises(ValueError, match="`metadata` must be a dict.*Received"):
        small_model.save_to_preset(tmp_path / "p", metadata)


def test_numpy_scalars_become_numbers(small_model, tmp_path):
    small_model.save_to_preset(
        tmp_path / "p",
        {"metrics": {"a": np.float32(0.5), "b": np.int64(3), "c": np.eye(2)}},
    )
    loaded = FACNN.from_preset(tmp_path / "p")
    assert loaded.preset_metadata["metrics"] == {
        "a": 0.5,
        "b": 3,
        "c": [[1.0, 0.0], [0.0, 1.0]],
    }


@pytest.mark.parametrize("key", ["weights", "parameters", "sha256", "format"])
def test_the_writers_keys_are_refused(small_model, tmp_path, key):
    with pytest.raises(ValueError, match=rf"`metadata`.*Received: \['{key}'\]"):
        small_model.save_to_preset(tmp_path / "p", {key: "mine"})


# --- Signed ---


def read(folder):
    return json.loads((folder / "metadata.json").read_bytes())


def write(folder, metadata, signed=True):
    """Write metadata by the definition of the format, written a second time."""
    rest = {k: v for k, v in metadata.items() if k != "sha256"}
    if signed:
        canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(canonical.encode("ascii")).hexdigest()
        rest["sha256"] = digest
    text = json.dumps(rest, indent=2) + "\n"
    (folder / "metadata.json").write_bytes(text.encode("ascii"))


def flipped(content, bits):
    """Yield a file's content with one bit flipped, for each of some bits."""
    for bit in bits:
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        yield bit, bytes(damaged)


BACKENDS = ["tensorflow", "jax", "torch"]


@pytest.mark.parametrize(
    "name, stride",
    [("metadata.json", 1), ("config.json", 7), ("model.weights.h5", 9973)],
)
def test_every_flipped_bit_is_refused(folder, name, stride, monkeypatch):
    # Other tests show that a preset loads. Here, no preset may get that far.
    class Built(Exception):
        pass

    def build(*args, **kwargs):
        raise Built

    path = folder / name
    content = path.read_bytes()
    if name == "model.weights.h5":
        monkeypatch.setattr("keras_facnn.presets.weights.check_file", build)
    else:
        monkeypatch.setattr("keras_facnn.presets.load._build", build)
    with pytest.raises(Built):
        FACNN.from_preset(folder)
    bits = range(0, 8 * len(content), stride)
    if stride == 1:
        # The result does not depend on the backend, so each tests a part.
        bits = bits[BACKENDS.index(keras.backend.backend()) :: len(BACKENDS)]
    for bit, damaged in flipped(content, bits):
        path.write_bytes(damaged)
        try:
            FACNN.from_preset(folder)
        except ValueError:
            continue
        except Built:
            pass
        pytest.fail(f"bit {bit} of {name}, {damaged[bit // 8 - 20 :][:40]}")


def test_presets_of_the_old_format_load(folder):
    metadata = read(folder)
    del metadata["format"], metadata["sha256"]
    write(folder, metadata, signed=False)
    assert said(FACNN.from_preset(folder)) == METADATA


@pytest.mark.parametrize("key", ["format", "sha256"])
def test_a_signature_cannot_be_left_out_in_part(folder, key):
    metadata = read(folder)
    del metadata[key]
    (folder / "metadata.json").write_text(json.dumps(metadata, indent=2))
    with pytest.raises(ValueError, match="metadata.json.*damaged"):
        FACNN.from_preset(folder)


def test_a_later_format_needs_a_newer_version(folder):
    write(folder, {**read(folder), "format": 3})
    with pytest.raises(ValueError, match="format 3.*newer version"):
        FACNN.from_preset(folder)
