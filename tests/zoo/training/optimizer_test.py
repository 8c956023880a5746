import keras
import numpy as np
import pytest

pytest.importorskip("absl")

from zoo.training.optimizer import ConvMuon
from zoo.training.optimizer import WarmupCosine


def test_equals_the_schedule_of_keras():
    ours = WarmupCosine(0.01, 10, 100)
    theirs = keras.optimizers.schedules.CosineDecay(
        0.0, 90, warmup_target=0.01, warmup_steps=10
    )
    for step in (0, 1, 9, 10, 11, 50, 99, 100, 120):
        np.testing.assert_allclose(
            float(ours(step)), float(theirs(step)), rtol=1e-4, atol=1e-8
        )


def test_refuses_a_warm_up_longer_than_the_run():
    with pytest.raises(ValueError, match="`warmup_steps`.*Received"):
        WarmupCosine(0.01, 100, 100)


def test_muon_steps_are_orthogonal_for_kernels(rng):
    """Newton-Schulz brings each singular value to about 1."""
    kernel = keras.Variable(np.zeros((3, 3, 8, 16), "float32"), name="kernel")
    vector = keras.Variable(np.zeros((16,), "float32"), name="beta")
    optimizer = ConvMuon(learning_rate=1.0, weight_decay=None)
    gradient = rng.normal(size=(3, 3, 8, 16)).astype("float32")
    optimizer.apply(
        [keras.ops.convert_to_tensor(g) for g in (gradient, gradient[0, 0, 0])],
        [kernel, vector],
    )
    step = -keras.ops.convert_to_numpy(kernel.value).reshape(72, 16)
    singular = np.linalg.svd(step, compute_uv=False) / (0.2 * np.sqrt(72))
    assert singular.min() > 0.6
    assert singular.max() < 1.3
    # Adam's first step has length 1 in every entry.
    np.testing.assert_allclose(
        np.abs(keras.ops.convert_to_numpy(vector.value)), 1, rtol=1e-3
    )
