import numpy as np
import pytest
from keras import initializers
from keras import layers
from keras import ops

from keras_facnn.layers import ClasswiseConv2D
from tests.layers.layer_checks import run_layer_checks


def test_behaves_as_a_layer():
    run_layer_checks(
        lambda **kwargs: ClasswiseConv2D(
            2,
            6,
            3,
            padding="same",
            data_format="channels_last",
            kernel_initializer=initializers.RandomUniform(0, 1, seed=0),
            **kwargs,
        ),
        (2, 4, 4, 8),
        (2, 4, 4, 6),
    )


def test_is_one_convolution_per_class(rng):
    classes, before, after = 3, 4, 2
    maps = rng.normal(size=(2, 5, 5, classes * before)).astype("float32")
    layer = ClasswiseConv2D(
        classes,
        classes * after,
        3,
        padding="same",
        data_format="channels_last",
        bias_initializer="random_normal",
    )
    out = ops.convert_to_numpy(layer(maps))
    kernel, bias = layer.get_weights()
    assert kernel.shape == (3, 3, before, classes * after)
    for c in range(classes):
        own = slice(c * after, (c + 1) * after)
        separate = layers.Conv2D(
            after, 3, padding="same", data_format="channels_last"
        )
        block = maps[..., c * before : (c + 1) * before]
        separate.build(block.shape)
        separate.set_weights([kernel[..., own], bias[own]])
        np.testing.assert_allclose(
            out[..., own], ops.convert_to_numpy(separate(block)), atol=1e-5
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 6, 3), "`num_classes` must be .*Received"),
        ((4, 6, 3), "`filters` must be a multiple of num_classes=4.*Received"),
    ],
)
def test_refuses_channels_without_a_class(arguments, message):
    with pytest.raises(ValueError, match=message):
        ClasswiseConv2D(*arguments)
