import keras
import pytest

from tests.zoo.conftest import run
from zoo import input_gradients


@pytest.mark.only_on("torch")
def test_the_penalty_is_that_of_two_backward_passes(rng):
    import torch

    backbone = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(6, 3, padding="same"),
            keras.layers.ReLU(6.0),
            keras.layers.DepthwiseConv2D(3, 2, padding="same"),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(6.0),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )
    dense = keras.layers.Dense(4)
    dense.build((None, 6))
    images = rng.uniform(0, 255, (2, 8, 8, 3)).astype("float32")
    masks = (rng.uniform(size=(2, 8, 8)) > 0.5).astype("float32")

    x = torch.tensor(images / 255, requires_grad=True)
    logs = torch.log_softmax(dense(backbone(255 * x, training=False)), -1)
    (g,) = torch.autograd.grad(logs.sum(), x, create_graph=True)
    expected = ((g * torch.tensor(masks)[..., None]) ** 2).sum((1, 2, 3))
    weights = [v.value for v in dense.trainable_variables]
    gradients = torch.autograd.grad(expected.sum(), weights)
    assert all(gradient.abs().max() > 1e-3 for gradient in gradients)

    features = input_gradients.trace(backbone, images)
    found = input_gradients.squared_gradients(features, dense, images, masks)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)
    torch.testing.assert_close(
        torch.autograd.grad(found.sum(), weights),
        gradients,
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.only_on("torch")
def test_unknown_ways_are_refused():
    result = run("mending", data="none", ways="exchanged,prayed")
    assert result.returncode == 1
    assert "--ways must be of" in result.output
    assert "Received: ['prayed']" in result.output


@pytest.mark.only_on("jax", "tensorflow")
def test_input_gradients_need_pytorch():
    result = run("mending", data="none", ways="input_gradients")
    assert result.returncode == 1
    assert "needs KERAS_BACKEND=torch. Received: " in result.output
