import numpy as np
import pytest

from keras_facnn import plots
from tests.plots.figures import explanation_of
from tests.plots.figures import words_on

pytestmark = pytest.mark.only_on("torch")


def test_maps_have_labels_and_one_scale_per_row(images, rng, tmp_path):
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


def test_explains_the_requested_class(images):
    """The second map is of the likeliest other class, on the same scale."""
    p = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    explanation = explanation_of(
        images[:2], classes=np.array([1, 2]), probabilities=p, class_names=None
    )
    figure = plots.explanation(explanation)
    axes = np.array(figure.axes).reshape(2, 6)
    assert "class 1 20.0%" in axes[0, 1].get_title()
    assert "class 0 70.0%" in axes[0, 2].get_title()
    assert "class 2 60.0%" in axes[1, 1].get_title()
    assert "class 1 30.0%" in axes[1, 2].get_title()
    assert "evidence at layer 4" in axes[0, 4].get_title()
    limits = {ax.images[1].get_clim() for ax in axes[0, 1:5]}
    assert len(limits) == 1


def test_color_bar_gives_shares_of_the_logit(images):
    """Four locations give the whole logit, and one of them gives half of it."""
    maps = np.zeros((1, 4, 4, 3), "float32")
    maps[0, 0, :, 1] = 1, 1, 1, 3
    explanation = explanation_of(
        images[:1],
        maps=maps,
        classes=np.array([1]),
        layer_maps={2: 100 * maps[..., 1]},
    )
    figure = plots.explanation(explanation)
    ax = figure.axes[-2]
    (bar,) = ax.child_axes
    assert bar.yaxis.get_major_formatter()(3.0) == "50%"
    assert bar.get_ylim() == (0, 3)
    label = "share of the evidence from\n1/16 of the picture"
    assert bar.get_ylabel() == label
    # Maps of layers are drawn in the units of the last layer.
    last, layer = (
        np.asarray(a.images[1].get_array()) for a in figure.axes[1:4:2]
    )
    np.testing.assert_allclose(layer, last, rtol=1e-5)


def test_centered_maps_show_only_positive_evidence(images):
    """Shares are of the positive evidence; the negative is not drawn."""
    maps = np.full((1, 4, 4, 3), -1.0, "float32")
    maps[0, 0, :, 1] = 1, 1, 1, 3
    explanation = explanation_of(
        images[:1],
        maps=maps,
        classes=np.array([1]),
        layer_maps={2: np.repeat(np.repeat(maps[..., 1], 2, 1), 2, 2) * 7},
        centered=True,
    )
    figure = plots.explanation(explanation)
    (bar,) = figure.axes[-2].child_axes
    assert bar.yaxis.get_major_formatter()(3.0) == "50%"
    assert bar.get_ylim() == (0, 3)
    for ax in figure.axes[1:4:2]:
        drawn = ax.images[1]
        assert drawn.get_clim() == (0, 3)
        alpha = drawn.to_rgba(np.asarray(drawn.get_array()))[..., 3]
        assert alpha[0, -1] == pytest.approx(0.85) and alpha[-1].max() == 0
    assert words_on(figure.axes[2]) == ["no evidence"]
    assert "speak against it" in " ".join(figure.get_supxlabel().split())


def test_one_class_has_no_rival(images):
    figure = plots.explanation(
        images[:2],
        np.ones((2, 1)),
        np.ones((2, 4, 4, 1)),
        {1: np.ones((2, 4, 4))},
        np.ones((2, 3, 1), "float32") + np.float32(1e-6),
        ["ant"],
    )
    axes = np.array(figure.axes[:8]).reshape(2, 4)
    assert [ax.get_title() for ax in axes[0]] == [
        "photograph",
        "evidence for\nant 100.0%",
        "evidence at layer 1\nant",
        "probability by layer",
    ]
    assert len(axes[1, 3].lines) == 1


def test_draws_two_likely_labels_of_an_image(colors_model, colors):
    explanation = colors_model.explain(colors[:1])
    parts = vars(explanation).copy()
    parts.pop("classes")
    for figure in (plots.explanation(explanation), plots.explanation(**parts)):
        titles = [ax.get_title() for ax in figure.axes[1:3]]
        assert titles == [
            "evidence for\nred 99.8%",
            "evidence for the next\ngreen 99.8%",
        ]
        caption = " ".join(figure.get_supxlabel().split())
        assert "several may be there, or none" in caption
        lines = figure.axes[-1].lines
        assert [line.get_ydata()[-1] > 0.99 for line in lines] == [True, True]


def test_a_map_that_shows_nothing_says_why(images):
    """Rivals with no evidence, with little, and with enough to be seen."""
    maps = np.zeros((3, 4, 4, 3), "float32")
    maps[..., 1] = 2
    maps[1, 0, 0, 0] = 0.5
    maps[2, 0, 0, 0] = 1.5
    explanation = explanation_of(
        images[:3],
        maps=maps,
        probabilities=np.array([[0.3, 0.6, 0.1]] * 3),
        classes=np.array([1] * 3),
        layer_maps={2: maps[..., 1]},
    )
    axes = np.array(plots.explanation(explanation).axes).reshape(3, 5)
    # 0.5 is 1.6% of 16 * 2.
    rivals = [["no evidence"], ["faint: nowhere above 1.6%"], []]
    assert [words_on(ax) for ax in axes[:, 2]] == rivals
    assert not any(words_on(ax) for ax in axes[:, [1, 3]].ravel())


@pytest.mark.parametrize("most", [-1, 0, 1e-38])
def test_a_layer_without_evidence_says_so(images, most):
    layer = np.full((1, 8, 8), -5, "float32")
    layer[0, 0, 0] = most
    explanation = explanation_of(images[:1], layer_maps={1: layer})
    figure = plots.explanation(explanation)
    figure.draw_without_rendering()
    ax = figure.axes[3]
    drawn = np.asarray(ax.images[1].get_array())
    assert np.isfinite(drawn).all()
    assert drawn.max() > 0 if most > 0 else drawn.max() <= 0
    assert words_on(ax) == ([] if most > 0 else ["no evidence"])


def test_a_class_without_evidence_has_no_color_bar(images):
    """There is no total to show shares of, but the rival is still drawn."""
    maps = np.zeros((1, 4, 4, 3), "float32")
    maps[..., 0] = 1
    explanation = explanation_of(
        images[:1],
        maps=maps,
        classes=np.array([2]),
        probabilities=np.array([[0.8, 0.1, 0.1]]),
        layer_maps={2: maps[..., 2]},
    )
    figure = plots.explanation(explanation)
    words = [words_on(ax) for ax in figure.axes]
    assert words == [[], ["no evidence"], [], ["no evidence"], []]
    assert not any(ax.child_axes for ax in figure.axes)
    assert figure.axes[2].images[1].get_array().max() == 1


def test_needs_all_arrays_or_an_explanation(images):
    with pytest.raises(TypeError, match="`images` must be an `Explanation`"):
        plots.explanation(images, np.ones((5, 3)))
