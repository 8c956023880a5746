import numpy as np
import pytest
from keras import ops

from keras_facnn.layers import ClassMean
from tests.layers.layer_checks import run_layer_checks


def test_behaves_as_a_layer():
    run_layer_checks(
        lambda **kwargs: ClassMean(3, **kwargs), (2, 4, 4, 6), (2, 4, 4, 3)
    )


def test_averages_the_maps_of_each_class_only(rng):
    maps = rng.normal(size=(2, 4, 5, 3 * 4)).astype("float32")
    out = ops.convert_to_numpy(ClassMean(3)(maps))
    for c in range(3):
        own = maps[..., c * 4 : (c + 1) * 4].mean(axis=-1)
        np.testing.assert_allclose(out[..., c], own, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("num_classes", [0, -1, 1.5, None, True])
def test_refuses_bad_numbers_of_classes(num_classes):
    with pytest.raises(ValueError, match="`num_classes` must be .*Received"):
        ClassMean(num_classes)


def test_refuses_maps_that_do_not_divide_among_the_classes():
    with pytest.raises(ValueError, match="multiple of num_classes=4 .*Receiv"):
        ClassMean(4)(np.zeros((1, 2, 2, 6), "float32"))
