import numpy as np
import pytest
from matplotlib.figure import Figure

from keras_facnn import plots
from tests.plots.figures import drawn_on
from tests.plots.figures import explanation_of

pytestmark = pytest.mark.only_on("torch")


def test_pixels_outside_0_to_255_never_wrap(images):
    """317 is drawn as 255, not as 61, with one warning."""
    maps = {"a": np.ones((2, 4, 4))}
    wide = images[:2].astype("int64") * 3 - 200
    for values in (wide, wide.astype("float32"), wide.astype("int16")):
        with pytest.warns(UserWarning, match="should be in 0..255") as record:
            figure = plots.compare(values, maps)
        assert sum(w.category is UserWarning for w in record) == 1
        for ax, image in zip(figure.axes[::2], wide, strict=True):
            np.testing.assert_array_equal(drawn_on(ax), image.clip(0, 255))
    deep = images[:2].astype("uint16") * 257
    with pytest.warns(UserWarning, match="to 6"):
        figure = plots.maps_by_layer(deep[0], {1: np.ones((4, 4))})
    np.testing.assert_array_equal(
        drawn_on(figure.axes[0]), np.minimum(deep[0], 255)
    )


def test_pixels_from_0_to_1_are_scaled(images):
    ax = Figure().add_subplot()
    explanation = explanation_of(images, images=images / np.float32(255))
    for draw in (
        lambda x: plots.compare(x, {"a": np.ones((5, 4, 4))}),
        lambda x: plots.explanation(explanation),
    ):
        with pytest.warns(UserWarning, match="drawn as if multiplied by 255"):
            figure = draw(images / 255)
        np.testing.assert_array_equal(drawn_on(figure.axes[0]), images[0])
    with pytest.warns(UserWarning, match="multiplied by 255"):
        plots.overlay(ax, images[0] / 255, np.ones((4, 4)))
    plots.overlay(whole := Figure().add_subplot(), images[0], np.ones((4, 4)))
    np.testing.assert_array_equal(drawn_on(ax), drawn_on(whole))


@pytest.mark.parametrize("channels", [2, 4])
def test_refuses_images_that_are_neither_gray_nor_rgb(channels):
    images = np.zeros((2, 8, 8, channels), "uint8")
    for draw in (
        lambda: plots.colorize(images[0], np.eye(4)),
        lambda: plots.maps_by_layer(images[0], {1: np.eye(4)}),
        lambda: plots.compare(images, {"a": np.ones((2, 4, 4))}),
    ):
        with pytest.raises(ValueError, match="`images` must have 1 channel"):
            draw()
