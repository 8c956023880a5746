import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb

from keras_facnn import plots
from tests.plots.curves import removal

pytestmark = pytest.mark.only_on("torch")


def test_draws_accuracy_and_its_area():
    result = removal([0, 0.5, 1], [1, 0.5, 0])
    figure = plots.pixel_removal({"FA-CNN": result, "random": result})
    (ax,) = figure.axes
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [1, 0.5, 0])
    assert "FA-CNN (area 0.500)" in ax.get_legend().get_texts()[0].get_text()


def test_a_band_is_the_interval_over_images(rng):
    result = removal([0, 0.5, 1], [1, 0.5, 0], images=8)
    result.hits[:, 1] = rng.integers(0, 2, 8)
    low, high = result.accuracy_interval
    (ax,) = plots.pixel_removal({"FA-CNN": result}).axes
    band = ax.collections[0].get_datalim(ax.transData)
    (path,) = ax.collections[0].get_paths()
    at_half = path.vertices[path.vertices[:, 0] == 0.5, 1]
    assert set(at_half) == {low[1], high[1]} and low[1] < high[1]
    assert band.y1 == 1
    # A single image has no interval.
    (ax,) = plots.pixel_removal({"FA-CNN": removal([0, 1], [1, 0])}).axes
    assert not ax.collections


def test_the_legend_hides_no_line():
    falls = removal([0, 1], [1, 0])
    stays = removal([0, 1], [1, 1])
    figure = plots.pixel_removal({"falls": falls, "stays": stays})
    figure.draw_without_rendering()
    (ax,) = figure.axes
    legend = ax.get_legend().get_window_extent()
    assert legend.x0 >= ax.get_window_extent().x1
    assert legend.x1 <= figure.bbox.x1


def test_lines_that_cover_each_other_are_all_visible():
    """The rendered figure has pixels of each line's color."""
    x = np.linspace(0, 1, 11)
    curve = 1 - x**2

    def result(accuracy):
        return removal(x, accuracy)

    figure = plots.pixel_removal(
        {"a": result(curve), "b": result(curve), "c": result(curve + 0.001)}
    )
    (ax,) = figure.axes
    ax.get_legend().remove()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].reshape(-1, 3)
    for line in ax.lines:
        color = np.round(255 * np.array(to_rgb(line.get_color())))
        assert (np.abs(pixels - color).max(-1) < 8).sum() > 60
    far = plots.pixel_removal({"a": result(curve), "b": result(1 - x)})
    assert {line.get_linestyle() for line in far.axes[0].lines} == {"-"}


def test_refuses_what_is_no_result():
    with pytest.raises(ValueError, match=r"`results\['a'\]` must be what"):
        plots.pixel_removal({"a": 3})
