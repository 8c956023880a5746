import time

import pytest

pytest.importorskip("tensorflow")

from zoo.training.callbacks import Progress

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
