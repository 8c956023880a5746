"""`python -m keras_facnn`, as a user types it."""

import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from keras_facnn import FACNN
from keras_facnn import __main__ as cli

ROOT = pathlib.Path(__file__).parents[1]
SAMPLES = sorted((ROOT / "samples").glob("*.jpg"))


def run(*args):
    return cli.main([str(a) for a in args])


def test_help_is_a_manual_page():
    result = subprocess.run(
        [sys.executable, "-m", "keras_facnn", "--help"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    for word in ("explain", "presets", "verify", "examples:", "KERAS_BACKEND"):
        assert word in result.stdout


def test_explains_images(tmp_path, capsys):
    output = tmp_path / "maps.png"
    assert run("explain", *SAMPLES, "--output", output) == 0
    out = capsys.readouterr().out
    assert str(output) in out
    with Image.open(output) as figure:
        assert figure.width > 1000
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


def test_images_of_any_size_and_mode(tmp_path):
    Image.new("RGBA", (100, 40), "red").save(tmp_path / "wide.png")
    Image.new("L", (20, 90)).save(tmp_path / "grey.png")
    output = tmp_path / "maps.pdf"
    images = (tmp_path / "wide.png", tmp_path / "grey.png")
    assert run("explain", *images, "--output", output) == 0
    assert output.read_bytes().startswith(b"%PDF")


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


def test_transparent_pixels_are_white(tmp_path, capsys):
    """So what they hide has no say."""
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


def test_lists_presets(capsys):
    assert run("presets") == 0
    out = capsys.readouterr().out
    assert "cifar10" in out
    assert "top-1 accuracy" in out


def test_verifies(capsys):
    assert run("verify", *SAMPLES) == 0
    assert "theorem_1_correlation" in capsys.readouterr().out


def test_verify_fails_when_the_maps_are_not_the_explanation(
    capsys, monkeypatch
):
    broken = {"theorem_1_correlation": 0.9, "completeness_error": 1e-7}
    monkeypatch.setattr(FACNN, "verify", lambda self, images: broken)
    assert run("verify", *SAMPLES) == 1
    assert "not exactly" in capsys.readouterr().err


@pytest.mark.parametrize(
    "case, message",
    [
        ("missing", "There is no image .*nothing.png"),
        ("text", "text.png cannot be read as an image"),
        ("cut", "cut.jpg cannot be read as an image"),
        ("deep", "deep.png cannot be read .* more than 8 bits"),
        ("preset", "There is no preset 'no_such'. Bundled presets: cifar10"),
        ("folder", "there is no folder"),
        ("format", "--output must end in one of .*Received: .*maps.xyz"),
        ("top", "--top must be positive. Received: 0"),
        ("rows", "--rows must be positive. Received: 0"),
        ("samples", "samples is a folder. Name its images, such as"),
    ],
)
def test_errors_are_one_line_and_no_traceback(tmp_path, capsys, case, message):
    (tmp_path / "text.png").write_text("I am no picture.")
    deep = np.arange(64, dtype="uint16").reshape(8, 8) * 900
    Image.fromarray(deep).save(tmp_path / "deep.png")
    (tmp_path / "cut.jpg").write_bytes(SAMPLES[0].read_bytes()[:400])
    arguments = {
        "missing": [tmp_path / "nothing.png"],
        "text": [tmp_path / "text.png"],
        "cut": [tmp_path / "cut.jpg"],
        "deep": [tmp_path / "deep.png"],
        "preset": [SAMPLES[0], "--preset", "no_such"],
        "folder": [SAMPLES[0], "--output", tmp_path / "no" / "maps.png"],
        "format": [SAMPLES[0], "--output", tmp_path / "maps.xyz"],
        "top": [SAMPLES[0], "--top", 0],
        "rows": [SAMPLES[0], "--rows", 0],
        "samples": [ROOT / "samples"],
    }[case]
    if "--output" not in arguments:
        arguments += ["--output", tmp_path / "maps.png"]
    assert run("explain", *arguments) == 1
    captured = capsys.readouterr()
    assert len(captured.err.splitlines()) == 1
    assert captured.err.startswith("keras_facnn: error: ")
    assert re.search(message, captured.err)
    assert not (tmp_path / "maps.png").exists()
