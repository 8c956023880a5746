import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from keras_facnn import plots
from tests.plots.figures import drawn_on

pytestmark = pytest.mark.only_on("torch")


def test_draws_a_map_over_a_dark_gray_image(images):
    ax = Figure().add_subplot()
    map_ = np.zeros((4, 4))
    map_[0, 3] = 2.0
    drawn = plots.overlay(ax, images[0], map_, vmax=4.0)
    pixels = drawn.get_array()
    assert pixels.shape == (16, 16)
    assert pixels[0, 15] == pixels.max() == 2.0
    assert drawn.get_clim() == (0, 4.0)
    gray = np.asarray(Image.fromarray(images[0]).convert("L")) / 2
    np.testing.assert_allclose(drawn_on(ax), gray, atol=1)


def test_a_map_is_transparent_where_it_is_0(images):
    ax = Figure().add_subplot()
    map_ = np.zeros((16, 16))
    map_[:, 8:] = np.linspace(0.5, 1, 8)
    map_[0, 0] = -1
    drawn = plots.overlay(ax, images[0], map_, opacity=0.8)
    alpha = drawn.to_rgba(map_)[..., 3]
    assert (alpha[:, :8] == 0).all()
    assert (np.diff(alpha[0, 8:]) > 0).all()
    assert alpha.max() == pytest.approx(0.8)
