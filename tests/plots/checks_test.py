import numpy as np
import pytest
from matplotlib.figure import Figure

from keras_facnn import plots
from tests.plots.figures import explanation_of

pytestmark = pytest.mark.only_on("torch")


@pytest.mark.parametrize(
    "draw",
    [
        lambda x: plots.compare(x, {"a": np.ones((2, 4, 4))}, row_names=["a"]),
        lambda x: plots.explanation(explanation_of(x), names=list("abc")),
        lambda x: plots.explanation(explanation_of(x), names="ab"),
        lambda x: plots.explanation(explanation_of(x), photos=x[:1]),
    ],
)
def test_needs_one_name_and_one_photo_per_image(images, draw):
    with pytest.raises(
        ValueError, match="`(row_names|names|photos)` must have one.*2 images"
    ):
        draw(images[:2])


BAD_MAPS = {
    "nan": [[np.nan, 1.0], [0.0, 1.0]],
    "infinite": [[np.inf, 1.0], [0.0, 1.0]],
    "masked": np.ma.masked_equal(np.eye(2), 1),
    "complex": np.eye(2) + 1j,
    "strings": [["1", "0"], ["0", "1"]],
    "empty": np.zeros((0, 2)),
    "three axes": np.zeros((2, 2, 2)),
    "ragged": [[1.0, 2.0], [1.0]],
    "mapping": {},
    "none": None,
}


@pytest.mark.parametrize("bad", BAD_MAPS.values(), ids=BAD_MAPS)
def test_refuses_what_is_no_map(images, bad):
    several = bad if bad is None or isinstance(bad, dict) else [bad]
    if isinstance(bad, np.ma.MaskedArray):
        several = bad[None]
    image = images[0]
    for name, draw in (
        ("map_", lambda: plots.overlay(Figure().add_subplot(), image, bad)),
        ("map_", lambda: plots.colorize(image, bad)),
        (r"maps\[1\]", lambda: plots.maps_by_layer(image, {1: bad})),
        (r"maps\['a'\]", lambda: plots.compare(images[:1], {"a": several})),
    ):
        with pytest.raises(ValueError, match=f"`{name}` must.*Received"):
            draw()


@pytest.mark.parametrize(
    "name, value",
    [
        ("vmax", np.nan),
        ("vmax", -1),
        ("vmax", "1"),
        ("vmax", np.inf),
        ("opacity", 2),
        ("opacity", np.nan),
        ("opacity", None),
    ],
)
def test_refuses_bad_options_by_name(images, name, value):
    for draw in (
        lambda **k: plots.overlay(
            Figure().add_subplot(), images[0], np.eye(4), **k
        ),
        lambda **k: plots.colorize(images[0], np.eye(4), **k),
    ):
        with pytest.raises(ValueError, match=f"`{name}` must be a finite"):
            draw(**{name: value})


@pytest.mark.parametrize("bad", [None, [np.eye(4)], {}, "maps"])
def test_refuses_what_is_no_dict(images, bad):
    for name, draw in (
        ("maps", lambda: plots.maps_by_layer(images[0], bad)),
        ("maps", lambda: plots.compare(images, bad)),
        ("results", lambda: plots.pixel_removal(bad)),
    ):
        with pytest.raises(ValueError, match=f"`{name}` must be a dict"):
            draw()


@pytest.mark.parametrize(
    "name, value",
    [
        ("probabilities", np.full((4, 4), 0.25)),
        ("probabilities", np.full(4, 0.25)),
        ("maps", np.ones((5, 4, 4))),
        ("maps", np.full((5, 4, 4, 4), np.nan)),
        ("layer_maps", [np.ones((5, 4, 4))]),
        ("layer_maps", {1: np.ones((4, 4, 4))}),
        ("layer_probabilities", np.full((5, 4), 0.25)),
        ("class_names", ["a"]),
        ("probabilities", np.full((5, 4), 2.5)),
        ("probabilities", np.full((5, 4), -0.1)),
        ("layer_probabilities", np.full((5, 3, 4), 1.01)),
    ],
)
def test_fields_of_an_explanation_fit_together(images, name, value):
    explanation = explanation_of(images, "abcd", **{name: value})
    with pytest.raises(ValueError, match=f"`{name}.*` must.*Received"):
        plots.explanation(explanation)
