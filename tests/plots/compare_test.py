import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from keras_facnn import plots

pytestmark = pytest.mark.only_on("torch")


def test_prints_correlations_in_each_cell(images, rng):
    reference = rng.uniform(size=(2, 4, 4))
    figure = plots.compare(
        images[:2],
        {"same": 3 * reference, "inverse": 1 - reference, "it": reference},
        reference="it",
        row_names=["ant", "bee"],
    )
    axes = np.array(figure.axes).reshape(2, 4)
    assert [ax.get_title() for ax in axes[0]] == [
        "image",
        "same",
        "inverse",
        "it",
    ]
    assert [t.get_text() for t in axes[1, 1].texts] == ["r = 1.00"]
    assert [t.get_text() for t in axes[1, 2].texts] == ["r = -1.00"]
    assert not axes[1, 3].texts
    assert axes[1, 0].get_ylabel() == "bee"


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_titles_are_not_clipped(images, rng, count):
    maps = {f"Method {i}": rng.uniform(size=(1, 4, 4)) for i in range(count)}
    figure = plots.compare(images[:1], maps)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    for ax in figure.axes:
        box = ax.title.get_window_extent(canvas.get_renderer())
        assert box.y1 <= figure.bbox.y1


def test_maps_with_an_offset_use_the_whole_scale(images, rng):
    """For example, RISE's maps vary little around a large value."""
    map_ = rng.uniform(size=(1, 16, 16))
    figure = plots.compare(images[:1], {"a": map_, "b": 0.7 + 0.1 * map_})
    a, b = (np.asarray(ax.images[1].get_array()) for ax in figure.axes[1:])
    assert a.min() == b.min() == 0
    assert a.max() == b.max() == 1
    np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize(
    "maps, reference, message",
    [
        (np.ones((2, 4, 4, 3)), None, r"`maps\['a'\]` must have shape \(2, h"),
        (np.ones((1, 4, 4)), None, r"`maps\['a'\]` must have shape \(2, h"),
        (np.ones((2, 4, 4)), "b", r"`reference` must name.*\['a'\].*'b'"),
        (np.ones((2, 4, 4)), {"a": "c"}, "`reference` must name.*'c'"),
        (np.ones((2, 4, 4)), {"c": "a"}, "`reference` must name.*'c'"),
        (np.ones((2, 4, 4)), ["a"], "`reference` must be a title"),
        (np.ones((2, 4, 4)), 3, "`reference` must be a title"),
    ],
)
def test_refuses_bad_arguments(images, maps, reference, message):
    with pytest.raises(ValueError, match=message):
        plots.compare(images[:2], {"a": maps}, reference)
