import json
import re
import subprocess

import pytest

pytest.importorskip("absl")

from absl import app

from tests.zoo.conftest import ROOT
from tests.zoo.conftest import command
from tests.zoo.conftest import run
from zoo import inputs

pytestmark = pytest.mark.only_on("torch")


@pytest.mark.parametrize(
    "error, line",
    [
        (ValueError("`x` must be\n  1"), "ValueError: `x` must be 1"),
        (OSError(2, "gone", "a.png"), "FileNotFoundError: .* gone: 'a.png'"),
        (ImportError("pip install it"), "ImportError: pip install it"),
        (
            ModuleNotFoundError("No module named 'tensorflow'"),
            r"ModuleNotFoundError: .*'tensorflow'.*: pip install '\.\[zoo\]'",
        ),
        (app.UsageError("--x needs --y"), "UsageError: --x needs --y"),
    ],
)
def test_what_a_user_can_mend_takes_one_line(error, line, capsys):
    def main():
        raise error

    with pytest.raises(SystemExit) as ended:
        inputs.in_one_line(main, ["zoo"])
    assert ended.value.code == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(line, said)


def test_an_error_of_ours_keeps_its_traceback():
    def main():
        raise AttributeError("a bug")

    with pytest.raises(AttributeError):
        inputs.in_one_line(main, ["zoo"])


def test_ctrl_c_takes_one_line(capsys):
    def main():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        inputs.in_one_line(main, ["zoo"])
    assert ended.value.code == 130
    assert capsys.readouterr().err.split() == ["Interrupted."]


def test_a_command_ends_in_one_line(tmp_path):
    """In a process, as a user sees it."""
    result = subprocess.run(
        command("compare", preset="cifar10", data=tmp_path, output=tmp_path)
        + ["--methods=nope"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert result.stderr.splitlines() == ["UsageError: Unknown --methods: nope"]


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "-1", "many"])
def test_refuses_numbers_that_are_none(tmp_path, number):
    result = run(
        "train",
        config="smoke",
        data=tmp_path,
        workdir=tmp_path / "run",
        learning_rate=number,
    )
    assert result.returncode == 1
    assert "flag --learning_rate=" in result.output
    assert not (tmp_path / "run").exists()


def test_evaluates_the_validation_part_of_a_folder(folder, tmp_path):
    """And fits pictures as the preset's training did."""
    from keras_facnn import FACNN

    model = FACNN(10, (32, 32, 3), (1, 1), (1, 2), space_to_depth=2)
    training = {"recipe": {"fit": "pad"}}
    model.save_to_preset(tmp_path / "p", {"training": training})
    result = run(
        "evaluate",
        preset=tmp_path / "p",
        data=folder / "train",
        validation_fraction=0.5,
        split="validation",
        alignment_images=4,
        verify_images=4,
    )
    assert result.returncode == 0, result.output
    report = json.loads(result.output[result.output.index("{\n") :])
    assert report["images"] == 60
