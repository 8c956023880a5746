import keras
import numpy as np
import pytest

from keras_facnn import FACNN
from keras_facnn._backend.soundness import check_sound_gradients
from zoo.baselines import of_equal_cost
from zoo.baselines import plain
from zoo.baselines import resnet
from zoo.counts import multiply_adds
from zoo.inputs import load_recipe

pytestmark = pytest.mark.only_on("torch")


@pytest.mark.parametrize("build", [resnet, plain])
@pytest.mark.parametrize(
    "name, changes",
    [
        ("cifar10", {}),
        ("cifar10", {"image_shape": (28, 28, 1), "depths": (6, 7, 8)}),
        ("imagenet100", {"image_shape": (48, 48, 3)}),
    ],
)
def test_costs_the_same_within_5_percent(unset_kernels, build, name, changes):
    stage = load_recipe(name).stages[-1]
    model = FACNN(**stage.model.replace(**changes).arguments())
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


def test_a_baseline_has_no_convolution_that_onednn_spoils():
    """1x1 with strides, of few channels: see `check_sound_gradients`."""
    model = resnet(2, (16, 16, 3), 4)
    skips = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D)
        and layer.kernel_size == (1, 1)
    ]
    assert [layer.filters for layer in skips] == [8, 16]
    assert {layer.strides for layer in skips} == {(1, 1)}
    check_sound_gradients(model)


def test_refuses_costs_that_no_width_has(unset_kernels):
    model = FACNN(2, (32, 32, 1), (1,), (1,), space_to_depth=4)
    with pytest.raises(ValueError, match="No width of resnet costs"):
        of_equal_cost(resnet, model)
