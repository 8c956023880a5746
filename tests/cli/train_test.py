"""`keras-facnn train`."""

import importlib.util
import os

import numpy as np
import pytest
from PIL import Image

import keras_facnn
from tests.cli.command import run
from tests.transfer.conftest import base  # noqa: F401
from tests.transfer.conftest import folder  # noqa: F401

pytestmark = pytest.mark.only_on("torch")


def test_trains_a_preset(folder, base, tmp_path, capsys):  # noqa: F811
    output = tmp_path / "mine"
    assert run("train", folder, "--output", output, "--base", base) == 0
    out, err = capsys.readouterr()
    model = keras_facnn.FACNN.from_preset(output)
    scores = model.preset_metadata["training"]["validation"]
    assert f"{scores['accuracy']:.1%} of 6 photos" in out
    assert (output / "report.html").exists()
    # Results are apart from what is going on.
    assert "features of 29 photos" in err and "features" not in out
    assert "Fitting the class maps" in err

    assert run("train", folder, "--output", output, "--base", base) == 1
    assert "--thorough" in capsys.readouterr().err


def test_says_what_a_stopped_training_keeps(
    folder,  # noqa: F811
    base,  # noqa: F811
    tmp_path,
    capsys,
    monkeypatch,
):
    def stop(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("keras_facnn.transfer.run.compute_features", stop)
    output = tmp_path / "mine"
    assert run("train", folder, "--output", output, "--base", base) == 130
    assert "The same command continues" in capsys.readouterr().err


def test_names_no_report_where_there_is_none(
    folder,  # noqa: F811
    base,  # noqa: F811
    tmp_path,
    capsys,
    monkeypatch,
):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name == "matplotlib" else find(name),
    )
    output = tmp_path / "mine"
    assert run("train", folder, "--output", output, "--base", base) == 0
    out, err = capsys.readouterr()
    assert "report.html" not in out and "needs Matplotlib" in err


def test_names_broken_photos(tmp_path, base, capsys):  # noqa: F811
    for name in ("ant", "bee"):
        os.makedirs(tmp_path / "insects" / name)
        for i in range(3):
            pixels = np.full((16, 16, 3), 40 * i + 20 * len(name), "uint8")
            pixels[0, 0] = ord(name[0])
            path = tmp_path / "insects" / name / f"{i}.png"
            Image.fromarray(pixels).save(path)
    (tmp_path / "insects" / "ant" / "broken.jpg").write_bytes(b"no picture")
    output = tmp_path / "mine"
    arguments = ("--output", output, "--base", base)
    assert run("train", tmp_path / "insects", *arguments) == 0
    err = capsys.readouterr().err
    assert "broken.jpg" in err and "warnings.warn" not in err
