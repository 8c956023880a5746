import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from keras_facnn import plots
from tests.plots.figures import assert_all_text_is_readable
from tests.plots.figures import drawn_on
from tests.plots.figures import explanation_of
from tests.plots.figures import texts_of

pytestmark = pytest.mark.only_on("torch")


@pytest.mark.parametrize("layers", [False, True])
@pytest.mark.parametrize("count", [1, 3])
def test_a_caption_explains_the_figure(images, layers, count):
    """It is complete, covers nothing, and mentions pale sides if any."""
    explanation = explanation_of(images[:count])
    wide = np.zeros((40, 120, 3), "uint8")
    with_wide = [*explanation.images[1:], wide]
    for photos, pale in ((None, False), (with_wide, True)):
        figure = plots.explanation(explanation, layers=layers, photos=photos)
        caption = texts_of(figure)[-1]
        assert "adds to the score" in caption
        assert ("pale" in caption) == pale
        assert ("one scale" in caption) == layers
        assert_all_text_is_readable(figure)


@pytest.mark.parametrize("layers", [False, True])
@pytest.mark.parametrize("shape", [(16, 16), (16, 64), (64, 16), (96, 16)])
def test_texts_are_apart_at_any_shape(rng, layers, shape):
    pictures = rng.integers(0, 256, (4, *shape, 3)).astype("uint8")
    figure = plots.explanation(
        explanation_of(pictures),
        layers=layers,
        names=["photo" * 20 + ".jpg"] * 4,
        photos=[*pictures[:2], pictures[0][:9], pictures[0][:, :9]],
    )
    assert_all_text_is_readable(figure)


def test_many_photos_make_a_long_figure(images):
    count = 30
    many = np.repeat(images[:1], count, 0)
    figure = plots.explanation(explanation_of(many))
    assert len(texts_of(figure)) == count + 1
    assert_all_text_is_readable(figure)


def test_photographs_keep_their_aspect_ratio_and_position(images):
    """The sides of a wide photo, which the model doesn't see, are pale."""
    wide = np.zeros((40, 120, 3), "uint8")
    wide[:, 40:80] = 90
    figure = plots.explanation(
        explanation_of(images[:1]), names=["a.png"], photos=[wide]
    )
    photo, view = figure.axes[:2]
    np.testing.assert_array_equal(drawn_on(photo), wide)
    assert "a.png" in photo.get_title()
    left, right = photo.get_xlim()
    bottom, top = photo.get_ylim()
    assert (right - left) / (bottom - top) == pytest.approx(3)
    # In both axes, the gray third is at pixels 0 to 16 of the model's image.
    assert (left, right) == pytest.approx((-16.5, 31.5))
    pale = sorted(patch.get_x() for patch in photo.patches)
    assert pale == pytest.approx([-16.5, 15.5])
    assert view.images[0].get_extent() == pytest.approx(
        [-16.5, 31.5, 15.5, -0.5]
    )
    assert view.get_xlim() == (-0.5, 15.5)
    map_ = view.images[1]
    assert map_.get_extent() == [-0.5, 15.5, 15.5, -0.5]
    # A tall photo is no higher than the maps, and its title is not clipped.
    figure = plots.explanation(
        explanation_of(images[:1]),
        names=["a.png"],
        photos=[wide.transpose(1, 0, 2)],
    )
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    photo, view = figure.axes[:2]
    box = photo.get_window_extent()
    assert box.height <= view.get_window_extent().height * 1.01
    (drawn,) = photo.images
    box = drawn.get_window_extent()
    assert box.height == pytest.approx(3 * box.width)
    title = photo.title.get_window_extent(canvas.get_renderer())
    assert title.y1 <= figure.bbox.y1
    # Nothing is pale in a photo of the model's own size.
    assert not plots.explanation(explanation_of(images[:1])).axes[0].patches
