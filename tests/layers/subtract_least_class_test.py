import numpy as np
import pytest
from keras import ops

from keras_facnn.layers import SubtractLeastClass
from tests.layers.layer_checks import run_layer_checks


def test_behaves_as_a_layer():
    run_layer_checks(
        lambda **kwargs: SubtractLeastClass(3, **kwargs),
        (2, 4, 4, 6),
        (2, 4, 4, 6),
        # The inputs of up to 9 are rounded before they are subtracted.
        mixed_atol=0.05,
    )


def test_subtracts_the_least_of_all_classes_from_each(rng):
    maps = rng.normal(size=(2, 4, 5, 3 * 4)).astype("float32")
    out = ops.convert_to_numpy(SubtractLeastClass(3)(maps))
    by_class = maps.reshape((2, 4, 5, 3, 4))
    expected = by_class - by_class.min(axis=3, keepdims=True)
    np.testing.assert_array_equal(out, expected.reshape(maps.shape))
    assert out.min() == 0


def test_keeps_the_softmax_of_the_means(rng):
    maps = rng.normal(size=(2, 4, 5, 7)).astype("float32")
    out = ops.convert_to_numpy(SubtractLeastClass(7)(maps))
    before, after = (
        ops.convert_to_numpy(ops.softmax(x.mean(axis=(1, 2))))
        for x in (maps, out)
    )
    np.testing.assert_allclose(after, before, atol=1e-6)


@pytest.mark.parametrize("num_classes", [0, -1, 1.5, None, True])
def test_refuses_bad_numbers_of_classes(num_classes):
    with pytest.raises(ValueError, match="`num_classes` must be .*Received"):
        SubtractLeastClass(num_classes)


def test_refuses_maps_that_do_not_divide_among_the_classes():
    with pytest.raises(ValueError, match="multiple of num_classes=4 .*Receiv"):
        SubtractLeastClass(4)(np.zeros((1, 2, 2, 6), "float32"))
