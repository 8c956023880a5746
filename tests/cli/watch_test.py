"""`keras-facnn watch`."""

import re

import numpy as np
import pytest
from PIL import Image

from keras_facnn.runtime import Explainer
from keras_facnn.watching import Watch
from tests.cli.command import run

pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.only_on("torch")


@pytest.fixture
def model(tmp_path):
    from tests.serving import tiny_model

    path = tmp_path / "tiny.onnx"
    tiny_model.write(path)
    return path


def write_pictures(folder, rng, count, stained=0):
    """Write noise, the last pictures of which have a white corner."""
    folder.mkdir()
    for i in range(count):
        pixels = rng.integers(0, 200, (8, 8, 3), "uint8")
        if i >= count - stained:
            pixels[:2, :4] = 255
        Image.fromarray(pixels).save(folder / f"{i:04}.png")


def test_writes_a_reference_and_finds_a_stain(model, tmp_path, capsys):
    rng = np.random.default_rng(0)
    write_pictures(tmp_path / "reference", rng, 200)
    write_pictures(tmp_path / "clean", rng, 60)
    write_pictures(tmp_path / "stained", rng, 160, stained=100)
    file = tmp_path / "reference.npz"
    options = ("--false-alarms", 0.01)
    folder = tmp_path / "reference"
    assert run("watch", model, folder, "--write", file, *options) == 0
    assert "The evidence in 200 pictures is in" in capsys.readouterr().out

    clean = tmp_path / "clean"
    assert run("watch", model, clean, "--reference", file) == 0
    assert "In 60 pictures, evidence does not" in capsys.readouterr().out

    folder = tmp_path / "stained"
    assert run("watch", model, folder, "--reference", file) == 0
    out = capsys.readouterr().out
    found = re.match(r"After (\d+) pictures, .* at the upper left", out)
    watch = Watch.load(file)
    assert watch.false_alarms == 0.01
    explained = Explainer(model)(sorted(folder.iterdir()), centered=True)
    assert watch.add(explained).picture == int(found[1]) > 60


def test_names_what_cannot_be_read(model, tmp_path, capsys):
    write_pictures(tmp_path / "photos", np.random.default_rng(0), 5)
    (tmp_path / "photos" / "0002.png").write_bytes(b"none")
    file = tmp_path / "reference.npz"
    assert run("watch", model, tmp_path / "photos", "--write", file) == 1
    out, err = capsys.readouterr()
    assert "The evidence in 4 pictures" in out
    assert err.count("error:") == 1 and "0002.png" in err
    folder = tmp_path / "empty"
    folder.mkdir()
    for inputs in (folder, tmp_path / "photos" / "0002.png"):
        file.unlink(missing_ok=True)
        assert run("watch", model, inputs, "--write", file) == 1
        assert not file.exists()
    assert run("watch", model, folder) == 2
