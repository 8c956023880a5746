import keras
import pytest

from zoo.counts import multiply_adds

pytestmark = pytest.mark.only_on("torch")


@pytest.mark.parametrize(
    "name, published",
    # He et al., arXiv 1512.03385, table 1; Simonyan and Zisserman,
    # arXiv 1409.1556, as counted by https://github.com/albanie/convnet-burden.
    [("ResNet50", 3.8e9), ("VGG16", 15.5e9)],
)
def test_agrees_with_published_counts(unset_kernels, name, published):
    model = getattr(keras.applications, name)(weights=None)
    assert multiply_adds(model) == pytest.approx(published, rel=0.02)


def test_counts_a_closed_form():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(5, 3, strides=2, padding="same"),
            keras.layers.Conv2D(4, 3, use_bias=False),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(7),
        ]
    )
    own = 4 * 4 * 27 * 5 + 2 * 2 * 45 * 4 + 4 * 7
    assert multiply_adds(model) == own
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.DepthwiseConv2D(5, 2, "same")(inputs)
    nested = keras.Model(inputs, model(x))
    assert multiply_adds(nested) == own + 8 * 8 * 25 * 3
