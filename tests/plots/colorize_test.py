import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from keras_facnn import plots

pytestmark = pytest.mark.only_on("torch")


def test_pixels_are_those_of_overlay(rng):
    image = rng.integers(0, 256, (40, 60, 3)).astype("uint8")
    map_ = rng.uniform(0, 2, (40, 60)) * (rng.uniform(size=(40, 60)) < 0.5)
    figure = Figure(figsize=(0.6, 0.4), dpi=100)
    ax = figure.add_axes((0, 0, 1, 1))
    plots.overlay(ax, image, map_, vmax=1.5)
    ax.axis("off")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
    pixels = plots.colorize(image, map_, 1.5)
    assert np.abs(pixels - drawn).max() <= 4
    # Without evidence, the photo is gray and dark, as Pillow would make it.
    gray = np.asarray(Image.fromarray(image).convert("L")) / 2
    without = pixels[map_ == 0].astype(int)
    assert np.abs(without - gray[map_ == 0][:, None]).max() <= 1


def test_negative_values_are_blue_and_positive_values_are_orange():
    gray = np.full((8, 8, 3), 128, "uint8")
    positive = plots.colorize(gray, np.full((2, 2), 0.6), 1)
    negative = plots.colorize(gray, np.full((2, 2), -0.6), 1)
    np.testing.assert_array_equal(negative, positive[..., ::-1])
    assert (positive[..., 0] > positive[..., 2]).all()
