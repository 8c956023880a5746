import json
import re
import subprocess

import pytest

pytest.importorskip("absl")

from absl import app

from keras_facnn import FACNN
from tests.zoo.conftest import NAMES
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
        command("evaluate", preset="cifar10", data=tmp_path) + ["--write"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "UsageError: --write needs a --preset that is a folder."
    ]


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "-1", "many"])
def test_refuses_numbers_that_are_none(tmp_path, number):
    result = run(
        "train",
        recipe="smoke",
        data=tmp_path,
        workdir=tmp_path / "run",
        checkpoint_minutes=number,
    )
    assert result.returncode == 1
    assert "flag --checkpoint_minutes=" in result.output
    assert not (tmp_path / "run").exists()


def test_evaluates_the_validation_part_of_a_folder(folder, tmp_path):
    """And fits pictures as the preset's training did."""
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


def tiny_preset(path, training=None, image_shape=(32, 32, 3)):
    model = FACNN(10, image_shape, (2, 2), (1, 2), space_to_depth=2)
    model.save_to_preset(path, {"training": training, "class_names": NAMES})
    return path


@pytest.mark.parametrize(
    "training",
    ["text", ["text"], {"recipe": "text"}, {"recipe": {"fit": None}}],
)
def test_a_preset_may_say_anything_of_its_training(folder, tmp_path, training):
    flags = {"alignment_images": 4, "verify_images": 4}
    preset = tiny_preset(tmp_path / "preset", training)
    result = run("evaluate", preset=preset, data=folder, **flags)
    assert result.returncode == 0, result.output


def test_a_fit_that_is_none_is_no_reason_to_crop(folder, tmp_path):
    preset = tiny_preset(tmp_path / "p", {"recipe": {"fit": "zoom"}})
    result = run("evaluate", preset=preset, data=folder)
    assert result.returncode == 1
    assert re.search(
        "one of crop, pad, stretch .*--fit.*Received: fit='zoom'", result.output
    )


@pytest.mark.parametrize("name", ["evaluate", "compare", "inference"])
def test_names_the_way_out_for_images_of_any_size(folder, tmp_path, name):
    flags = {"preset": tiny_preset(tmp_path / "p", None, (None, None, 3))}
    if name != "inference":
        flags["data"] = folder
    if name == "compare":
        flags["output"] = tmp_path / "out"
    result = run(name, **flags)
    assert result.returncode == 1
    assert re.search(
        r"image_shape=\(HEIGHT, WIDTH, 3\)\).*\(None, None, 3\)", result.output
    )


@pytest.mark.parametrize(
    "name, flag",
    [("train", "workdir"), ("train", "init"), ("compare", "layers")],
)
def test_refuses_a_flag_without_a_value(folder, tmp_path, name, flag):
    """Most would be taken for one that was not given."""
    flags = {
        "train": {"recipe": "smoke", "workdir": tmp_path / "run"},
        "compare": {"preset": "cifar10", "output": tmp_path / "out"},
    }[name]
    result = run(name, data=folder, **{**flags, flag: ""})
    assert result.returncode == 1
    assert f"--{flag} must have a value" in result.output


@pytest.mark.parametrize("value", ["x", "1,x", "0", "1.5", "-1"])
def test_refuses_integers_that_are_none(value):
    result = run("inference", preset="cifar10", batch_sizes=value)
    assert result.returncode == 1
    assert re.search("flag --batch_sizes=.*positive integers", result.output)


def test_names_the_flag_of_a_folder_that_cannot_be_made(folder, tmp_path):
    (tmp_path / "file").write_text("")
    for name, flag, others in (
        ("train", "workdir", {"recipe": "smoke"}),
        ("compare", "output", {"preset": "cifar10"}),
    ):
        flags = {**others, flag: tmp_path / "file" / "inner"}
        result = run(name, data=folder, **flags)
        assert result.returncode == 1
        assert f"`--{flag}` must be a folder that can be" in result.output
        assert "Reading" not in result.output


def test_compares_at_layers_that_a_small_model_has(folder, tmp_path):
    flags = {"data": folder, "images": 4, "methods": "facnn", "steps": 2}
    preset = tiny_preset(tmp_path / "p", "text")
    result = run("compare", preset=preset, output=tmp_path / "out", **flags)
    assert result.returncode == 0, result.output
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [one["layer"] for one in results["measured"]] == [4, 3]


def test_says_which_backend_a_method_needs(folder, tmp_path):
    flags = {"preset": "cifar10", "data": folder, "output": tmp_path / "out"}
    result = run("compare", methods="facnn,tf_keras_vis", **flags)
    assert result.returncode == 1
    assert re.search(
        "--methods tf_keras_vis needs KERAS_BACKEND=tensorflow", result.output
    )
    assert "Reading" not in result.output
