"""The commands, as a user types them.

In this process, where a process of its own is not what is tested: that imports
each backend anew.
"""

import csv
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings

import h5py
import keras
import numpy as np
import pytest
from scipy import special

from keras_facnn import FACNN
from tests.zoo import conftest
from tests.zoo.conftest import NAMES
from tests.zoo.conftest import ROOT
from tests.zoo.conftest import command
from tests.zoo.conftest import run
from tests.zoo.conftest import with_set
from zoo.counts import multiply_adds
from zoo.recipe import Recipe
from zoo.recipe import Stage
from zoo.recipes import smoke
from zoo.records import field_names

pytest.importorskip("tensorflow")

BACKEND = keras.backend.backend()

FLAGS = {
    "recipe": "smoke",
    "batch_size": 20,
    "validate_every": 1,
    "precision": "float32",
}
SMOKE = smoke.recipe.stages[0].model
LONG = {"epochs": 3, "steps_per_epoch": 40}


def start(folder, workdir, log, environment=None, **flags):
    """Starts a training in a process of its own."""
    flags = {**FLAGS, "data": folder, "workdir": workdir, **flags}
    return conftest.start("train", log, environment, **with_set(flags))


def train(folder, workdir, **flags):
    """Trains in this process."""
    flags = {**FLAGS, "data": folder, "workdir": workdir, **flags}
    return run("train", **with_set(flags))


def rows(workdir):
    with open(workdir / "log.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """An uninterrupted run of 3 epochs."""
    workdir = tmp_path_factory.mktemp("run")
    result = train(folder, workdir, **LONG)
    assert result.returncode == 0, result.output
    (workdir / "out.txt").write_text(result.output)
    return workdir


def test_learns_logs_and_saves_a_preset(trained):
    log = rows(trained)
    assert [row["epoch"] for row in log] == ["1", "2", "3"]
    assert float(log[-1]["val_accuracy"]) > 0.8
    assert list((trained / "tensorboard").rglob("*tfevents*"))
    output = (trained / "out.txt").read_text()
    assert "epoch 3/3 step 40/40 accuracy" in output
    assert "left" in output
    model = FACNN.from_preset(trained / "preset")
    assert model.preset_metadata["class_names"] == NAMES
    training = model.preset_metadata["training"]
    assert training["recipe"]["epochs"] == 3
    assert "python -m zoo.train" in training["command"]
    assert "--recipe=smoke" in training["command"]


def stored(path):
    """All arrays of an HDF5 file, by name."""
    arrays = {}

    def keep(name, item):
        if isinstance(item, h5py.Dataset):
            arrays[name] = item[()]

    with h5py.File(path) as file:
        file.visititems(keep)
    assert arrays
    return arrays


def stop(process, checkpoint, output, number, saves):
    """Sends a signal once some more checkpoints were written."""
    before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else None
    while saves:
        assert process.poll() is None, output.read_text()
        now = checkpoint.stat().st_mtime_ns if checkpoint.exists() else None
        saves -= now != before
        before = now
        time.sleep(0.005)
    process.send_signal(number)
    return process.wait()


@pytest.mark.only_on("tensorflow", "jax")
def test_a_run_stopped_and_killed_ends_with_the_same_weights(
    folder, trained, tmp_path
):
    """Bit for bit, wherever in an epoch it was killed; so does Ctrl-C."""
    checkpoint, output = tmp_path / "last.weights.h5", tmp_path / "out.txt"
    flags = {**LONG, "checkpoint_minutes": 0}
    rng = np.random.default_rng()
    for number in (signal.SIGINT, signal.SIGKILL):
        with open(output, "w") as log:
            process = start(folder, tmp_path, log, **flags)
            saves = int(rng.integers(1, 4))
            code = stop(process, checkpoint, output, number, saves)
        if number == signal.SIGKILL:
            assert code == -signal.SIGKILL
        else:
            assert code == 128 + signal.SIGINT
            assert "Stopped" in output.read_text()
        assert not (tmp_path / "preset").exists()
    result = train(folder, tmp_path, **LONG)
    assert result.returncode == 0, result.output
    one, other = (stored(p / "last.weights.h5") for p in (trained, tmp_path))
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)
    assert [row["epoch"] for row in rows(tmp_path)] == ["1", "2", "3"]


def assert_same_run(one, other):
    """Bit for bit the same last and best weights, and the same log."""
    for name in ("last", "best"):
        a, b = (stored(path / f"{name}.weights.h5") for path in (one, other))
        assert a.keys() == b.keys()
        for key, array in a.items():
            np.testing.assert_array_equal(array, b[key], err_msg=key)
    logs = [(path / "log.csv").read_text() for path in (one, other)]
    assert logs[0] == logs[1]


@pytest.mark.only_on("torch")
def test_a_run_killed_in_a_validation_loses_nothing_of_it(
    folder, trained, tmp_path
):
    """Its row and `best` are those of a run that nothing killed."""
    flags = with_set({**FLAGS, **LONG, "data": folder, "workdir": tmp_path})
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            KILLED_IN_VALIDATION,
            *(f"--{name}={value}" for name, value in flags.items()),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == -signal.SIGKILL, result.stderr
    assert [row["epoch"] for row in rows(tmp_path)] == ["1"]
    result = train(folder, tmp_path, **LONG)
    assert result.returncode == 0, result.output
    assert "Ending epoch 2 of 3" in result.output
    assert_same_run(trained, tmp_path)


KILLED_IN_VALIDATION = """
import os, signal
from zoo import inputs, train

def main():
    from zoo.training import callbacks

    def kill(self, step, logs=None):
        if self.log.rows():
            os.kill(os.getpid(), signal.SIGKILL)

    callbacks.Checkpoint.on_test_batch_end = kill
    train.main()

train.define_flags()
inputs.run(main)
"""


class Kill(BaseException):
    """Ends a run at once, as a kill does: nothing is written after it."""


@pytest.fixture(scope="module")
def averaged(folder, tmp_path_factory):
    """A run of two epochs, whose validation is of averaged weights."""
    workdir = tmp_path_factory.mktemp("averaged")
    result = train(folder, workdir, **AVERAGED)
    assert result.returncode == 0, result.output
    return workdir


AVERAGED = {"epochs": 2, "steps_per_epoch": 2, "ema": 0.5}


@pytest.mark.parametrize(
    "file, times",
    [
        # After the second step of the first epoch, which begins anew with it.
        ("last.weights.h5", 2),
        # In the validation after it, and after that.
        ("best.weights.h5", 1),
        ("last.weights.h5", 3),
    ],
)
def test_a_kill_anywhere_loses_nothing(
    folder, averaged, tmp_path, monkeypatch, file, times
):
    """Before some file is put in its place; each step makes a checkpoint."""
    real, seen = os.replace, []

    def replace(source, target):
        seen.append(os.path.basename(target))
        if (seen[-1], seen.count(file)) == (file, times):
            raise Kill
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(Kill):
        train(folder, tmp_path, checkpoint_minutes=0, **AVERAGED)
    monkeypatch.setattr(os, "replace", real)
    result = train(folder, tmp_path, **AVERAGED)
    assert result.returncode == 0, result.output
    assert_same_run(averaged, tmp_path)


@pytest.mark.parametrize("kept", [True, False])
def test_a_diverged_run_keeps_what_was_finite(folder, tmp_path, kept):
    """The rate is 0 at the first step and too high at the others."""
    flags = {"epochs": 2, "steps_per_epoch": 4, "learning_rate": 1e38}
    if kept:
        flags["checkpoint_minutes"] = 0
    # Again: the same command goes on from what is kept.
    for _ in range(1 + kept):
        result = train(folder, tmp_path, **flags)
        assert result.returncode == 1
        assert "FloatingPointError: The training has div" in result.output
        last = tmp_path / "last.weights.h5"
        assert last.exists() == kept
        if kept:
            assert f"The checkpoint {last} was saved before" in result.output
            for name, array in stored(last).items():
                assert np.isfinite(array).all(), name
        else:
            assert "No checkpoint was saved" in result.output
        assert not (tmp_path / "best.weights.h5").exists()
        assert not (tmp_path / "log.csv").exists()


@pytest.mark.only_on("torch")
@pytest.mark.parametrize(
    "flags, fault",
    [
        ({"description": "caf\udce9"}, r"`--description` must .*caf\\udce9"),
        ({"dataset": "x\udcff"}, r"`--dataset` must be text in UTF-8"),
        ({"make": "tensorboard"}, "`--workdir .* other things .*/tensorb"),
        ({"make": "best.weights.h5/x"}, "`--workdir .* other .*/best.w"),
        ({"make": "last.weights.h5.sha256/x"}, "`--workdir .* oth.*sha256"),
        ({"make": "preset"}, "`--workdir .* other things .*/preset"),
        ({"make": "preset/notes.txt"}, "`--workdir .* other things .*/preset"),
        (
            {"make": "model.keras/x", "baseline": "plain"},
            "`--workdir .* other things .*model.keras",
        ),
        ({"data": "caf\udce9"}, r"class folder '.*\\udce9' .* in UTF-8"),
        ({"baseline": "unsavable"}, "could not be saved as .*layer 'twice'"),
    ],
)
def test_says_before_the_training_that_it_could_not_save(
    folder, tmp_path, monkeypatch, flags, fault
):
    workdir, flags = tmp_path / "run", {"epochs": 1, **flags}
    made = workdir / flags.pop("make", "none")
    if made.name != "none":
        made.parent.mkdir(parents=True)
        made.write_text("mine")
    if "data" in flags:
        name = flags.pop("data")
        shutil.copytree(folder, tmp_path / "data")
        folder = tmp_path / "data"
        for split in ("train", "test"):
            (folder / split / "class_3").rename(folder / split / name)
    if flags.get("baseline") == "plain":
        flags |= BASELINE
    if flags.get("baseline") == "unsavable":
        del flags["baseline"]
        monkeypatch.setattr("zoo.networks.build", unsavable)
    monkeypatch.setattr(keras.Model, "fit", None)
    result = train(folder, workdir, **flags)
    assert result.returncode == 1
    assert re.search(fault, result.output), result.output
    assert "Traceback" not in result.output
    # Nothing is left that the right command would trip over.
    assert made.name == "none" or made.read_text() == "mine"
    left = {path.name for path in workdir.glob("*")}
    assert left <= {"lock", made.relative_to(workdir).parts[0]}


def unsavable(kind, arguments, init):
    class Twice(keras.layers.Layer):
        def call(self, x):
            return 2 * x

    inputs = keras.Input((32, 32, 3))
    maps = Twice(name="twice")(keras.layers.Conv2D(4, 3, 2)(inputs))
    backbone = keras.Model(inputs, maps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return FACNN(10, (32, 32, 3), (1,), (1,), backbone=backbone)


@pytest.mark.only_on("torch")
def test_saves_weights_that_float16_cannot_hold(folder, tmp_path):
    """And what the preset that it began with says of itself."""
    model = FACNN(**SMOKE.arguments())
    values = model.get_weights()
    values[0].flat[0] = 1e5
    model.set_weights(values)
    model.save_to_preset(tmp_path / "start", {"training": "by hand"})
    flags = {"init": tmp_path / "start", "epochs": 1, "steps_per_epoch": 1}
    result = train(folder, tmp_path / "run", learning_rate=0, **flags)
    assert result.returncode == 0, result.output
    assert "saved as float32: 100000 is among them" in result.output
    model = FACNN.from_preset(tmp_path / "run" / "preset")
    assert model.get_weights()[0].flat[0] == 1e5
    assert model.preset_metadata["training"]["before"] == "by hand"
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        *("best.weights.h5", "before.weights.h5", "last.weights.h5"),
        *("last.weights.h5.sha256", "lock", "log.csv", "preset", "run.json"),
        "tensorboard",
    }


# Of less than a tenth of the cost of `cifar10`.
BASELINE = {
    "recipe": "cifar10",
    "model.depths": (10, 14),
    "model.maps_per_class": (3, 6),
    "model.space_to_depth": 2,
    "model.classwise_layers": 0,
    "learning_rate": 0.01,
    "pad": 3,
    "cutout": 0,
    "cutmix": 0,
}


@pytest.fixture(scope="module")
def baseline(folder, tmp_path_factory):
    """A plain CNN of equal cost."""
    workdir = tmp_path_factory.mktemp("baseline")
    flags = {**BASELINE, "baseline": "plain"}
    result = train(folder, workdir, epochs=1, steps_per_epoch=30, **flags)
    assert result.returncode == 0, result.output
    return workdir


@pytest.mark.only_on("torch")
def test_trains_a_baseline_of_equal_cost(baseline):
    assert float(rows(baseline)[-1]["val_accuracy"]) > 0.5
    model = keras.saving.load_model(baseline / "model.keras")
    facnn = FACNN(10, (32, 32, 3), (10, 14), (3, 6), space_to_depth=2)
    assert multiply_adds(model) == pytest.approx(multiply_adds(facnn), rel=0.05)


@pytest.mark.only_on("jax", "torch")
def test_trains_a_baseline_on(folder, baseline, tmp_path):
    flags = {**BASELINE, "init": baseline / "model.keras"}
    flags |= {"epochs": 1, "steps_per_epoch": 1, "learning_rate": 0}
    result = train(folder, tmp_path, baseline="plain", **flags)
    assert result.returncode == 0, result.output
    before, after = (
        keras.saving.load_model(path / "model.keras").trainable_variables
        for path in (baseline, tmp_path)
    )
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(
            *(keras.ops.convert_to_numpy(x) for x in (a, b))
        )
    result = train(folder, tmp_path / "other", baseline="resnet", **flags)
    assert result.returncode != 0
    assert "must be the recipe's resnet model" in result.output


@pytest.mark.only_on("torch")
def test_evaluates_a_baseline(folder, baseline):
    path = baseline / "model.keras"
    result = run("evaluate", preset=path, data=folder)
    assert result.returncode == 0, result.output
    report = json.loads(result.output[result.output.index("{\n") :])

    from zoo.data import images as data

    images, labels, _ = data.load(str(folder), "test", (32, 32, 3))
    logits = keras.saving.load_model(path).predict(images, verbose=0)
    assert report["top_1"] == (logits.argmax(-1) == labels).mean()
    assert "alignment" not in report


def losses(workdir):
    """Of each epoch, and of the last validation."""
    log = rows(workdir)
    return [float(row["loss"]) for row in log] + [float(log[-1]["val_loss"])]


def by_one_and_two_devices(folder, tmp_path, **flags):
    """The losses of either training, and what the second one said."""
    one, two, output = (tmp_path / name for name in ("1", "2", "out.txt"))
    result = train(folder, one, **flags)
    assert result.returncode == 0, result.output
    # Devices are split before anything runs.
    with open(output, "w") as log:
        process = start(folder, two, log, cpu_devices=2, **flags)
        assert process.wait() == 0, output.read_text()
    return losses(one), losses(two), output.read_text()


@pytest.mark.skipif(BACKEND == "torch", reason="one device on PyTorch")
def test_two_devices_give_the_losses_of_one(folder, trained, tmp_path):
    """Global batch, synchronized batch norm, deep alignment, a teacher."""
    flags = {"epochs": 20, "steps_per_epoch": 1, "validate_every": 20}
    flags["teacher"] = trained / "preset"
    one, two, said = by_one_and_two_devices(folder, tmp_path, **flags)
    assert "10 images per step on each of" in said
    assert len(one) == 21
    np.testing.assert_allclose(one, two, rtol=1e-4)


@pytest.mark.skipif(
    BACKEND != "tensorflow",
    reason="only TensorFlow has to be asked to synchronize batch norm",
)
def test_two_devices_give_the_losses_of_one_for_a_baseline(folder, tmp_path):
    flags = {"model.maps_per_class": (2, 4), "baseline": "plain"}
    flags |= {"epochs": 3, "steps_per_epoch": 1, "validate_every": 3}
    one, two, _ = by_one_and_two_devices(folder, tmp_path, **flags)
    assert len(one) == 4
    np.testing.assert_allclose(one[:3], two[:3], rtol=1e-3)


@pytest.mark.skipif(BACKEND != "jax", reason="several processes need JAX")
def test_two_processes_give_the_losses_of_one(folder, tmp_path):
    """As on two machines, which share the workdir; broken off and continued."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    flags = {"epochs": 10, "steps_per_epoch": 2, "validate_every": 10}
    whole, both = tmp_path / "one", tmp_path / "two"
    result = train(folder, whole, **flags)
    assert result.returncode == 0, result.output

    outputs = [tmp_path / f"{i}.txt" for i in range(2)]

    def start_both():
        processes = []
        for i, output in enumerate(outputs):
            environment = {
                "KERAS_DISTRIBUTION_JOB_ADDRESSES": address,
                "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
                "KERAS_DISTRIBUTION_PROCESS_ID": str(i),
            }
            with open(output, "w") as log:
                processes.append(start(folder, both, log, environment, **flags))
        return processes

    processes = start_both()
    while not (both / "log.csv").exists() or len(rows(both)) < 3:
        for process, output in zip(processes, outputs, strict=True):
            assert process.poll() is None, output.read_text()
        time.sleep(0.005)
    for process in processes:
        process.kill()
        process.wait()
    for process, output in zip(start_both(), outputs, strict=True):
        assert process.wait() == 0, output.read_text()
    assert "10 images per step on each of" in outputs[0].read_text()
    np.testing.assert_allclose(losses(whole), losses(both), rtol=1e-4)
    FACNN.from_preset(both / "preset")


def test_refuses_devices_it_cannot_use(folder, tmp_path):
    own, other = {
        "tensorflow": ("mirrored", "data_parallel"),
        "jax": ("data_parallel", "mirrored"),
        "torch": ("one_device", "mirrored"),
    }[BACKEND]
    cases = [
        ({"strategy": "multi"}, "strategy"),
        (
            {"strategy": other},
            f"must be {own} or auto.*KERAS_BACKEND={BACKEND}.*{other}",
        ),
    ]
    if BACKEND == "torch":
        message = "`--cpu_devices` needs.*Received: KERAS_BACKEND=torch"
        cases.append(({"cpu_devices": 2}, message))
    for flags, message in cases:
        result = train(folder, tmp_path / "run", **flags)
        assert result.returncode != 0
        assert re.search(message, result.output)


@pytest.mark.skipif(BACKEND == "torch", reason="one device on PyTorch")
def test_refuses_batches_that_devices_cannot_share(folder, tmp_path):
    with open(tmp_path / "out.txt", "w") as log:
        process = start(folder, tmp_path / "run", log, cpu_devices=3)
        assert process.wait() != 0
    said = (tmp_path / "out.txt").read_text()
    assert re.search("multiple of the 3 devices.*batch_size=20", said)


@pytest.mark.only_on("jax")
def test_saves_averaged_weights(folder, tmp_path):
    """A tiny momentum keeps the last step; 0.999 stays near the start."""
    momenta = {"off": {}, "last": {"ema": 1e-6}, "start": {"ema": 0.999}}
    weights = {}
    for name, flags in momenta.items():
        result = train(
            folder, tmp_path / name, epochs=2, steps_per_epoch=10, **flags
        )
        assert result.returncode == 0, result.output
        model = FACNN.from_preset(tmp_path / name / "preset")
        weights[name] = np.concatenate([np.ravel(w) for w in kernels(model)])
    np.testing.assert_allclose(weights["last"], weights["off"], atol=2e-3)
    keras.utils.set_random_seed(0)
    first = np.concatenate(
        [np.ravel(w) for w in kernels(FACNN(**SMOKE.arguments()))]
    )
    moved = np.abs(weights["off"] - first).max()
    assert moved > 0.01
    assert np.abs(weights["start"] - first).max() < 0.1 * moved
    # The best checkpoint is what was validated: the averages.
    best = FACNN(**SMOKE.arguments())
    best.load_weights(tmp_path / "start" / "best.weights.h5")
    best = np.concatenate([np.ravel(w) for w in kernels(best)])
    assert np.abs(best - first).max() < 0.1 * moved


@pytest.mark.only_on("torch")
def test_the_evidence_of_all_classes_has_its_price(folder, tmp_path):
    validated = []
    for penalty in (0, 2):
        result = train(
            folder,
            tmp_path / str(penalty),
            epochs=1,
            steps_per_epoch=1,
            learning_rate=0,
            evidence_penalty=penalty,
        )
        assert result.returncode == 0, result.output
        validated.append(float(rows(tmp_path / str(penalty))[-1]["val_loss"]))
    from zoo.data import images as data

    images, _, _ = data.load(str(folder), "test", (32, 32, 3))
    model = FACNN.from_preset(tmp_path / "2" / "preset")
    mean = model.predict(images, verbose=0).mean()
    np.testing.assert_allclose(validated[1] - validated[0], 2 * mean, rtol=1e-2)


def test_learns_what_a_teacher_says(folder, trained, tmp_path):
    """Its word against the labels: each class is called by another's name."""
    right = FACNN.from_preset(trained / "preset")
    exchanged = keras.layers.Dense(10, use_bias=False)
    wrong = keras.Model(right.inputs, exchanged(right.outputs[0]))
    # Large logits, so that it is sure.
    exchanged.set_weights([20 * np.eye(10, dtype="float32")[::-1]])
    wrong.save(tmp_path / "wrong.keras")
    # A slip leaves nothing behind that the right command would trip over.
    sure = {"teacher.weight": 1}
    other = {"teacher": "imagenet100", **sure}
    result = train(folder, tmp_path / "run", **LONG, **other)
    assert result.returncode == 1
    assert "must take images of 3 channels and give the" in result.output
    flags = {"teacher": tmp_path / "wrong.keras", **sure}
    result = train(folder, tmp_path / "run", **LONG, **flags)
    assert result.returncode == 0, result.output
    from zoo.data import images as data

    images, labels, _ = data.load(str(folder), "test", (32, 32, 3))
    student = FACNN.from_preset(tmp_path / "run" / "preset")
    says = student.predict(images, verbose=0).argmax(-1)
    assert (says == 9 - labels).mean() > 0.7
    record = student.preset_metadata["training"]
    assert record["teacher"]["name"] == "wrong.keras"
    assert record["teacher"]["weight"] == 1
    result = train(folder, tmp_path / "run", **LONG)
    assert result.returncode == 1
    assert "holds another run" in result.output
    assert "teacher" in result.output
    result = train(folder, tmp_path / "run", **LONG, **{"teacher.weight": 0.5})
    assert "No stage that is run has a `teacher.weight`" in result.output


def kernels(model):
    return [
        keras.ops.convert_to_numpy(variable)
        for variable in model.trainable_variables
        if variable.path.endswith("kernel")
    ]


@pytest.mark.only_on("torch")
@pytest.mark.parametrize(
    "flag, alpha",
    [
        ({"model.alpha": 0.3}, 0.3),
        ({"model.late_alphas": 0.5}, [1 / 2, 1 / 6, 1 / 8]),
    ],
)
def test_flags_change_the_model(flag, alpha, folder, tmp_path):
    result = train(
        folder,
        tmp_path,
        **{
            "epochs": 1,
            "steps_per_epoch": 1,
            **flag,
            "model.maps_per_class": (2, 2),
            "model.classwise_layers": 1,
            "model.padding": "edge",
            "model.deep_alignment": 0,
        },
    )
    assert result.returncode == 0, result.output
    config = FACNN.from_preset(tmp_path / "preset").get_config()
    assert config["alpha"] == alpha
    assert config["maps_per_class"] == [2, 2]
    assert config["classwise_layers"] == 1
    assert config["padding"] == "edge"
    assert config["deep_alignment"] == 0


@pytest.mark.only_on("torch")
def test_the_record_holds_what_was_used(folder, tmp_path):
    """Flags, defaults, and what a short run or a baseline goes without."""
    flags = {"epochs": 1, "steps_per_epoch": 1, "baseline": "plain"}
    flags["model.maps_per_class"] = (2, 4)
    result = train(folder, tmp_path, fit="pad", clip_norm=1, **flags)
    assert result.returncode == 0, result.output
    recipe = json.loads((tmp_path / "run.json").read_text())["recipe"]
    fields = {*field_names(Recipe), *field_names(Stage), "stage"}
    elsewhere = {"about", "stages", "name", "init", "teacher"}
    assert recipe.keys() == fields - elsewhere
    used = {"epochs": 1, "batch_size": 20, "fit": "pad", "clip_norm": 1}
    used |= {"cutmix": 0.0, "pad": 2, "warmup_epochs": 0.5, "ema": None}
    assert {k: recipe[k] for k in used} == used
    assert recipe["model"]["maps_per_class"] == [2, 4]
    assert recipe["model"]["deep_alignment"] == 0
    flags |= {"evidence_penalty": 1}
    result = train(folder, tmp_path / "other", **flags)
    assert result.returncode == 1
    assert "`evidence_penalty` is only for an FA-CNN" in result.output


@pytest.mark.only_on("torch")
def test_refuses_splits_of_different_classes(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "data")
    os.rename(
        tmp_path / "data" / "test" / "class_3",
        tmp_path / "data" / "test" / "class_x",
    )
    result = train(tmp_path / "data", tmp_path / "run", epochs=1)
    assert result.returncode != 0
    assert re.search(
        r"same classes. Only in 'train': \['class_3'\]. Only in 'test': "
        r"\['class_x'\]",
        result.output,
    )


def test_a_run_killed_after_its_last_epoch_saves_its_preset(
    folder, trained, tmp_path
):
    workdir = tmp_path / "run"
    shutil.copytree(trained, workdir)
    shutil.rmtree(workdir / "preset")
    result = train(folder, workdir, **LONG)
    assert result.returncode == 0, result.output
    one, other = (
        FACNN.from_preset(path / "preset") for path in (trained, workdir)
    )
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_refuses_to_continue_with_another_recipe(folder, trained):
    result = train(folder, trained, **{**LONG, "epochs": 4})
    assert result.returncode != 0
    assert "holds another run" in result.output


def test_evaluates_and_writes_the_metrics(folder, trained, tmp_path):
    model = FACNN.from_preset(trained / "preset")
    model.save_to_preset(tmp_path / "p", model.preset_metadata)
    result = run(
        "evaluate",
        preset=tmp_path / "p",
        data=folder,
        alignment_images=20,
        verify_images=8,
        unknown=folder,
        unknown_split="train",
        write="true",
    )
    assert result.returncode == 0, result.output
    metrics = json.loads((tmp_path / "p" / "metadata.json").read_text())
    metrics = metrics["metrics"]

    from zoo.data import images as data

    images, labels, _ = data.load(str(folder), "test", (32, 32, 3))
    logits = model.predict(images, verbose=0)
    np.testing.assert_allclose(
        metrics["top_1"], (logits.argmax(-1) == labels).mean()
    )
    table = np.zeros((10, 10))
    np.add.at(table, (labels, logits.argmax(-1)), 1)
    recalls = table.diagonal() / table.sum(1)
    np.testing.assert_allclose(metrics["balanced"], recalls.mean())
    evidence = model.class_maps(images).mean((1, 2))
    np.testing.assert_allclose(
        metrics["shared_evidence"],
        evidence.mean() / evidence.max(-1).mean(),
        rtol=1e-4,
    )
    in_top_5 = np.argsort(-logits)[:, :5] == labels[:, None]
    np.testing.assert_allclose(metrics["top_5"], in_top_5.any(-1).mean())
    alignment = metrics["alignment"]
    assert alignment["mean_pearson"]["fa_3"] > 0.99999
    # A centered map at the last layer, against Grad-CAM, which is the raw one.
    maps = model.class_maps(images, "all")[
        np.linspace(0, len(images) - 1, 20).astype(int)
    ]
    own = maps.mean((1, 2)).argmax(-1), np.arange(20)
    raw, centered = (
        x[own[1], ..., own[0]] for x in (maps, maps - maps.mean(-1)[..., None])
    )
    np.testing.assert_allclose(
        alignment["mean_pearson_of_centered"]["fa_3"],
        np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1]
                 for a, b in zip(raw, centered, strict=True)]),
        atol=1e-4,
    )  # fmt: skip
    for name in ("other_image", "shuffled_weights"):
        control = alignment["controls"][name]
        assert control.keys() == alignment.keys() - {"images", "controls"}
        for suffix in ("", "_of_contrast", "_of_centered"):
            assert control[f"mean_pearson{suffix}"]["fa_3"] < 0.9
            low, high = control[f"interval{suffix}"]["fa_3"]
            assert low < control[f"mean_pearson{suffix}"]["fa_3"] < high
    assert metrics["exactness"]["completeness_error"] < 1e-3
    assert os.fspath(folder) not in json.dumps(metrics)
    others, _, _ = data.load(str(folder), "train", (32, 32, 3))
    known = logits.max(-1)[:, None]
    unknown = model.predict(others, verbose=0).max(-1)
    np.testing.assert_allclose(
        metrics["unknown"]["auroc"]["largest_logit"],
        (known > unknown).mean() + (known == unknown).mean() / 2,
        atol=1e-3,
    )
    assert metrics["unknown"]["images"] == len(others)
    likeliest = special.softmax(logits, -1).max(-1)
    unsure = metrics["unknown"]["unsure"]
    np.testing.assert_allclose(unsure["known"], (likeliest < 0.5).mean())
    shares = special.softmax(model.predict(others, verbose=0), -1).max(-1)
    np.testing.assert_allclose(unsure["unknown"], (shares < 0.5).mean())
    FACNN.from_preset(tmp_path / "p")


@pytest.mark.only_on("torch")
@pytest.mark.parametrize(
    "module, names",
    [
        ("train", ["recipe", "data", "workdir", "cpu_devices", "set"]),
        ("compare", ["preset", "data", "output", "split"]),
    ],
)
def test_help_names_the_flags_of_other_modules_too(module, names):
    result = subprocess.run(
        command(module) + ["--help"], cwd=ROOT, capture_output=True, text=True
    )
    for name in names:
        assert f"--{name}:" in result.stdout


@pytest.mark.only_on("torch")
def test_starts_from_a_preset_that_says_nothing_of_its_training(
    folder, tmp_path
):
    FACNN(**SMOKE.arguments()).save_to_preset(tmp_path / "start")
    flags = {"init": tmp_path / "start", "epochs": 1, "steps_per_epoch": 1}
    result = train(folder, tmp_path / "run", **flags)
    assert result.returncode == 0, result.output
    training = FACNN.from_preset(tmp_path / "run" / "preset").preset_metadata
    assert training["training"]["before"] is None


@pytest.mark.only_on("torch")
def test_refuses_batches_larger_than_the_data(folder, tmp_path):
    result = train(folder, tmp_path / "run", batch_size=500)
    assert result.returncode != 0
    assert "must be at most the 120 training images" in result.output


@pytest.mark.only_on("torch")
def test_broken_images_count_for_no_batch(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "data")
    broken = next((tmp_path / "data" / "train").rglob("*.png"))
    broken.write_bytes(b"broken")
    flags = {"batch_size": 120, "skip_broken": True}
    result = train(tmp_path / "data", tmp_path / "run", **flags)
    assert result.returncode == 1
    assert "must be at most the 119 training images" in result.output


@pytest.mark.only_on("torch")
def test_help_says_what_each_recipe_is():
    result = subprocess.run(
        command("train") + ["--help"], cwd=ROOT, capture_output=True, text=True
    )
    for name in conftest.RECIPES:
        assert re.search(rf"^ +{name}: \S+ \S+", result.stdout, re.MULTILINE)


@pytest.fixture(scope="module")
def short(folder, tmp_path_factory):
    """A run of two epochs of one step, on a copy of the data."""
    root = tmp_path_factory.mktemp("short")
    shutil.copytree(folder, root / "data")
    result = train(root / "data", root / "run", epochs=2, steps_per_epoch=1)
    assert result.returncode == 0, result.output
    return root


@pytest.fixture
def again(short, tmp_path):
    """Continues a copy of that run, whose preset is lost."""
    shutil.copytree(short, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "run" / "preset")

    def go_on(**flags):
        flags = {"epochs": 2, "steps_per_epoch": 1, **flags}
        return train(tmp_path / "data", tmp_path / "run", **flags)

    return go_on


@pytest.mark.parametrize("damage", ["cut", "empty", "flip"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    short, again, tmp_path, damage
):
    """What came since is done again, bit for bit, and a line says so."""
    path = tmp_path / "run" / "last.weights.h5"
    contents = bytearray(path.read_bytes())
    middle = len(contents) // 2
    contents[middle] ^= 4
    path.write_bytes(
        {"cut": contents[:middle], "empty": b"", "flip": contents}[damage]
    )
    result = again()
    assert result.returncode == 0, result.output
    assert len(re.findall("continues from the one before", result.output)) == 1
    assert "Ending epoch 2 of 2" in result.output
    one, other = (
        stored(root / "run" / "last.weights.h5") for root in (short, tmp_path)
    )
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)
    assert [row["epoch"] for row in rows(tmp_path / "run")] == ["1", "2"]


def test_refuses_to_continue_from_damaged_checkpoints(again, tmp_path):
    for name in ("last", "before"):
        (tmp_path / "run" / f"{name}.weights.h5").write_bytes(b"")
    result = again()
    assert result.returncode == 1
    assert "ValueError: Neither" in result.output
    assert os.fspath(tmp_path / "run" / "last.weights.h5") in result.output


@pytest.mark.only_on("torch")
@pytest.mark.parametrize("change", ["content", "name", "class"])
def test_refuses_to_continue_with_other_data_of_the_same_name(
    again, tmp_path, change
):
    image = tmp_path / "data" / "train" / "class_3" / "1.png"
    if change == "content":
        image.write_bytes(image.read_bytes() + b"0")
    elif change == "name":
        image.rename(image.with_name("99.png"))
    else:
        lines = [f"{name}\t{name}'s" for name in NAMES]
        table = "\n".join(["folder\tname", *lines])
        (tmp_path / "data" / "classes.tsv").write_text(table)
    result = again()
    assert result.returncode == 1
    assert "other images or classes" in result.output
    assert "Reading" not in result.output


@pytest.mark.only_on("torch")
@pytest.mark.parametrize(
    "name, contents",
    [
        ("run.json", "{"),
        ("run.json", ""),
        ("run.json", "[]"),
        ("run.json", b"\xff"),
        ("log.csv", "garbage"),
        ("log.csv", b"\xff\xfe"),
        ("log.csv", "epoch,loss,accuracy,val_loss,val_accuracy\n1,a,b,c,d\n"),
        ("log.csv", "epoch,loss,accuracy,val_loss,val_accuracy\n1,2\n"),
    ],
)
def test_names_a_record_that_is_damaged(again, tmp_path, name, contents):
    path = tmp_path / "run" / name
    path.write_bytes(
        contents if isinstance(contents, bytes) else contents.encode()
    )
    result = again()
    assert result.returncode == 1
    assert f"{path} is damaged" in result.output
    assert "Traceback" not in result.output


def test_two_runs_cannot_share_a_workdir(again, tmp_path):
    from zoo.training import record

    with record.locked(tmp_path / "run"):
        result = again()
    assert result.returncode == 1
    assert "Another run is at work" in result.output
    assert again().returncode == 0


@pytest.mark.only_on("torch")
def test_trains_on_a_folder_of_somebody(folder, tmp_path):
    """Three classes, no splits, and nothing said of other data."""
    for name in NAMES[:3]:
        shutil.copytree(folder / "train" / name, tmp_path / "mine" / name)
    flags = {"epochs": 1, "validation_fraction": 0.25}
    result = train(tmp_path / "mine", tmp_path / "run", **flags)
    assert result.returncode == 0, result.output
    model = FACNN.from_preset(tmp_path / "run" / "preset")
    metadata = model.preset_metadata
    assert model.num_classes == 3
    # As many channels as ten classes of one map.
    assert model.get_config()["maps_per_class"] == [3, 6]
    assert metadata["class_names"] == NAMES[:3]
    assert metadata["dataset"] == {"name": "mine", "license": "Not stated."}
    assert metadata["training"]["recipe"]["fit"] == "crop"
    assert "cifar" not in json.dumps(metadata).lower()
    flags |= {"description": "Mine.", "dataset": "M", "dataset_license": "CC0"}
    flags |= {"fit": "pad"}
    result = train(tmp_path / "mine", tmp_path / "other", **flags)
    assert result.returncode == 0, result.output
    metadata = FACNN.from_preset(tmp_path / "other" / "preset").preset_metadata
    assert metadata["description"] == "Mine."
    assert metadata["dataset"] == {"name": "M", "license": "CC0"}
    assert metadata["training"]["recipe"]["fit"] == "pad"
