import math
import time

import keras
import numpy as np
import pytest

pytest.importorskip("tensorflow")

from zoo.training.callbacks import Checkpoint
from zoo.training.callbacks import Log
from zoo.training.callbacks import Progress
from zoo.training.checkpoints import Checkpoints

pytestmark = pytest.mark.only_on("torch")


def test_tells_the_time_that_is_left_once_it_is_known(monkeypatch, capsys):
    """Of epochs of one step, of which the first compiles for 100 seconds."""
    now = 0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    progress = Progress(epochs=4, steps=1, batch_size=8)
    for epoch, seconds in enumerate((100, 2, 2, 2)):
        progress.on_epoch_begin(epoch)
        now += seconds
        progress.on_train_batch_end(0, {"loss": 1.0})
        now += 1000  # of validation
        progress.on_epoch_end(epoch, {"loss": 1.0})
        now += 1000
    assert capsys.readouterr().out.splitlines() == [
        "epoch 1/4 step 1/1 loss 1.0000",
        "epoch 2/4 step 1/1 loss 1.0000 4 images/s, 0:00:04 left",
        "epoch 3/4 step 1/1 loss 1.0000 4 images/s, 0:00:02 left",
        "epoch 4/4 step 1/1 loss 1.0000 4 images/s, 0:00:00 left",
    ]


def test_does_not_take_what_was_done_before_for_fast(monkeypatch, capsys):
    """A run that goes on at step 7 of 10: that compiles, 8 to 10 are timed."""
    now = 0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    progress = Progress(epochs=2, steps=10, batch_size=8, offset=6)
    progress.on_epoch_begin(0)
    for step, seconds in enumerate((100, 2, 2, 2)):
        now += seconds
        progress.on_train_batch_end(step, {"loss": 1.0})
    progress.on_epoch_end(0, {"loss": 1.0})
    assert "step 10/10 loss 1.0000 4 images/s, 0:00:20 left" in (
        capsys.readouterr().out
    )


def test_the_best_is_of_a_finite_loss(tmp_path):
    class Model:
        def save_weights(self, path):
            with open(path, "w") as file:
                file.write(self.name)

    best = tmp_path / "best.weights.h5"
    log = Log(str(tmp_path / "log.csv"))
    model = Model()
    values = [(math.nan, 0.9), (2.0, 0.3), (1.0, 0.3000001), (math.inf, 0.8)]
    for epoch, (loss, accuracy) in enumerate(values):
        # As after a kill: what was best before, the log tells.
        checkpoint = Checkpoint(None, str(best), log, 10)
        checkpoint.set_model(model)
        model.name = str(epoch)
        checkpoint.on_test_end({"loss": loss, "accuracy": accuracy})
        assert best.exists() == (epoch > 0)
        log.write(epoch, {"val_loss": loss, "val_accuracy": accuracy})
    assert best.read_text() == "1"
    assert log.best_accuracy() == 0.3


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    """Where the loss is still that of the weights before the last step."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.optimizer.build(model.trainable_variables)
    checkpoints = Checkpoints(str(tmp_path))
    log = Log(str(tmp_path / "log.csv"))
    checkpoint = Checkpoint(checkpoints, str(tmp_path / "best"), log, 10)
    checkpoint.set_model(model)
    checkpoint.on_train_begin()
    logs = {"loss": 1.0, "accuracy": 0.5}
    good = model.get_weights()
    bad = [np.full_like(value, np.inf) for value in good]
    model.set_weights(bad)
    with pytest.raises(FloatingPointError, match="kernel is not .*No checkpo"):
        checkpoint.on_epoch_end(0, logs)
    assert not list(tmp_path.iterdir())
    model.set_weights(good)
    checkpoint.on_epoch_end(0, logs)
    model.set_weights(bad)
    with pytest.raises(FloatingPointError, match=f"{checkpoints.last} was sav"):
        checkpoint.on_epoch_end(1, logs)
    checkpoint.on_train_end()
    model.load_weights(checkpoints.last)
    np.testing.assert_array_equal(model.get_weights()[0], good[0])
    assert [row["epoch"] for row in log.rows()] == ["1"]
