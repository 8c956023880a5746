"""`keras-facnn evaluate`."""

import json
import os

import pytest
from PIL import Image

import keras_facnn
from tests.cli.command import run

pytestmark = pytest.mark.only_on("torch")
NAMES = ["_ant", "bee, honeybee"]


@pytest.fixture
def folder(tmp_path, rng):
    """Ten pictures of each of two classes."""
    for name in NAMES:
        os.makedirs(tmp_path / "photos" / name)
        for i in range(10):
            pixels = rng.integers(0, 256, (16, 20, 3)).astype("uint8")
            path = tmp_path / "photos" / name / f"{i}.png"
            Image.fromarray(pixels // (i % 4 + 1)).save(path)
    return tmp_path / "photos"


@pytest.fixture
def at_16(preset, tmp_path):
    """The same preset for one size."""
    model = keras_facnn.FACNN.from_preset(preset, image_shape=(16, 16, 3))
    model.save_to_preset(tmp_path / "at_16")
    return tmp_path / "at_16"


def test_prints_numbers_and_writes_a_report(at_16, folder, tmp_path, capsys):
    report = tmp_path / "report.html"
    assert run("evaluate", at_16, folder, "--output", report) == 0
    out, _ = capsys.readouterr()
    model = keras_facnn.FACNN.from_preset(at_16)
    evaluation = keras_facnn.evaluate(model, folder)
    assert str(evaluation) in out and str(report) in out
    text = report.read_text("utf-8")
    assert "How good is at_16?" in text and "data:image/jpeg" in text

    assert run("evaluate", at_16, folder, "--json", "--output", report) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["accuracy"] == evaluation.accuracy
    assert found["model"] == str(at_16) and str(report) in err


def test_goes_on_without_broken_photos(at_16, folder, tmp_path, capsys):
    (folder / "_ant" / "3.png").write_bytes(b"no picture")
    output = tmp_path / "report.json"
    assert run("evaluate", at_16, folder, "--output", output) == 1
    out, err = capsys.readouterr()
    assert "3.png" in err and "warnings.warn" not in err
    assert "1 of 20 photos can't be read" in out
    assert json.loads(output.read_text("utf-8"))["images"] == 19


def test_writes_a_calibrated_preset(at_16, folder, tmp_path, capsys):
    new = tmp_path / "calibrated"
    options = ["--calibrate", new, "--output", tmp_path / "report.json"]
    assert run("evaluate", at_16, folder, *options) == 0
    out, _ = capsys.readouterr()
    assert "The temperature" in out and "of the other half" in out
    # It is the temperature of one half, and the numbers are of the other.
    model = keras_facnn.FACNN.from_preset(at_16)
    halves = keras_facnn.load_folder(folder, model, read=False).split(0.5)
    temperature = keras_facnn.fit_temperature(model, halves[1])
    after = keras_facnn.FACNN.from_preset(new)
    assert after.preset_metadata["temperature"] == {
        "value": pytest.approx(temperature),
        "images": 10,
    }
    evaluation = keras_facnn.evaluate(after, halves[0])
    found = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert found["images"] == 10
    assert found["cross_entropy"] == pytest.approx(evaluation.cross_entropy)


def test_calibrates_on_photos_that_were_held_out(
    at_16, folder, tmp_path, capsys
):
    model = keras_facnn.FACNN.from_preset(at_16)
    some = keras_facnn.load_folder(folder, model, read=False)
    # One half has none of the photos that are held out here.
    trained, _ = some.split(0.5)
    model.save_to_preset(tmp_path / "trained", trained.metadata)
    options = ["--calibrate", tmp_path / "calibrated"]
    options += ["--output", tmp_path / "report.json"]
    assert run("evaluate", tmp_path / "trained", folder, *options) == 0
    out, _ = capsys.readouterr()
    text = " ".join(out.split())
    assert "10 of 20 were left out, because the model was trained" in text
    after = keras_facnn.FACNN.from_preset(tmp_path / "calibrated")
    fitted = after.preset_metadata["temperature"]["images"]
    found = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert 4 <= fitted <= 6 and fitted + found["images"] == 10


def test_a_calibrated_preset_replaces_nothing(at_16, folder, tmp_path, capsys):
    before = {path: path.read_bytes() for path in at_16.iterdir()}
    options = ["--calibrate", at_16, "--output", tmp_path / "report.json"]
    assert run("evaluate", "no_such", folder, *options) == 1
    err = " ".join(capsys.readouterr().err.split())
    assert "--calibrate must be a new name" in err and "at_16" in err
    assert before == {path: path.read_bytes() for path in at_16.iterdir()}


def test_calibrates_without_broken_photos(at_16, folder, tmp_path, capsys):
    model = keras_facnn.FACNN.from_preset(at_16)
    halves = keras_facnn.load_folder(folder, model, read=False).split(0.5)
    with open(halves[1].paths[0], "wb") as file:
        file.write(b"no picture")
    options = ["--calibrate", tmp_path / "calibrated"]
    options += ["--output", tmp_path / "report.json"]
    run("evaluate", at_16, folder, *options)
    out, err = capsys.readouterr()
    assert "The temperature" in out
    assert "Skipped 1 of 10 photos" in err
    after = keras_facnn.FACNN.from_preset(tmp_path / "calibrated")
    assert after.preset_metadata["temperature"]["images"] == 9


def test_refuses_before_any_work(at_16, folder, tmp_path, capsys):
    for output, message in (
        ("report.pdf", ".html or .json"),
        (tmp_path / "no" / "report.html", "there is no folder"),
    ):
        assert run("evaluate", "no_such", folder, "--output", output) == 1
        assert message in capsys.readouterr().err
    os.rename(folder / "_ant", folder / "wasp")
    report = tmp_path / "report.html"
    assert run("evaluate", at_16, folder, "--output", report) == 1
    assert "'wasp'" in capsys.readouterr().err
    assert not report.exists()
