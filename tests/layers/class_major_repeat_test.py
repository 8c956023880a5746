import numpy as np
import pytest
from keras import ops

from keras_facnn.layers import ClassMajorRepeat
from tests.layers.layer_checks import run_layer_checks


def test_behaves_as_a_layer():
    run_layer_checks(
        lambda **kwargs: ClassMajorRepeat(factor=3, **kwargs),
        (2, 4, 4, 6),
        (2, 4, 4, 18),
    )


def test_keeps_every_map_in_the_block_of_its_class(rng):
    classes, before, factor = 5, 3, 2
    maps = rng.normal(size=(2, 4, 4, classes * before)).astype("float32")
    out = ops.convert_to_numpy(ClassMajorRepeat(factor)(maps))
    after = before * factor
    for c in range(classes):
        for r in range(after):
            np.testing.assert_array_equal(
                out[..., c * after + r], maps[..., c * before + r // factor]
            )


@pytest.mark.parametrize("factor", [0, -1, 1.5, None, True])
def test_refuses_bad_factors(factor):
    with pytest.raises(ValueError, match="`factor` must be .*Received"):
        ClassMajorRepeat(factor)
