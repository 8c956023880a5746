import sys
from unittest import mock

import keras
import numpy as np
import pytest

from keras_facnn.metrics import __all__ as known
from tests.zoo.conftest import run
from zoo import peers


@pytest.mark.only_on("torch")
def test_times_each_metric_in_both_packages(monkeypatch, small_model):
    """In place of Quantus, whose import takes longer than the rest."""
    inputs = keras.Input((32, 32, 3))
    pooled = keras.layers.AveragePooling2D(2)(inputs)
    model = keras.Model(inputs, small_model(pooled))
    monkeypatch.setattr("keras_facnn.FACNN.from_preset", lambda *_: model)
    monkeypatch.setattr(peers, "_MAPS", 5)
    quantus = mock.MagicMock()
    monkeypatch.setitem(sys.modules, "quantus", quantus)
    result = run("peers", images=2, passes=8, turns=1)
    assert result.returncode == 0, result.output
    header, *rows = [
        line.split(", ") for line in result.output.splitlines() if ", " in line
    ]
    assert header[0] == "metric" and len(rows) == 11
    for name, *numbers in rows:
        assert name in known
        assert all(float(number) >= 0 for number in numbers)
    # Both got the same maps of the same images, also in each turn.
    peer = quantus.FaithfulnessEstimate
    assert peer.call_args.kwargs["features_in_step"] == 128
    asked = peer.return_value.call_args.kwargs
    assert asked["x_batch"].shape == asked["a_batch"].shape == (2, 1, 32, 32)
    assert peer.return_value.call_count == 2


@pytest.mark.only_on("torch")
def test_refuses_passes_that_do_not_divide_the_image():
    result = run("peers", passes=100)
    assert result.returncode != 0
    assert "--passes must divide 1024" in result.output


@pytest.mark.only_on("jax")
def test_needs_pytorch():
    result = run("peers")
    assert result.returncode != 0
    assert "This needs KERAS_BACKEND=torch" in result.output


@pytest.mark.only_on("torch")
def test_the_module_with_channels_first_is_the_same_model(small_model, rng):
    import torch

    gray = peers.gray_model(small_model)
    images = rng.uniform(0, 255, (2, 16, 16, 1)).astype("float32")
    expected = small_model(np.repeat(images, 3, axis=-1)).detach()
    module = peers.channels_first(gray)
    found = module(torch.tensor(images).permute(0, 3, 1, 2)).detach()
    assert not module.training
    np.testing.assert_allclose(found, expected, rtol=1e-5)
