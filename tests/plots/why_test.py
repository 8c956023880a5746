import numpy as np
import pytest

from keras_facnn import plots
from keras_facnn.maps import resize_maps
from tests.plots.figures import drawn_on
from tests.plots.figures import explanation_of
from tests.plots.figures import words_on

pytestmark = pytest.mark.only_on("torch")


@pytest.mark.parametrize("centered", [True, False])
def test_draws_the_photograph_and_one_map(images, centered):
    """Each row has the map of its class, scaled to its own largest value."""
    explanation = explanation_of(
        images[:2],
        classes=np.array([2, 0]),
        probabilities=np.array([[0.1, 0.2, 0.7], [0.4, 0.5, 0.1]]),
        centered=centered,
    )
    photos = np.repeat(np.repeat(explanation.images, 2, 1), 2, 2)
    figure = plots.why(explanation, names=["a.png", "b.png"], photos=photos)
    axes = np.array(figure.axes).reshape(2, 2)
    assert [ax.get_title() for ax in axes.ravel()] == [
        "photograph\na.png",
        "evidence for\ncat 70.0%",
        "b.png",
        "ant 40.0%",
    ]
    for row, c in ((0, 2), (1, 0)):
        np.testing.assert_array_equal(drawn_on(axes[row, 0]), photos[row])
        photo, map_ = axes[row, 1].images
        np.testing.assert_array_equal(photo.get_array(), photos[row])
        (expected,) = resize_maps(explanation.maps[row, ..., c][None], (16, 16))
        np.testing.assert_allclose(map_.get_array(), expected, rtol=1e-6)
        assert map_.get_clim() == (0, explanation.maps[row, ..., c].max())
        assert not axes[row, 1].child_axes and not words_on(axes[row, 1])


def test_refuses_what_is_no_explanation(images):
    message = "`explanation` must be an `Explanation`"
    with pytest.raises(TypeError, match=message):
        plots.why(images)
