import numpy as np
import pytest
from keras import ops

from keras_facnn.layers import EdgePadding
from tests.layers.layer_checks import run_layer_checks


def test_behaves_as_a_layer():
    run_layer_checks(
        lambda **kwargs: EdgePadding(**kwargs), (2, 4, 5, 6), (2, 6, 7, 6)
    )


@pytest.mark.parametrize("size", [(4, 5), (1, 1), (1, 3)])
def test_agrees_with_numpy(rng, size):
    maps = rng.normal(size=(2, *size, 3)).astype("float32")
    np.testing.assert_array_equal(
        ops.convert_to_numpy(EdgePadding()(maps)),
        np.pad(maps, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge"),
    )


@pytest.mark.parametrize("shape", [(2, 4, 4), (2, 4, 4, 4, 4), (2, 4, 4, None)])
def test_refuses_what_is_no_feature_map(shape):
    with pytest.raises(ValueError, match="Received"):
        EdgePadding().compute_output_shape(shape)
