"""Exported files, run without Keras, answer as the model does."""

import dataclasses
import hashlib
import json
import pathlib
import typing

import keras
import numpy as np
import pytest

import keras_facnn
from keras_facnn import FACNN
from keras_facnn.cli.main import main
from keras_facnn.export import formats as formats_module
from keras_facnn.export import methods
from keras_facnn.export.formats import FORMATS
from keras_facnn.export.formats import FormatName
from tests.export.running import RUN
from tests.export.running import facts_in
from tests.export.running import run_onnx

BACKEND = keras.backend.backend()
NAMES = ["ant", "bee", "cat", "dog"]
SAMPLES = ["samples/cat.jpg", "samples/clothing/dress.jpg"]


def formats(test):
    able = [n for n, f in FORMATS.items() if BACKEND in f.backends]
    return pytest.mark.parametrize("name", able)(test)


def assert_same(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)
    pairs = found.ravel(), np.asarray(expected).ravel()
    assert np.corrcoef(*pairs)[0, 1] > 0.9999


@formats
def test_the_file_gives_logits_and_maps(small_model, images, tmp_path, name):
    small_model.preset_metadata = {"class_names": NAMES, "license": "CC0"}
    path = tmp_path / f"m{FORMATS[name].ending}"
    small_model.export(path, layers=(2, 3), verbose=False)
    before = {p.name for p in tmp_path.iterdir()}
    beside = {"openvino": {"m.bin", "m.xml.json"}, "tf_saved_model": set()}
    assert before == {path.name} | beside.get(name, {path.name + ".json"})
    for batch in (images[:1], images):
        found = RUN[name](path, batch.astype("float32"))
        assert sorted(found) == ["class_maps", "class_maps_2", "logits"]
        logits, maps = small_model.predict_with_maps(batch)
        assert_same(found["logits"], logits)
        assert_same(found["class_maps"], maps)
        assert_same(
            found["class_maps_2"], small_model.class_maps(batch, layer=2)
        )
    facts = facts_in(name, path)
    assert facts["class_names"] == NAMES
    assert facts["license"] == "CC0"
    assert facts["probabilities"] == "softmax"
    logit = facts["scale"] * maps[0, ..., 1].mean()
    assert logit == pytest.approx(logits[0, 1], rel=1e-4)


@formats
def test_the_facts_are_beside_the_file(small_model, tmp_path, name):
    """They are the same as inside it, and name the file by its hash."""
    small_model.preset_metadata = {"class_names": NAMES, "license": "CC0"}
    form = FORMATS[name]
    path = tmp_path / f"m{form.ending}"
    small_model.export(path, layers=(2,), centered=True, verbose=False)
    inside = facts_in(name, path)
    assert inside["maps"] == "centered"
    assert inside["layers"] == [2, 3]
    assert inside["image_shape"] == [16, 16, 3]
    assert inside["fit"] == "crop"
    if form.ending:
        beside = json.loads((tmp_path / f"m{form.ending}.json").read_bytes())
        # The weights of an OpenVINO file are beside it.
        weights = tmp_path / "m.bin"
        data = path.read_bytes()
        data += weights.read_bytes() if name == "openvino" else b""
        sha256 = hashlib.sha256(data).hexdigest()
        assert beside == {**inside, "sha256": sha256}


@formats
def test_a_foreign_file_of_facts_is_kept(small_model, tmp_path, name):
    form = FORMATS[name]
    if not form.ending:
        return
    small_model.export(tmp_path / f"m{form.ending}", verbose=False)
    for content in (b"", b"[]", b'"keras_facnn"', b'{"name": "mine"}'):
        # Beside an export, and where there is none.
        for stem in ("m", "n"):
            facts = tmp_path / f"{stem}{form.ending}.json"
            facts.write_bytes(content)
            with pytest.raises(ValueError, match="json exists, and was not"):
                small_model.export(
                    tmp_path / f"{stem}{form.ending}", verbose=False
                )
            assert facts.read_bytes() == content
    facts = tmp_path / f"m{form.ending}.json"
    # Facts that were written earlier are replaced.
    facts.write_bytes(b'{"keras_facnn": "0.0"}')
    small_model.export(tmp_path / f"m{form.ending}", verbose=False)
    assert json.loads(facts.read_bytes())["layers"] == [3]


def test_the_file_says_that_several_labels_are_of_sigmoids(
    colors_model, tmp_path
):
    name = next(n for n, f in FORMATS.items() if BACKEND in f.backends)
    path = tmp_path / f"m{FORMATS[name].ending}"
    colors_model.export(path, verbose=False)
    assert facts_in(name, path)["probabilities"] == "sigmoid"


@formats
def test_centered_maps_of_a_float16_model_that_is_not_fused(
    images, tmp_path, name
):
    model = FACNN(
        3, (16, 16, 3), (1, 1), (1, 2), space_to_depth=2, dtype="mixed_bfloat16"
    )
    path = tmp_path / f"m{FORMATS[name].ending}"
    model.export(path, centered=True, fuse=False, verbose=False)
    found = RUN[name](path, images.astype("float32"))
    maps = model.class_maps(images, centered=True)
    np.testing.assert_allclose(
        found["class_maps"], maps, atol=0.02 * np.abs(maps).max()
    )
    # Centered exactly, whatever bfloat16 does.
    np.testing.assert_allclose(found["class_maps"].sum(-1), 0, atol=1e-5)


@formats
def test_a_hybrid_is_exported(tmp_path, name):
    backbone = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(6, 3, 2, "same"),
            keras.layers.BatchNormalization(),
            keras.layers.DepthwiseConv2D(3, padding="same"),
            keras.layers.LayerNormalization(),
        ]
    )
    model = FACNN(3, backbone=keras.Model(backbone.inputs, backbone.outputs))
    path = tmp_path / f"m{FORMATS[name].ending}"
    model.export(path, verbose=False)
    images = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3))
    found = RUN[name](path, images.astype("float32"))
    logits, maps = model.predict_with_maps(images)
    np.testing.assert_allclose(found["logits"], logits, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found["class_maps"], maps, rtol=1e-3, atol=1e-3)


# All presets are written in one format. The other formats get one pure preset,
# because all have the same kinds of layers; the hybrid is written once more.
BUNDLED = {
    "tensorflow": [
        ("cifar10", "litert"),
        ("cifar10", "tf_saved_model"),
        ("clothing", "litert"),
    ],
    "jax": [("cifar10", "tf_saved_model")],
    "torch": [
        *((preset, "onnx") for preset in FACNN.presets),
        ("cifar10", "openvino"),
    ],
}[BACKEND]


@pytest.fixture(scope="module")
def bundled(request):
    """A bundled preset's model, images, and its outputs for them."""
    model = FACNN.from_preset(request.param)
    images = keras_facnn.load_images(SAMPLES, model)
    logits, maps = model.predict_with_maps(images)
    outputs = {"logits": logits, "class_maps": maps}
    if model.num_layers:
        outputs["class_maps_1"] = model.class_maps(images, layer=1)
    return model, images, outputs


@pytest.mark.parametrize("bundled, name", BUNDLED, indirect=["bundled"])
def test_bundled_presets_answer_alike_in_every_format(bundled, tmp_path, name):
    model, images, outputs = bundled
    path = tmp_path / f"m{FORMATS[name].ending}"
    layers = (1,) if model.num_layers else ()
    model.export(path, layers=layers, verbose=False)
    found = RUN[name](path, images.astype("float32"))
    assert sorted(found) == sorted(outputs)
    for key, expected in outputs.items():
        assert_same(found[key], expected)
    assert facts_in(name, path)["class_names"] == model.class_names


@pytest.mark.only_on("tensorflow", "torch")
def test_the_command_line_picks_a_backend_that_can(
    small_model, images, tmp_path, capfd
):
    pytest.importorskip("torch")
    preset, path = str(tmp_path / "preset"), tmp_path / "m.onnx"
    small_model.save_to_preset(preset)
    assert main(["export", preset, str(path), "--layer", "2"]) == 0
    assert ("On torch" in capfd.readouterr().err) == (BACKEND != "torch")
    found = run_onnx(path, images.astype("float32"))
    logits, maps = small_model.predict_with_maps(images)
    assert_same(found["logits"], logits)
    assert_same(found["class_maps"], maps)
    assert_same(found["class_maps_2"], small_model.class_maps(images, layer=2))


def test_says_what_cannot_be_written(small_model, tmp_path, monkeypatch):
    for given, message in (
        ({"filepath": tmp_path / "m.pt"}, "must end in one of .onnx"),
        ({"filepath": tmp_path / "m.xml", "format": "onnx"}, "end in .onnx"),
        ({"filepath": tmp_path / "m", "format": "gguf"}, "`format` must be"),
        ({"filepath": ""}, "`filepath` must name.*Received: filepath=''"),
        ({"filepath": ".onnx"}, "`filepath` must name.*Received.*'.onnx'"),
        ({"filepath": tmp_path / ".XML"}, "`filepath` must name a file"),
    ):
        with pytest.raises(ValueError, match=message):
            small_model.export(**given)
    for form in FORMATS.values():
        path = tmp_path / f"m{form.ending}"
        if BACKEND not in form.backends:
            with pytest.raises(RuntimeError, match=f"on {form.backends[0]}"):
                small_model.export(path)
            continue
        with pytest.raises(ValueError, match="`layer` must be an FA layer"):
            small_model.export(path, layers=9)
        with pytest.raises(ValueError, match="`centered` must be True"):
            small_model.export(path, centered="yes")
        with pytest.raises(ValueError, match="there is no folder"):
            small_model.export(tmp_path / "none" / path.name)
        with pytest.raises(
            ValueError, match="`filepath` must be text in UTF-8"
        ):
            small_model.export(tmp_path / ("\udcff" + path.name))
        with pytest.raises(ValueError, match="`filepath` must be a shorter"):
            small_model.export(tmp_path / ("m" * 250 + path.suffix))
        monkeypatch.setattr(
            formats_module, "_is_installed", lambda module: False
        )
        install = rf"pip install '\.\[{form.backends[0]},export\]'"
        with pytest.raises(ImportError, match=install):
            small_model.export(path)
        monkeypatch.undo()
    assert not list(tmp_path.iterdir())


@formats
def test_a_file_that_answers_otherwise_is_not_kept(
    small_model, tmp_path, monkeypatch, name
):
    load = FORMATS[name].load

    def wrong(path):
        function = load(path)
        return lambda x: {k: 1.01 * v for k, v in function(x).items()}

    changed = dataclasses.replace(FORMATS[name], load=wrong)
    monkeypatch.setitem(FORMATS, name, changed)
    path = tmp_path / f"m{FORMATS[name].ending}"
    with pytest.raises(RuntimeError, match="was not kept"):
        small_model.export(path)
    assert not list(tmp_path.iterdir())


@formats
def test_only_files_of_an_export_are_replaced(
    small_model, images, tmp_path, name, monkeypatch
):
    """Other files are kept, and so is an export if a new one is interrupted."""
    form = FORMATS[name]
    # Endings may be in upper case.
    path = tmp_path / f"photo{form.ending.upper()}"
    foreign = path / "saved_model.pb" if not form.ending else path
    if name == "openvino":
        foreign = tmp_path / "photo.bin"
    foreign.parent.mkdir(exist_ok=True)
    for content in (b"", b"mine", b"<net><rt_info/></net>", b"keras_facnn"):
        foreign.write_bytes(content)
        with pytest.raises(ValueError, match="not written by `export`"):
            small_model.export(path)
        assert foreign.read_bytes() == content
    foreign.unlink()
    small_model.export(path, verbose=False)

    def contents():
        return {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    first = contents()
    small_model.get_layer("head").log_scale.assign(1.0)

    def interrupted(graph, format, path, options):
        (path / "part" if path.is_dir() else path).write_bytes(b"part")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(methods, "write_graph", interrupted)
        with pytest.raises(KeyboardInterrupt):
            small_model.export(path)
    assert contents() == first
    small_model.export(path, verbose=False)
    assert contents().keys() == first.keys()
    logits = RUN[name](path, images.astype("float32"))["logits"]
    assert_same(logits, small_model.predict(images, verbose=0))


@formats
def test_models_of_any_size(images, tmp_path, name):
    model = FACNN(3, (None, None, 3), (1, 1), (1, 2), space_to_depth=2)
    form = FORMATS[name]
    path = tmp_path / f"m{form.ending}"
    if BACKEND not in form.any_size:
        with pytest.raises(
            ValueError, match="`image_shape`.*from_preset.*None"
        ):
            model.export(path)
        assert not list(tmp_path.iterdir())
        return
    model.export(path, verbose=False)
    for batch in (images, images[:, :8, :12]):
        found = RUN[name](path, batch.astype("float32"))
        logits, maps = model.predict_with_maps(batch)
        assert_same(found["logits"], logits)
        assert_same(found["class_maps"], maps)


def test_a_folder_of_something_else_stays(small_model, tmp_path):
    if BACKEND == "torch":
        pytest.skip("no format that is a folder")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="not written by `export`"):
        small_model.export(tmp_path / "mine")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"


@pytest.mark.only_on("torch")
def test_every_format_is_documented(capsys):
    assert typing.get_args(FormatName) == tuple(FORMATS)
    guide = pathlib.Path("docs/how_to/export.md").read_text("utf-8")
    assert main(["export", "--help"]) == 0
    help = " ".join(capsys.readouterr().out.split())
    for name, form in FORMATS.items():
        ending = f"`{form.ending}`" if form.ending else "none, a folder"
        row = f'| `"{name}"` | {ending} |'
        assert row in guide
        assert row in FACNN.export.__doc__
        assert (form.ending or "folder without an ending") in help


@pytest.mark.only_on("torch", "jax")
def test_refuses_unknown_options(small_model, tmp_path):
    """Keras ignores them, so that a misspelled one would do nothing."""
    name = "model.onnx" if keras.backend.backend() == "torch" else "model"
    for option, near in (("layer", "layers"), ("centerd", "centered")):
        with pytest.raises(TypeError, match=f"`{option}`.*`{near}`"):
            small_model.export(tmp_path / name, **{option: 1})
    assert not list(tmp_path.iterdir())


@pytest.mark.only_on("torch")
def test_replaces_a_file_whose_description_has_control_characters(
    small_model, tmp_path
):
    pytest.importorskip("openvino")
    small_model.preset_metadata = {"description": 'a\x1bb\x01 <&"'}
    for _ in range(2):
        small_model.export(tmp_path / "model.xml", verbose=False)
