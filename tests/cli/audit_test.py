"""`keras-facnn audit`."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import keras_facnn
from tests.cli.command import run

pytestmark = pytest.mark.only_on("torch")
NAMES = ["_ant", "bee, honeybee", "cat"]


@pytest.fixture
def preset(tmp_path):
    """A model whose logits are the mean red, green and blue, times 20 / 255."""
    model = keras_facnn.FACNN(3, (16, 16, 3), (1,), (1,))
    model.get_layer("conv_1").set_weights([np.zeros((3, 3, 3, 3))])
    model.head.set_weights([np.log(40.0)])
    model.save_to_preset(tmp_path / "colors", {"class_names": NAMES})
    return tmp_path / "colors"


@pytest.fixture
def folder(tmp_path, rng):
    """Noise, mostly red or green. All that is red has the same tag."""
    tag = rng.integers(0, 256, (4, 4, 3))
    for i in range(60):
        light = rng.uniform(0.3, 0.5, 3)
        light[i % 2] += 0.4
        pixels = light * rng.uniform(0, 255, (16, 16, 3))
        if i % 2 == 0:
            pixels[:4, :4] = tag
        kind = tmp_path / "photos" / NAMES[i % 2]
        kind.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype("uint8")).save(kind / f"{i}.png")
    return tmp_path / "photos"


def test_prints_what_is_suspicious_and_writes_a_report(
    preset, folder, tmp_path, capsys
):
    report = tmp_path / "audit.html"
    assert run("audit", preset, folder, "--output", report) == 0
    out, err = capsys.readouterr()
    # Each stage has a line, also where no terminal is.
    stages = [line.split()[0] for line in err.splitlines()]
    assert stages[:2] == ["Loading", "Comparing"]
    assert "Covering" in stages[2:-1] and stages[-1] == "Drawing"
    audit = keras_facnn.audit(keras_facnn.FACNN.from_preset(preset), folder)
    first = audit.reasons[0]
    assert first.alarm and first.place == "at the upper left"
    words = " ".join(out.split())
    assert "suspicious reason" in words and first.name in words
    assert first.grounds in words and str(report) in out
    # One audit writes both: the page, and the numbers that training takes.
    numbers = tmp_path / "audit.json"
    assert str(numbers) in out and "train --audit" in words
    assert json.loads(numbers.read_text("utf-8"))["images"] == audit.images
    numbers.unlink()
    text = report.read_text("utf-8")
    assert (
        "Why does the model &quot;colors&quot; answer" in text
        and "data:image/jpeg" in text
    )

    output = tmp_path / "audit.json"
    assert run("audit", preset, folder, "--json", "--output", output) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["reasons"][0]["name"] == first.name
    assert found["images"] == audit.images
    assert found["model"] == str(preset) and str(output) in err
    assert json.loads(output.read_text("utf-8")) == found
    assert run("audit", "--help") == 0
    assert "train --audit" in " ".join(capsys.readouterr().out.split())


def test_audits_photos_without_labels(preset, folder, tmp_path, capsys):
    loose = tmp_path / "loose"
    loose.mkdir()
    for file in folder.rglob("*.png"):
        shutil.copy(file, loose / f"{file.parent.name[:3]}{file.name}")
    (loose / "notes.txt").write_text("no picture")
    output = tmp_path / "audit.json"
    assert run("audit", preset, loose, "--output", output) == 0
    out, err = capsys.readouterr()
    assert "notes.txt" in err
    found = json.loads(output.read_text("utf-8"))
    assert found["images"] == len(list(folder.rglob("*.png")))
    assert all(row["precision"] is None for row in found["classes"])
    assert found["unlike"] == [] and "labelled" not in out


def test_says_how_much_is_inside_regions(preset, folder, tmp_path):
    masks = tmp_path / "masks"
    for file in folder.rglob("*.png"):
        mask = np.zeros((16, 16), "uint8")
        mask[:, :8] = 255
        path = masks / file.relative_to(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(path)
    output = tmp_path / "audit.json"
    options = ["--regions", masks, "--output", output]
    assert run("audit", preset, folder, *options) == 0
    for row in json.loads(output.read_text("utf-8"))["classes"]:
        assert row["inside_area"] == pytest.approx(0.5)
        assert 0 < row["inside"] < 1


def test_goes_on_without_broken_photos(preset, folder, tmp_path, capsys):
    (folder / NAMES[1] / "3.png").write_bytes(b"no picture")
    output = tmp_path / "audit.html"
    assert run("audit", preset, folder, "--output", output) == 1
    out, err = capsys.readouterr()
    assert "3.png" in err and "warnings.warn" not in err
    assert "1 photo can't be read" in out
    assert output.exists()


def test_refuses_before_any_work(preset, folder, tmp_path, capsys):
    for output, message in (
        ("audit.pdf", ".html or .json"),
        (tmp_path / "no" / "audit.html", "there is no folder"),
    ):
        assert run("audit", "no_such", folder, "--output", output) == 1
        assert message in capsys.readouterr().err
    assert run("audit", "no_such", tmp_path / "gone") == 1
    assert "There is no folder" in capsys.readouterr().err
    folder.rename(tmp_path / "others")
    (tmp_path / "others" / "wasp").mkdir()
    report = tmp_path / "audit.html"
    assert run("audit", preset, tmp_path / "others", "--output", report) == 1
    assert "wasp" in capsys.readouterr().err
    assert not report.exists()
