"""Text of other people."""

import html
import pathlib

import numpy as np
import pytest
from PIL import Image

import keras_facnn
from keras_facnn import FACNN
from keras_facnn import plots
from keras_facnn.cli import main as cli
from keras_facnn.presets import load

pytestmark = pytest.mark.only_on("torch")

# Sets a terminal's title, goes back and erases the line, starts another, turns
# its direction, and ends it as Unicode does.
EVIL = "a\x1b]0;t\x07\r\x1b[2Kb\nc\u202ed\u2028e\x9b1m"
SEEN = r"a\x1b]0;t\x07\r\x1b[2Kb\nc\u202ed\u2028e\x9b1m"


def test_shows_what_a_terminal_would_obey():
    assert keras_facnn.printable(EVIL) == SEEN
    for c in map(chr, [*range(32), *range(127, 160), 0xAD, 0x2066, 0xDC80]):
        shown = keras_facnn.printable(c)
        assert shown.isascii() and shown.isprintable(), ascii(c)
        assert shown.startswith("\\")


def test_leaves_what_people_write():
    family = "\U0001f468\u200d\U0001f469"
    persian = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
    french = "chat\xa0!"
    for text in ("C:\\cats | 100 %", "\u732b", persian, family, french, ""):
        assert keras_facnn.printable(text) == text


@pytest.fixture
def evil(small_model, tmp_path):
    """A preset and a picture whose names are hostile."""
    folder = tmp_path / "preset"
    small_model.save_to_preset(
        folder, {"class_names": [f"{EVIL} {i}" for i in range(4)]}
    )
    picture = tmp_path / f"{EVIL.replace('/', '')}.png"
    Image.new("RGB", (16, 16)).save(picture)
    return folder, picture


def assert_is_text(printed):
    """Nothing in it but text and the ends of lines."""
    assert printed.replace("\n", "").isprintable(), ascii(printed)


@pytest.mark.posix
def test_the_command_line_prints_names_as_text(evil, tmp_path, capsys):
    folder, picture = evil
    output = tmp_path / f"{EVIL}.svg"
    for arguments in (
        ["explain", picture, "--output", output],
        ["explain", picture, picture.with_name(f"{EVIL}.jpg"), "--no-figure"],
        ["explain", picture, "--output", tmp_path / EVIL / "x.png"],
        ["explain", picture, "--class", EVIL, "--no-figure"],
    ):
        arguments += ["--preset", folder]
        cli.main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        assert r"a\x1b]0;t\x07" in out + err
        assert_is_text(out)
        assert_is_text(err)
        # An image is one line, whatever its name.
        assert len(out.splitlines()) <= 2
    assert cli.main(["explain", str(picture), f"--{EVIL}"]) == 2
    err = capsys.readouterr().err
    assert SEEN in err
    assert_is_text(err)


@pytest.mark.posix
def test_figures_write_names_as_text(evil):
    folder, picture = evil
    model = FACNN.from_preset(folder)
    images = keras_facnn.load_images(picture, model)
    # A character that no font has would be a box and a warning.
    figure = plots.explanation(model.explain(images), names=[picture.name])
    titles = [ax.get_title() for ax in figure.axes]
    assert any(r"\x1b" in title for title in titles)
    for title in titles:
        assert_is_text(title)


@pytest.mark.posix
def test_errors_about_pictures_are_text(tmp_path):
    path = tmp_path / f"{EVIL}.png"
    for content in (None, b"no picture"):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises((OSError, ValueError)) as raised:
            keras_facnn.load_images(path)
        assert_is_text(str(raised.value))


@pytest.mark.posix
def test_errors_of_a_preset_are_text(evil, monkeypatch):
    folder, _ = evil

    def refuse(*args, **kwargs):
        raise ValueError(EVIL)

    for where, what in (
        (load.configs, "check_config"),
        (FACNN, "load_weights"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(where, what, refuse)
            with pytest.raises(ValueError) as raised:
                FACNN.from_preset(folder)
        assert SEEN in str(raised.value)
        assert_is_text(str(raised.value))


@pytest.mark.posix
def test_reports_escape_names(tmp_path):
    """`zoo.compare` takes any model, whose layers are named by others."""
    pytest.importorskip("absl")
    from zoo import comparison
    from zoo import figures
    from zoo import report

    name = "<img src=x onerror=alert(1)>|" + EVIL
    row = {"layer": name, "method": "CAM", "accuracy AUC": 0.5}
    compared = comparison.Comparison(
        command=name,
        settings={"--baseline": "mean"},
        methods=["cam"],
        layers=[name],
        class_names=[name],
        labels=np.zeros(1, int),
        predictions=np.zeros(1, int),
        images=np.zeros((1, 4, 4, 3)),
        shown=np.zeros(1, int),
    )
    (tmp_path / "one.png").write_bytes(b"")
    drawn = {"one": figures.Drawn(f"At {name}", f"Of {name}", None)}
    page = report.page(str(tmp_path), compared, [row], [], drawn)
    assert "<img src=x" not in page
    # In the command, the table, and twice the heading and once the caption of
    # the figure.
    assert page.count(html.escape("<img src=x onerror=alert(1)>|" + SEEN)) == 5
    assert_is_text(page)
    table = report.markdown([row])
    assert_is_text(table)
    assert len(table.splitlines()) == 3
    assert table.count(r"\|") == 1


def test_the_zoo_prints_errors_and_log_as_text(capsys, caplog):
    pytest.importorskip("absl")
    from absl import logging

    from zoo import inputs

    def main():
        logging.warning("Skipped: %s.", EVIL)
        raise OSError(2, "gone", pathlib.Path("x")) from ValueError(EVIL)

    def other():
        raise ValueError(EVIL)

    logger = logging.get_absl_logger()
    logger.addHandler(caplog.handler)
    try:
        for command in (main, other):
            with pytest.raises(SystemExit):
                inputs.in_one_line(command, ["zoo"])
    finally:
        logger.removeHandler(caplog.handler)
    assert f"Skipped: {SEEN}." in caplog.text
    err = capsys.readouterr().err
    assert_is_text(err)
    assert r"a\x1b]0;t\x07" in err
