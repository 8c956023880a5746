"""`python -m keras_facnn`, as a user types it."""

import contextlib
import io
import json
import os
import pathlib
import re
import runpy
import shutil
import signal
import struct
import subprocess
import sys
import zlib

import keras
import numpy as np
import pytest
from PIL import Image

from keras_facnn import FACNN
from keras_facnn.cli import main as cli
from keras_facnn.pictures.reading import read_picture

ROOT = pathlib.Path(__file__).parents[2]
SAMPLES = sorted((ROOT / "samples").glob("*.jpg"))
# The fonts are the machine's.
pytestmark = pytest.mark.filterwarnings("ignore:No installed font")


def run(*args):
    return cli.main([str(a) for a in args])


def test_help_is_a_manual_page(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["keras_facnn", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("keras_facnn", run_name="__main__")
    assert ended.value.code == 0
    out = capsys.readouterr().out
    for word in ("explain", "presets", "verify", "examples:", "KERAS_BACKEND"):
        assert word in out


def test_explains_images(tmp_path, capsys):
    output = tmp_path / "maps.png"
    assert run("explain", *SAMPLES, "--output", output) == 0
    out, err = capsys.readouterr()
    assert str(output) in out
    assert err.count("gets one of the 10 classes") == 1
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
    (told,) = json.loads(capsys.readouterr().out)
    assert told["several_labels"] is False


@pytest.mark.only_on("torch")
@pytest.mark.parametrize("kind", ["softmax", "threshold"])
def test_says_of_which_pictures_it_is_unsure(kind, tmp_path, capsys):
    model = FACNN(4, (8, 8, 3), (1,), (1,), threshold=kind == "threshold")
    # Any picture is of any class.
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
    assert "automobile; bird; cat" in " ".join(out.split())
    assert ".." not in out and "Not stated" not in out


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
    captured = capsys.readouterr()
    assert len(captured.err.splitlines()) == 1
    assert captured.err.startswith("keras_facnn: error: ")
    assert re.search(message, captured.err)
    assert not (tmp_path / "maps.png").exists()


@pytest.fixture
def preset(small_model, tmp_path):
    """A folder of a small preset that takes images of any size."""
    folder = tmp_path / "preset"
    config = {**small_model.get_config(), "image_shape": (None, None, 3)}
    model = FACNN.from_config(config)
    model.set_weights(small_model.get_weights())
    names = ["_ant", "bee, honeybee", "$cat$", "\u72d7"]
    model.save_to_preset(folder, {"class_names": names})
    return folder


@pytest.fixture
def photos(tmp_path, rng):
    """Three pictures of three sizes."""
    paths = [tmp_path / f"{name}.png" for name in "abc"]
    for path, width in zip(paths, (20, 30, 40), strict=True):
        pixels = rng.integers(0, 256, (24, width, 3)).astype("uint8")
        Image.fromarray(pixels).save(path)
    return paths


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


def test_ctrl_c_is_one_line(monkeypatch, capsys):
    def interrupted(handle):
        raise KeyboardInterrupt

    monkeypatch.setattr(FACNN, "from_preset", interrupted)
    assert run("explain", SAMPLES[0], "--no-figure") == 130
    assert capsys.readouterr().err == "keras_facnn: interrupted\n"


@pytest.fixture
def interrupting(tmp_path):
    """An environment where Ctrl-C is pressed while Keras is imported.

    As code of an extension does, its import turns the exception into another.
    """
    (tmp_path / "keras.py").write_text(
        "import os, signal\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "except KeyboardInterrupt:\n"
        "    raise ImportError('init failed')\n"
    )
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    return {**os.environ, "PYTHONPATH": path}


def heeding_ctrl_c():
    """For a child process: shells start background jobs without it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.only_on("torch")
@pytest.mark.parametrize("way", ["module", "script"])
def test_ctrl_c_while_keras_is_imported(way, tmp_path, interrupting):
    script = tmp_path / "keras-facnn"
    script.write_text("from keras_facnn.cli.main import main\nmain()\n")
    how = {"module": ["-m", "keras_facnn"], "script": [script]}[way]
    result = subprocess.run(
        [sys.executable, *how, "presets"],
        env=interrupting,
        preexec_fn=heeding_ctrl_c,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 130
    assert result.stderr == "keras_facnn: interrupted\n"
    assert not result.stdout


@pytest.mark.only_on("torch")
def test_other_programs_keep_their_ctrl_c(interrupting):
    """Only the command line ends at once; a program of a user may not."""
    code = "import signal, keras_facnn; print(signal.getsignal(signal.SIGINT))"
    result = subprocess.run(
        [sys.executable, "-c", code, "-m", "keras_facnn"],
        env=interrupting,
        preexec_fn=heeding_ctrl_c,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0
    assert "default_int_handler" in result.stdout


@pytest.mark.only_on("torch")
@pytest.mark.parametrize("command", ["presets", "explain", "--help"])
def test_a_reader_that_has_enough_is_no_error(command, monkeypatch, capsys):
    read, write = os.pipe()
    os.close(read)
    arguments = [SAMPLES[0], "--no-figure"] if command == "explain" else []
    with open(write, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert run(command, *arguments) == 141
    assert "rror" not in capsys.readouterr().err


@pytest.mark.only_on("torch")
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no such device")
@pytest.mark.parametrize("command", ["presets", "explain", "--help"])
def test_says_that_the_output_cannot_be_written(command, monkeypatch, capsys):
    arguments = [SAMPLES[0], "--no-figure"] if command == "explain" else []
    with open("/dev/full", "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert run(command, *arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "keras_facnn: error: The standard output cannot be written (No space "
        "left on device)"
    )


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
@pytest.mark.parametrize("stderr", ["closed", "full", "broken"])
def test_results_need_no_stream_of_messages(stderr, monkeypatch, capsys):
    read, write = os.pipe()
    os.close(read)
    where = {"full": "/dev/full", "broken": write}.get(stderr)
    with contextlib.ExitStack() as opened:
        file = where and opened.enter_context(open(where, "w"))
        monkeypatch.setattr(sys, "stderr", file)
        opened.callback(lambda: sys.stderr.close())
        assert run("explain", SAMPLES[0], "--no-figure") == 0
        assert run("explain", "no such picture", "--no-figure") == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(SAMPLES[0].name)


@pytest.mark.only_on("torch")
@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
def test_a_closed_stream_is_no_file_that_is_opened_next():
    """Where the backends' messages would end up."""
    code = """
import os, sys
sys.argv[0] = "keras-facnn"
sys.modules["keras"] = None
import keras_facnn
file = open(os.devnull)
assert file.fileno() > 2, file.fileno()
"""
    close = '"$0" -c "$1" 0<&- 1>&- 2>&-'
    command = ["sh", "-c", close, sys.executable, code]
    assert subprocess.run(command, cwd=ROOT).returncode == 0


@pytest.mark.only_on("torch")
@pytest.mark.parametrize("option", ["--class", "--preset", "--size", "--layer"])
def test_two_dashes_are_no_value(option, capsys):
    assert run("explain", SAMPLES[0], "--no-figure", f"{option}=--") == 2
    assert f"{option}=--: the option needs a value" in capsys.readouterr().err


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
    *errors, _ = err.splitlines()
    for line, path in zip(errors, broken, strict=True):
        assert str(path) in line
    lines = out.splitlines()
    assert [line[:5] for line in lines[:2]] == ["a.png", "b.png"]
    with Image.open(output) as figure:
        assert figure.height > 500
    output.unlink()
    assert run("explain", *broken, *options) == 1
    assert not output.exists()


def test_says_what_to_install_without_a_backend():
    result = subprocess.run(
        [sys.executable, "-m", "keras_facnn", "presets"],
        env={**os.environ, "KERAS_BACKEND": "no_such"},
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("keras_facnn: error: ")
    assert "no_such" in line
    assert "pip install" in line


def test_every_command_says_which_backend_is_installed(tmp_path):
    """Where Keras' usual one is not, and nobody named another."""
    code = """
import sys
sys.modules["tensorflow"] = None
from keras_facnn.cli.main import main
for command in (
    ["presets"],
    ["explain", "cat.jpg"],
    ["export", "cifar10", "cifar10.onnx"],
    ["verify", "cat.jpg"],
    ["demo"],
):
    assert main(command) == 1
"""
    environment = {**os.environ, "KERAS_HOME": str(tmp_path)}
    environment.pop("KERAS_BACKEND", None)
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    lines = result.stderr.splitlines()
    assert len(lines) == 5, result.stderr
    for line in lines:
        assert line.startswith("keras_facnn: error: ")
        assert "tensorflow" in line
        assert re.search("set KERAS_BACKEND=(jax|torch), which is inst", line)
        assert "pip install '.[jax]'" in line


@pytest.mark.only_on("torch")
def test_prints_names_that_the_terminal_cannot(
    tmp_path, photos, preset, monkeypatch
):
    path = tmp_path / "\u00fcn\u00ef.png"
    os.rename(photos[0], path)
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "ascii"))
    options = ["--preset", preset, "--size", 16, "--top", 4, "--no-figure"]
    assert run("explain", path, *options) == 0
    sys.stdout.flush()
    assert b"\\xfcn\\xef.png" in raw.getvalue()
    assert b"\\u72d7" in raw.getvalue()


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
@pytest.mark.filterwarnings("ignore:No installed font")
def test_explains_the_class_and_layers_that_were_asked_for(
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
        for i, told in enumerate(json.loads(out)):
            best = int(p[i].argmax())
            wanted = {best} if index is None else {best, index}
            assert told["image"] == str(photos[i])
            assert {c["index"] for c in told["classes"]} == wanted
            for c in told["classes"]:
                assert c["probability"] == pytest.approx(p[i, c["index"]], 1e-4)
            assert told["explained"] == (best if index is None else index)
            assert told["centered"] == (not raw)
            expected = maps if raw else centered
            np.testing.assert_allclose(
                told["map"], expected[i, ..., told["explained"]], atol=1e-5
            )
    assert output.stat().st_size > 10_000


def test_who_waits_at_a_terminal_is_told_why(
    preset, photos, capsys, monkeypatch
):
    arguments = ["explain", photos[0], "--preset", preset, "--size", 16]
    arguments += ["--no-figure"]
    assert run(*arguments) == 0
    assert "Loading" not in capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert run(*arguments) == 0
    told = capsys.readouterr().err.splitlines()[0]
    assert told.startswith(f"Loading {preset} on {keras.backend.backend()};")


@pytest.mark.only_on("torch")
def test_a_preset_of_any_size_needs_a_size(photos, preset, capsys):
    assert run("explain", photos[0], "--preset", preset, "--no-figure") == 1
    assert "--size" in capsys.readouterr().err


def test_verifies_a_picture_on_which_no_map_varies(preset, photos, capsys):
    """Of one pixel, here. Its correlation is not a number, nor an error."""
    options = ["--preset", preset, "--size", 4]
    assert run("verify", photos[0], *options) == 0
    out, err = capsys.readouterr()
    assert not err
    assert re.search("theorem_1_correlation +no map varies", out)
