"""`keras-facnn explain`."""

import json
import os
import pathlib
import re
import shutil
import struct
import zlib

import keras
import numpy as np
import pytest
from PIL import Image

from keras_facnn import FACNN
from keras_facnn.pictures.reading import read_picture
from tests.cli.command import ROOT
from tests.cli.command import SAMPLES
from tests.cli.command import run

# Which fonts are installed differs between machines.
pytestmark = pytest.mark.filterwarnings("ignore:No installed font")


def test_explains_images(tmp_path, capsys):
    output = tmp_path / "maps.png"
    assert run("explain", *SAMPLES, "--output", output) == 0
    out, err = capsys.readouterr()
    assert str(output) in out
    assert err.count("gets one of the 10 classes") == 1
    with Image.open(output) as figure:
        assert figure.height > figure.width > 900
        assert np.asarray(figure.convert("L")).std() > 10

    model = FACNN.from_preset("cifar10")
    names = model.preset_metadata["class_names"]
    images = np.stack([np.asarray(Image.open(path)) for path in SAMPLES])
    for path, logits in zip(
        SAMPLES, model.predict(images, verbose=0), strict=True
    ):
        p = np.exp(logits - logits.max())
        p /= p.sum()
        (line,) = [x for x in out.splitlines() if x.startswith(path.name)]
        assert line.split()[1:3] == [names[p.argmax()], f"{p.max():.1%}"]


@pytest.mark.only_on("torch")
@pytest.mark.filterwarnings("ignore:No installed font")
def test_explains_the_class_and_layers_that_are_asked_for(
    tmp_path, photos, preset, capsys
):
    output = tmp_path / "maps.svg"
    options = ["--preset", preset, "--size", 16, "--top", 1]
    options += ["--output", output, "--json", "--layer", 2, "--layer", 3]
    model = FACNN.from_preset(preset)
    images = np.stack([read_picture(path, (16, 16, 3)) for path in photos])
    logits, maps = model.predict_with_maps(images)
    centered = maps - maps.mean(-1, keepdims=True)
    p = np.exp(logits - logits.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    for asked, index, raw in (
        ("HONEYBEE", 1, False),
        ("_ant", 0, True),
        ("3", 3, False),
        (None, None, True),
    ):
        choice = [] if asked is None else ["--class", asked]
        choice += ["--raw"] * raw
        assert run("explain", *photos, *options, *choice) == 0
        out, err = capsys.readouterr()
        assert str(output) in err
        for i, answer in enumerate(json.loads(out)):
            best = int(p[i].argmax())
            wanted = {best} if index is None else {best, index}
            assert answer["image"] == str(photos[i])
            assert {c["index"] for c in answer["classes"]} == wanted
            for c in answer["classes"]:
                assert c["probability"] == pytest.approx(p[i, c["index"]], 1e-4)
            assert answer["explained"] == (best if index is None else index)
            assert answer["centered"] == (not raw)
            expected = maps if raw else centered
            np.testing.assert_allclose(
                answer["map"], expected[i, ..., answer["explained"]], atol=1e-5
            )
    assert output.stat().st_size > 10_000


@pytest.mark.only_on("torch")
def test_several_labels_have_probabilities_of_their_own(
    colors_model, colors, tmp_path, capsys
):
    colors_model.save_to_preset(tmp_path / "colors")
    for name, pixels in zip(("yellow", "red", "gray"), colors, strict=False):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    pictures = [tmp_path / f"{n}.png" for n in ("yellow", "red", "gray")]
    options = ["--preset", tmp_path / "colors", "--no-figure"]
    assert run("explain", *pictures, *options) == 0
    out, err = capsys.readouterr()
    yellow, red, gray = (line.split() for line in out.splitlines())
    assert yellow == "yellow.png red 99.8% green 99.8% blue 0.0%".split()
    assert red == "red.png red 99.8% green 0.0% blue 0.0%".split()
    assert gray[1:] == "red 0.0% green 0.0% blue 0.0%".split()
    assert "gets one of" not in err and "of the probability" not in err
    assert "Each of the 3 classes" in err
    assert "No class is likelier there than not: gray.png." in err

    assert run("explain", *pictures, *options, "--json") == 0
    out, err = capsys.readouterr()
    first, _, last = json.loads(out)
    assert first["several_labels"] is True
    p = [c["probability"] for c in first["classes"]]
    assert p == pytest.approx([0.9975, 0.9975, 0], abs=1e-3)
    assert sum(c["probability"] for c in last["classes"]) < 0.001
    assert run("explain", SAMPLES[0], "--no-figure", "--json") == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert answer["several_labels"] is False


@pytest.mark.only_on("torch")
@pytest.mark.parametrize("kind", ["softmax", "threshold"])
def test_names_the_pictures_of_which_it_is_unsure(kind, tmp_path, capsys):
    model = FACNN(4, (8, 8, 3), (1,), (1,), threshold=kind == "threshold")
    # All classes are equally likely for any picture.
    model.set_weights([np.zeros_like(w) for w in model.get_weights()])
    model.save_to_preset(tmp_path / "even")
    for i in range(7):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{i}.png")
    pictures = sorted(tmp_path.glob("*.png"))
    arguments = ["--preset", tmp_path / "even", "--no-figure"]
    assert run("explain", *pictures, *arguments) == 0
    said = "probability: 0.png, 1.png, 2.png, 3.png, 4.png and 2 more."
    assert (said in capsys.readouterr().err) == (kind == "softmax")
    assert run("explain", SAMPLES[0], "--no-figure") == 0
    assert "of the probability" not in capsys.readouterr().err


@pytest.mark.only_on("torch")
def test_images_of_any_size_and_mode(tmp_path):
    Image.new("RGBA", (100, 40), "red").save(tmp_path / "wide.png")
    Image.new("L", (20, 90)).save(tmp_path / "gray.png")
    output = tmp_path / "maps.pdf"
    images = (tmp_path / "wide.png", tmp_path / "gray.png")
    assert run("explain", *images, "--output", output) == 0
    assert output.read_bytes().startswith(b"%PDF")


@pytest.mark.only_on("torch")
def test_a_figure_of_some_of_many_images(tmp_path, capsys):
    heights = []
    for rows in (1, 2):
        output = tmp_path / f"{rows}.png"
        options = ["--output", output, "--rows", rows]
        assert run("explain", *SAMPLES[:3], *options) == 0
        out = capsys.readouterr().out
        assert f"the first {rows} of the 3 images" in out
        assert all(path.name in out for path in SAMPLES[:3])
        with Image.open(output) as figure:
            heights.append(figure.height)
    assert heights[1] > 1.5 * heights[0]


@pytest.mark.only_on("torch")
def test_layers_add_columns_to_the_figure(tmp_path, photos, preset, capsys):
    widths = []
    for options in ([], ["--layers"], ["--layer", 1], ["--layer", 1] * 3):
        output = tmp_path / "maps.png"
        command = [photos[0], "--preset", preset, "--size", 16, *options]
        assert run("explain", *command, "--output", output) == 0
        with Image.open(output) as figure:
            widths.append(figure.width)
    two, three_layers, one, same = widths
    assert two < one == same < three_layers
    assert "no FA layers" not in capsys.readouterr().err


@pytest.mark.only_on("torch")
def test_transparent_pixels_are_white(tmp_path, capsys):
    """The colors that they hide do not count."""
    white = np.full((32, 32, 3), 255, "uint8")
    white[4:20, 4:20] = np.asarray(Image.open(SAMPLES[0]))[:16, :16]
    hiding = np.concatenate([white, np.full((32, 32, 1), 255)], -1)
    hiding[:4] = hiding[20:] = 0, 0, 255, 0
    lines = []
    for name, pixels in (("white", white), ("hiding", hiding)):
        path = tmp_path / f"{name}.png"
        Image.fromarray(pixels.astype("uint8")).save(path)
        assert run("explain", path, "--output", tmp_path / "maps.png") == 0
        (line,) = re.findall(rf"{path.name} +(.*)", capsys.readouterr().out)
        lines.append(line)
    assert lines[0] == lines[1]


@pytest.mark.only_on("torch")
def test_tells_files_of_one_name_apart(tmp_path, photos, preset, capsys):
    paths = [tmp_path / "x" / "p.png", tmp_path / "y" / "p.png", photos[2]]
    for old, new in zip(photos[:2], paths[:2], strict=True):
        new.parent.mkdir()
        os.rename(old, new)
    options = ["--preset", preset, "--size", 16, "--no-figure"]
    assert run("explain", *paths, *options) == 0
    lines = capsys.readouterr().out.splitlines()
    expected = [str(paths[0]), str(paths[1]), "c.png"]
    assert [line.split()[0] for line in lines] == expected


@pytest.mark.only_on("torch")
def test_names_each_picture_that_it_cannot_read(
    tmp_path, photos, preset, capsys
):
    broken = [tmp_path / "cut.png", tmp_path / "no.png", tmp_path / "text.png"]
    broken[0].write_bytes(photos[0].read_bytes()[:200])
    broken[2].write_text("text")
    output = tmp_path / "maps.png"
    paths = [broken[0], photos[0], broken[1], photos[1], broken[2]]
    options = ["--preset", preset, "--size", 16, "--output", output]
    assert run("explain", *paths, *options) == 1
    out, err = capsys.readouterr()
    _, *errors, _ = err.splitlines()
    for line, path in zip(errors, broken, strict=True):
        assert str(path) in line
    lines = out.splitlines()
    assert [line[:5] for line in lines[:2]] == ["a.png", "b.png"]
    with Image.open(output) as figure:
        assert figure.height > 500
    output.unlink()
    assert run("explain", *broken, *options) == 1
    assert not output.exists()


@pytest.mark.only_on("torch")
def test_a_preset_of_any_size_needs_a_size(photos, preset, capsys):
    assert run("explain", photos[0], "--preset", preset, "--no-figure") == 1
    assert "--size" in capsys.readouterr().err


@pytest.mark.only_on("torch")
@pytest.mark.parametrize(
    "case, message",
    [
        ("missing", "There is no image .*nothing.png"),
        ("text", "text.png cannot be read as an image"),
        ("cut", "cut.jpg cannot be read as an image"),
        ("deep", "deep.tif cannot be read .* more than 8 bits"),
        ("preset", "There is no preset 'no_such'. Bundled presets: cifar10"),
        ("folder", "there is no folder"),
        ("format", "--output must end in one of .*Received: .*maps.xyz"),
        ("top", "--top must be positive. Received: 0"),
        ("rows", "--rows must be positive. Received: 0"),
        ("samples", "samples is a folder. Name its images, such as"),
        ("huge", "huge.png cannot be read .* more than 67 million"),
        ("url", "x.png is a URL"),
        ("tex", "a .pgf file needs TeX, and there is no xelatex"),
        ("a_folder", "maps.d.png is a folder"),
        ("long", r"--output: .*xxx cannot be written \(File name too long\)"),
        ("layer", "--layer must be 1 to 24. Received: 25"),
        ("class", "--class must be .* such as automobile. Received: automobil"),
        ("size", "--size 33: .* must be multiples of .* = 4"),
    ],
)
def test_errors_are_one_line_and_no_traceback(
    tmp_path, capsys, monkeypatch, case, message
):
    monkeypatch.setattr(shutil, "which", lambda program: None)
    (tmp_path / "text.png").write_text("I am no picture.")
    (tmp_path / "maps.d.png").mkdir()
    huge = struct.pack(">4sIIBBBBB", b"IHDR", 13000, 13000, 8, 2, 0, 0, 0)
    (tmp_path / "huge.png").write_bytes(
        b"\x89PNG\r\n\x1a\n\0\0\0\r"
        + huge
        + struct.pack(">I", zlib.crc32(huge))
        + b"\0\0\0\0IDAT"
    )
    deep = np.arange(64, dtype="float32").reshape(8, 8) * 900
    Image.fromarray(deep).save(tmp_path / "deep.tif")
    (tmp_path / "cut.jpg").write_bytes(SAMPLES[0].read_bytes()[:400])
    arguments = {
        "missing": [tmp_path / "nothing.png"],
        "text": [tmp_path / "text.png"],
        "cut": [tmp_path / "cut.jpg"],
        "deep": [tmp_path / "deep.tif"],
        "preset": [SAMPLES[0], "--preset", "no_such"],
        "folder": [SAMPLES[0], "--output", tmp_path / "no" / "maps.png"],
        "format": [SAMPLES[0], "--output", tmp_path / "maps.xyz"],
        "top": [SAMPLES[0], "--top", 0],
        "rows": [SAMPLES[0], "--rows", 0],
        "samples": [ROOT / "samples"],
        "huge": [tmp_path / "huge.png"],
        "url": ["https://a.b/x.png"],
        "tex": [SAMPLES[0], "--output", tmp_path / "maps.pgf"],
        "a_folder": [SAMPLES[0], "--output", tmp_path / "maps.d.png"],
        "long": [SAMPLES[0], "--output", tmp_path / f"{'x' * 300}.png"],
        "layer": [SAMPLES[0], "--layer", 25],
        "class": [SAMPLES[0], "--class", "automobil"],
        "size": [SAMPLES[0], "--size", 33],
    }[case]
    if "--output" not in arguments:
        arguments += ["--output", tmp_path / "maps.png"]
    assert run("explain", *arguments) == 1
    *before, error = capsys.readouterr().err.splitlines()
    assert all(line.startswith("Loading ") for line in before)
    assert error.startswith("keras_facnn: error: ")
    assert re.search(message, error)
    assert not (tmp_path / "maps.png").exists()


@pytest.mark.only_on("torch")
def test_never_replaces_a_picture_by_its_figure(
    tmp_path, photos, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    os.rename(photos[0], "maps.png")
    os.link("maps.png", "linked.png")
    os.symlink("maps.png", "other.png")
    before = pathlib.Path("maps.png").read_bytes()
    for arguments in (
        ["maps.png"],
        [photos[1], "./maps.png"],
        ["linked.png"],
        ["maps.png", "--output", "other.png"],
        ["maps.png", "--output", tmp_path / "maps.png"],
    ):
        assert run("explain", *arguments) == 1
        assert "is one of the images" in capsys.readouterr().err
        assert pathlib.Path("maps.png").read_bytes() == before


@pytest.mark.only_on("torch")
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no such device")
def test_names_the_option_of_a_figure_that_cannot_be_written(
    preset, tmp_path, capsys
):
    output = tmp_path / "full.png"
    output.symlink_to("/dev/full")
    options = ["--preset", preset, "--size", 16, "--output", output]
    assert run("explain", SAMPLES[0], *options) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"keras_facnn: error: --output: {output} cannot be written (No space "
        "left on device)"
    )


@pytest.mark.only_on("torch")
def test_explains_a_model_without_fa_layers(tmp_path, photos, capsys):
    """Its only maps are those of its backbone."""
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(4, 3, strides=4, activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    outputs = keras.layers.Dense(3, activation="softmax")(x)
    model = FACNN.from_classifier(keras.Model(inputs, outputs))
    model.save_to_preset(tmp_path / "converted")
    output = tmp_path / "maps.png"
    command = ["explain", *photos, "--preset", tmp_path / "converted"]
    command += ["--output", output]
    widths = []
    for options, said in (([], False), (["--layers"], True)):
        assert run(*command, *options) == 0
        assert ("no FA layers" in capsys.readouterr().err) == said
        with Image.open(output) as figure:
            widths.append(figure.width)
    assert widths[0] != widths[1]
    assert run(*command, "--layer", 1) == 1
    assert "--layer: this model has no FA layers" in capsys.readouterr().err
