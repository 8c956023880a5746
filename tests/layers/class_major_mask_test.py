import numpy as np
import pytest
from keras import ops

from keras_facnn.layers import ClassMajorMask
from tests.layers.layer_checks import run_layer_checks

LOCATIONS = [(None, 0, 1), (2, 3, 4)]


@pytest.mark.parametrize(
    "options",
    [
        {"maps": [(0, 1), (2, 0)]},
        {"locations": LOCATIONS, "size": (4, 5)},
        {"locations": LOCATIONS[:1], "size": [4, 5], "maps": [[1, 1]]},
    ],
)
def test_behaves_as_a_layer(options):
    run_layer_checks(
        lambda **kwargs: ClassMajorMask(3, **options, **kwargs),
        (2, 4, 5, 6),
        (2, 4, 5, 6),
        mixed_atol=0.05,
    )


def test_sets_maps_and_locations_to_zero(rng):
    maps = rng.uniform(1, 2, (2, 4, 5, 3 * 2)).astype("float32")
    layer = ClassMajorMask(3, maps=[(1, 0)], locations=LOCATIONS, size=(4, 5))
    expected = maps.copy()
    expected[..., 2] = 0
    expected[:, 0, 1] = 0
    expected[:, 3, 4, 4:] = 0
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(maps)), expected)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(ClassMajorMask(3)(maps)), maps
    )


@pytest.mark.parametrize(
    "options, match",
    [
        ({"maps": [(3, 0)]}, "`maps` must be .*pairs .*Received"),
        ({"maps": [(0, -1)]}, "`maps` must be"),
        ({"maps": [(None, 1)]}, "`maps` must be"),
        ({"maps": [(0, 1, 1)]}, "`maps` must be"),
        ({"maps": {"a": 1}}, "`maps` must be"),
        ({"locations": [(0, 0, 0)]}, "`size` must be"),
        ({"locations": [(0, 4, 0)], "size": (4, 5)}, "`locations` must be"),
        ({"locations": [(0, None, 0)], "size": (4, 5)}, "`locations` must"),
        ({"locations": [], "size": (4, 0)}, "`size` must be two positive"),
    ],
)
def test_refuses_what_is_not_there(options, match):
    with pytest.raises(ValueError, match=match):
        ClassMajorMask(3, **options)


def test_refuses_maps_that_do_not_fit():
    maps = np.zeros((1, 4, 5, 6), "float32")
    with pytest.raises(ValueError, match="more maps per class than 2"):
        ClassMajorMask(3, maps=[(0, 2)])(maps)
    with pytest.raises(ValueError, match=r"the size .*\(5, 5\).*Received"):
        ClassMajorMask(3, locations=LOCATIONS[:1], size=(5, 5))(maps)
    with pytest.raises(ValueError, match="multiple of num_classes=4"):
        ClassMajorMask(4)(maps)
