"""The commands, as a user types them."""

import csv
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from keras_facnn import FACNN
from tests.zoo.conftest import NAMES

pytest.importorskip("tensorflow_datasets")

ROOT = pathlib.Path(__file__).parents[2]


def command(module, **flags):
    flags = [f"--{name}={value}" for name, value in flags.items()]
    return [sys.executable, "-m", f"zoo.{module}", *flags]


def start(folder, workdir, log, **flags):
    return subprocess.Popen(
        command(
            "train",
            config="smoke",
            data=folder,
            workdir=workdir,
            batch_size=20,
            validate_every=1,
            precision="float32",
            jit_compile="false",
            **flags,
        ),
        cwd=ROOT,
        stdout=log,
        stderr=subprocess.STDOUT,
    )


def rows(workdir):
    with open(workdir / "log.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """An uninterrupted run of 3 epochs."""
    workdir = tmp_path_factory.mktemp("run")
    with open(workdir / "out.txt", "w") as log:
        process = start(folder, workdir, log, epochs=3, steps_per_epoch=100)
        assert process.wait() == 0, (workdir / "out.txt").read_text()
    return workdir


def test_learns_logs_and_saves_a_preset(trained):
    log = rows(trained)
    assert [row["epoch"] for row in log] == ["1", "2", "3"]
    assert float(log[-1]["val_accuracy"]) > 0.8
    assert list((trained / "tensorboard").rglob("*tfevents*"))
    output = (trained / "out.txt").read_text()
    assert "epoch 3/3 step 100/100 accuracy" in output
    assert "left" in output
    model = FACNN.from_preset(trained / "preset")
    assert model.preset_metadata["class_names"] == NAMES
    training = model.preset_metadata["training"]
    assert training["recipe"]["epochs"] == 3
    assert "python -m zoo.train --config=smoke" in training["command"]


def test_a_killed_run_continues_from_its_checkpoint(folder, trained, tmp_path):
    checkpoint = tmp_path / "last.weights.h5"
    with open(tmp_path / "first.txt", "w") as log:
        process = start(folder, tmp_path, log, epochs=3, steps_per_epoch=100)
        while not checkpoint.exists():
            assert process.poll() is None, (tmp_path / "first.txt").read_text()
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    before = len(rows(tmp_path)) if (tmp_path / "log.csv").exists() else 0
    assert before < 3
    assert not (tmp_path / "preset").exists()
    with open(tmp_path / "second.txt", "w") as log:
        process = start(folder, tmp_path, log, epochs=3, steps_per_epoch=100)
        assert process.wait() == 0
    output = (tmp_path / "second.txt").read_text()
    assert "Starting at epoch 2 of 3" in output
    assert "epoch 1/3" not in output
    one, other = (
        FACNN.from_preset(workdir / "preset") for workdir in (trained, tmp_path)
    )
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=0.02, atol=0.002)


def test_a_run_killed_after_its_last_epoch_saves_its_preset(
    folder, trained, tmp_path
):
    workdir = tmp_path / "run"
    shutil.copytree(trained, workdir)
    shutil.rmtree(workdir / "preset")
    with open(tmp_path / "out.txt", "w") as log:
        process = start(folder, workdir, log, epochs=3, steps_per_epoch=100)
        assert process.wait() == 0, (tmp_path / "out.txt").read_text()
    one, other = (
        FACNN.from_preset(path / "preset") for path in (trained, workdir)
    )
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_refuses_to_continue_with_another_recipe(folder, trained, tmp_path):
    with open(tmp_path / "out.txt", "w") as log:
        process = start(folder, trained, log, epochs=4, steps_per_epoch=100)
        assert process.wait() != 0
    assert "holds another run" in (tmp_path / "out.txt").read_text()


def test_evaluates_and_writes_the_metrics(folder, trained, tmp_path):
    model = FACNN.from_preset(trained / "preset")
    model.save_to_preset(tmp_path / "p", model.preset_metadata)
    result = subprocess.run(
        command(
            "evaluate",
            preset=tmp_path / "p",
            data=folder,
            alignment_images=20,
            verify_images=8,
            write="true",
        ),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    metrics = json.loads((tmp_path / "p" / "metadata.json").read_text())
    metrics = metrics["metrics"]

    from zoo import data

    images, labels, _ = data.load(str(folder), "test", (32, 32, 3))
    logits = model.predict(images, verbose=0)
    np.testing.assert_allclose(
        metrics["top_1"], (logits.argmax(-1) == labels).mean()
    )
    in_top_5 = np.argsort(-logits)[:, :5] == labels[:, None]
    np.testing.assert_allclose(metrics["top_5"], in_top_5.any(-1).mean())
    assert metrics["alignment"]["mean_pearson"]["fa_3"] > 0.99999
    assert metrics["exactness"]["completeness_error"] < 1e-3
    assert os.fspath(folder) not in json.dumps(metrics)
    FACNN.from_preset(tmp_path / "p")
