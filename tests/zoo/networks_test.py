import importlib

import keras
import numpy as np
import pytest

from keras_facnn import FACNN
from zoo.cost import multiply_adds
from zoo.networks import of_equal_cost
from zoo.networks import plain
from zoo.networks import resnet


@pytest.mark.parametrize("build", [resnet, plain])
@pytest.mark.parametrize("name", ["cifar10", "fashion_mnist", "imagenet100_64"])
def test_costs_the_same_within_5_percent(build, name):
    config = importlib.import_module(f"zoo.configs.{name}").config
    model = FACNN(**config["model"])
    baseline = of_equal_cost(build, model)
    ratio = multiply_adds(baseline) / multiply_adds(model)
    assert 0.95 <= ratio <= 1.05
    assert baseline.output.shape == model.output.shape


@pytest.mark.parametrize("build", [resnet, plain])
def test_learns(rng, build):
    """Bright against dark images, in 0..255."""
    model = build(2, (16, 16, 3), 4)
    labels = np.arange(64) % 2
    images = (
        rng.uniform(0, 128, (64, 16, 16, 3)) + 127 * labels[:, None, None, None]
    )
    model.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    log = model.fit(images, labels, epochs=4, verbose=0).history
    assert log["accuracy"][-1] > 0.9


def test_refuses_costs_that_no_width_has():
    model = FACNN(2, (32, 32, 1), (1,), (1,), space_to_depth=4)
    with pytest.raises(ValueError, match="No width of resnet costs"):
        of_equal_cost(resnet, model)
