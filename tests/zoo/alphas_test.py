import numpy as np
import pytest

from zoo.alphas import smaller_late

pytestmark = pytest.mark.only_on("torch")


@pytest.mark.parametrize(
    "share, kept", [(1, 13 / 25), (1 / 3, 0.81), (1 / 12, 0.95)]
)
def test_the_last_maps_keep_more_of_the_middle_ones(share, kept):
    alphas = smaller_late(share)
    assert alphas[:12] == tuple(1 / (level + 1) for level in range(1, 13))
    assert np.prod(1 - np.array(alphas[12:])) == pytest.approx(kept, abs=0.005)
