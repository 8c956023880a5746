"""Checkpoints of a training."""

import keras
import numpy as np
import pytest

from keras_facnn.transfer.checkpoint import Checkpoint

pytestmark = pytest.mark.only_on("torch")


def test_restores_only_the_same_training(tmp_path):
    path = tmp_path / "thorough.npz"
    Checkpoint(path, {"seed": 0}).save(
        [keras.Variable(np.ones(3))], {"rounds": 2}
    )
    variable = keras.Variable(np.zeros(3))
    assert Checkpoint(path, {"seed": 1}).restore([variable]) is None
    np.testing.assert_array_equal(variable, np.zeros(3))
    state = Checkpoint(path, {"seed": 0}).restore([variable])
    assert state == {"rounds": 2}
    np.testing.assert_array_equal(variable, np.ones(3))
