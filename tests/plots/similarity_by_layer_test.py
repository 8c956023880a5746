import numpy as np
import pytest

from keras_facnn import plots
from keras_facnn.metrics import Result
from keras_facnn.metrics import SimilarityByLayer

pytestmark = pytest.mark.only_on("torch")


def test_draws_means_bands_and_controls(rng):
    common = {"metric": "similarity_by_layer", "columns": (1, 2, 3)}
    control = Result(values=rng.normal(size=(9, 3)), **common)
    result = SimilarityByLayer(
        values=rng.uniform(size=(9, 3)),
        controls={"other_image": control},
        settings={"reference": "grad_cam"},
        **common,
    )
    (ax,) = plots.similarity_by_layer(result).axes
    assert ax.get_ylabel() == "similarity to grad_cam"
    for line, band, of in zip(
        ax.lines, ax.collections, (result, control), strict=True
    ):
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
        np.testing.assert_array_equal(line.get_ydata(), of.mean)
        (path,) = band.get_paths()
        low, high = of.interval
        assert path.vertices[:, 1].min() == min(low)
        assert path.vertices[:, 1].max() == max(high)
    texts = [t.get_text() for t in ax.get_legend().get_texts()]
    assert texts == ["the image's own map", "control: map of another image"]


@pytest.mark.parametrize("count", [1, 4, 24, 100])
def test_ticks_are_layers(rng, count):
    layers = tuple(range(1, count + 1))
    result = SimilarityByLayer(
        values=rng.uniform(size=(9, count)), metric="mine", columns=layers
    )
    figure = plots.similarity_by_layer(result)
    figure.draw_without_rendering()
    low, high = figure.axes[0].get_xlim()
    ticks = [t for t in figure.axes[0].get_xticks() if low <= t <= high]
    assert 1 <= len(ticks) <= 13
    assert all(tick == int(tick) for tick in ticks)


def test_refuses_what_is_no_result():
    with pytest.raises(ValueError, match="`result` must be.*Received: dict"):
        plots.similarity_by_layer({})
