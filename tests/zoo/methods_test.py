import keras
import pytest

from zoo import methods

pytestmark = pytest.mark.only_on("torch")


@pytest.mark.parametrize("name", ["score_cam", "ablation_cam"])
def test_passes_of_methods_that_take_each_channel(small_model, name):
    inputs = keras.Input((16, 16, 3))
    y = keras.layers.Conv2D(7, 3, name="maps")(inputs)
    inner = keras.Model(inputs, y, name="inner")
    y = keras.layers.GlobalAveragePooling2D()(inner(inputs))
    nested = keras.Model(inputs, y)
    for model, layer, channels in (
        (small_model, 1, 4 * 2),
        (small_model, "fa_3", 4 * 4),
        (nested, "inner/maps", 7),
        (inner, "maps", 7),
    ):
        assert methods.passes(model, name, layer) == (channels + 1, 0)


def test_passes_of_noisy_images(small_model):
    for name in ("smooth_grad", "var_grad"):
        assert methods.passes(small_model, name, None) == (50, 50)
