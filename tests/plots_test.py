import numpy as np
import pytest
from matplotlib.figure import Figure

from keras_facnn import plots
from keras_facnn.metrics.pixel_removal import PixelRemoval


def test_overlay_draws_map_over_image(images):
    ax = Figure().add_subplot()
    map_ = np.zeros((4, 4))
    map_[0, 3] = 2.0
    drawn = plots.overlay(ax, images[0], map_, vmax=4.0)
    pixels = drawn.get_array()
    assert pixels.shape == (16, 16)
    assert pixels[0, 15] == pixels.max() == 2.0
    assert drawn.get_clim() == (0, 4.0)
    grey = ax.images[0].get_array()
    np.testing.assert_allclose(grey, images[0].mean(-1), rtol=1e-5)


def test_explanation_labels_and_shares_scales(images, rng, tmp_path):
    p = np.array([[0.1, 0.7, 0.2], [0.5, 0.1, 0.4]])
    maps = rng.uniform(size=(2, 4, 4, 3)).astype("float32")
    figure = plots.explanation(
        images[:2],
        p,
        maps,
        {1: maps[..., 0], 6: maps[..., 1]},
        np.broadcast_to(p[:, None], (2, 6, 3)),
        ["ant", "bee", "cat"],
    )
    axes = np.array(figure.axes).reshape(2, 6)
    assert "bee 70.0%" in axes[0, 1].get_title()
    assert "cat 20.0%" in axes[0, 2].get_title()
    assert "ant 50.0%" in axes[1, 1].get_title()
    assert "layer 6" in axes[0, 4].get_title()
    vmax = maps[0, ..., [1, 2]].max()
    for ax, c in ((axes[0, 1], 1), (axes[0, 2], 2)):
        assert ax.images[1].get_clim() == (0, pytest.approx(vmax))
        expected = maps[0, ..., c]
        drawn = np.asarray(ax.images[1].get_array())
        assert (
            np.corrcoef(drawn[2::4, 2::4].ravel(), expected.ravel())[0, 1] > 0.9
        )
    assert axes[0, 5].get_xlim() == (1, 6)
    figure.savefig(tmp_path / "maps.png")
    assert (tmp_path / "maps.png").stat().st_size > 10_000


def test_compare_prints_correlations_in_each_cell(images, rng):
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


def test_depth_and_pixel_removal(images, rng):
    maps = {layer: rng.uniform(size=(4, 4)) for layer in (1, 12, 24)}
    figure = plots.depth(images[0], maps, "ant")
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["ant", "layer 1", "layer 12", "layer 24"]

    result = PixelRemoval([0, 0.5, 1], [1, 0.5, 0], [1, 1, 0], 0.5, 0.75, 0, {})
    figure = plots.pixel_removal({"FA-CNN": result, "random": result})
    (ax,) = figure.axes
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [1, 0.5, 0])
    assert "FA-CNN (area 0.500)" in ax.get_legend().get_texts()[0].get_text()


def test_compare_shows_maps_with_an_offset(images, rng):
    """RISE's maps differ little from one value, which is not to be seen."""
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
    ],
)
def test_compare_refuses_bad_arguments(images, maps, reference, message):
    with pytest.raises(ValueError, match=message):
        plots.compare(images[:2], {"a": maps}, reference)
