import numpy as np
import pytest

from keras_facnn import FACNN
from keras_facnn import plots
from keras_facnn.maps import resize_maps
from tests.plots.figures import drawn_on
from tests.plots.figures import explanation_of
from tests.plots.figures import texts_of
from tests.plots.figures import words_on

pytestmark = pytest.mark.only_on("torch")


@pytest.mark.parametrize("centered", [True, False])
def test_draws_the_photograph_and_why(images, centered):
    """Each row has the map of its class, scaled to its own largest value."""
    explanation = explanation_of(
        images[:2],
        classes=np.array([2, 0]),
        probabilities=np.array([[0.1, 0.2, 0.7], [0.4, 0.5, 0.1]]),
        centered=centered,
    )
    photos = np.repeat(np.repeat(explanation.images, 2, 1), 2, 2)
    figure = plots.explanation(
        explanation, names=["a.png", "b.png"], photos=photos
    )
    axes = np.array(figure.axes).reshape(2, 2)
    assert [ax.get_title() for ax in axes.ravel()] == [
        "photograph\na.png",
        "why",
        "b.png",
        "",
    ]
    for row, c in ((0, 2), (1, 0)):
        np.testing.assert_array_equal(drawn_on(axes[row, 0]), photos[row])
        below, map_ = axes[row, 1].images
        gray = photos[row] @ [0.299, 0.587, 0.114]
        np.testing.assert_allclose(below.get_array(), gray / 2, atol=0.6)
        (expected,) = resize_maps(explanation.maps[row, ..., c][None], (16, 16))
        np.testing.assert_allclose(map_.get_array(), expected, rtol=1e-6)
        assert map_.get_clim() == (0, explanation.maps[row, ..., c].max())
        assert not axes[row, 1].child_axes and not words_on(axes[row, 1])
    first, second, caption = texts_of(figure)
    assert first.startswith("Said “cat” (70.0%), ")
    assert second.startswith("What speaks for “ant” (40.0%) ")
    assert ("speak against it" in caption) == centered


@pytest.mark.parametrize("size", [1, 7, 14, 32])
def test_the_line_surrounds_half_of_the_evidence(rng, size):
    """Half of the sum of the drawn pixels is inside, in the fewest pixels."""
    maps = rng.uniform(-1, 1, (1, size, size, 2)).astype("float32") ** 5
    maps[0, 0, 0, 1] = 3
    explanation = explanation_of(
        np.zeros((1, 32, 32, 3), "uint8"),
        ["ant", "bee"],
        maps=maps,
        classes=np.array([1]),
        layer_maps={},
    )
    ax = plots.explanation(explanation).axes[1]
    lines = [c for c in ax.collections if len(c.get_paths())]
    if size == 1:
        # Each pixel has the same, so no region stands out.
        assert not lines
        return
    pixels = np.maximum(ax.images[1].get_array(), 0)
    (line,) = lines
    inside = np.zeros((32, 32), int)
    grid = np.stack(np.meshgrid(np.arange(32), np.arange(32)), -1).reshape(
        -1, 2
    )
    for path in line.get_paths():
        for polygon in path.to_polygons():
            inside += type(path)(polygon).contains_points(grid).reshape(32, 32)
    inside = inside % 2 == 1
    share = pixels[inside].sum() / pixels.sum()
    largest = pixels.max() / pixels.sum()
    assert 0.5 - 1e-3 <= share <= 0.5 + largest + 1e-3
    assert pixels[inside].min() >= pixels[~inside].max() - 1e-3 * pixels.max()


def test_maps_of_layers_have_labels_and_one_scale_per_row(
    images, rng, tmp_path
):
    p = np.array([[0.1, 0.7, 0.2], [0.5, 0.1, 0.4]])
    maps = rng.uniform(size=(2, 4, 4, 3)).astype("float32")
    explanation = explanation_of(
        images[:2],
        probabilities=p,
        classes=p.argmax(-1),
        maps=maps,
        layer_maps={1: maps[..., 0], 6: maps[..., 1]},
        layer_probabilities=np.broadcast_to(p[:, None], (2, 6, 3)),
    )
    figure = plots.explanation(explanation, layers=True)
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
    figure = plots.explanation(explanation, layers=True)
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
    figure = plots.explanation(explanation, layers=True)
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
    figure = plots.explanation(explanation, layers=True)
    (bar,) = figure.axes[-2].child_axes
    assert bar.yaxis.get_major_formatter()(3.0) == "50%"
    assert bar.get_ylim() == (0, 3)
    for ax in figure.axes[1:4:2]:
        drawn = ax.images[1]
        assert drawn.get_clim() == (0, 3)
        alpha = drawn.to_rgba(np.asarray(drawn.get_array()))[..., 3]
        assert alpha[0, -1] == pytest.approx(0.85) and alpha[-1].max() == 0
    assert words_on(figure.axes[2]) == ["no evidence"]
    assert "speak against it" in texts_of(figure)[-1]


def test_one_class_has_no_rival(images):
    explanation = explanation_of(
        images[:2],
        ["ant"],
        probabilities=np.ones((2, 1), "float32") + np.float32(1e-6),
        maps=np.ones((2, 4, 4, 1)),
        layer_maps={1: np.ones((2, 4, 4))},
    )
    figure = plots.explanation(explanation, layers=True)
    axes = np.array(figure.axes).reshape(2, 4)
    assert [ax.get_title() for ax in axes[0]] == [
        "photograph",
        "evidence for\nant 100.0%",
        "evidence at layer 1\nant",
        "probability by layer",
    ]
    assert len(axes[1, 3].lines) == 1
    said = "Said “ant” (100.0%), because of parts all over the picture."
    assert texts_of(figure)[:2] == [said] * 2


def test_draws_two_likely_labels_of_an_image(colors_model, colors):
    explanation = colors_model.explain(colors[:1], centered=False)
    figure = plots.explanation(explanation, layers=True)
    titles = [ax.get_title() for ax in figure.axes[1:3]]
    assert titles == [
        "evidence for\nred 99.8%",
        "evidence for the next\ngreen 99.8%",
    ]
    sentence, caption = texts_of(figure)
    assert "several may be there, or none" in caption
    assert sentence.endswith("; next: “green” (99.8%).")


def test_a_model_without_fa_layers_has_no_columns_of_layers(images):
    """Its only maps are those of layer 0."""
    explanation = explanation_of(
        images[:1],
        layer_maps={0: np.ones((1, 4, 4))},
        layer_probabilities=np.full((1, 1, 3), 1 / 3),
    )
    figure = plots.explanation(explanation, layers=True)
    headings = [ax.get_title().split("\n")[0] for ax in figure.axes]
    assert headings == ["photograph", "evidence for", "evidence for rival"]
    assert figure.axes[-1].child_axes
    assert "ayer" not in texts_of(figure)[-1]


def test_thousands_of_maps_are_never_resized(images, monkeypatch):
    """Only that of the explained class is, and that of its rival."""
    resized = []
    for module in ("_explanation", "maps"):
        monkeypatch.setattr(
            f"keras_facnn.plots.{module}.resize_maps",
            lambda maps, size: (
                resized.append(np.shape(maps)) or resize_maps(maps, size)
            ),
        )
    count = 1000
    p = np.full((1, count), 1 / count)
    explanation = explanation_of(
        images[:1],
        [str(c) for c in range(count)],
        probabilities=p,
        maps=np.ones((1, 7, 7, count), "float32"),
        layer_maps={},
        layer_probabilities=p[:, None],
    )
    plots.explanation(explanation)
    plots.explanation(explanation, layers=True)
    assert set(resized) == {(1, 7, 7)} and len(resized) == 5


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
    axes = np.array(plots.explanation(explanation, layers=True).axes).reshape(
        3, 5
    )
    # 0.5 is 1.6% of 16 * 2.
    rivals = [["no evidence"], ["faint: nowhere above 1.6%"], []]
    assert [words_on(ax) for ax in axes[:, 2]] == rivals
    assert not any(words_on(ax) for ax in axes[:, [1, 3]].ravel())


@pytest.mark.parametrize("most", [-1, 0, 1e-38])
def test_a_layer_without_evidence_says_so(images, most):
    layer = np.full((1, 8, 8), -5, "float32")
    layer[0, 0, 0] = most
    explanation = explanation_of(images[:1], layer_maps={1: layer})
    figure = plots.explanation(explanation, layers=True)
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
    figure = plots.explanation(explanation, layers=True)
    words = [words_on(ax) for ax in figure.axes]
    assert words == [[], ["no evidence"], [], ["no evidence"], []]
    assert not any(ax.child_axes for ax in figure.axes)
    assert figure.axes[2].images[1].get_array().max() == 1


@pytest.mark.parametrize("layers", [False, True])
def test_explains_without_maps_of_layers(images, layers):
    model = FACNN(3, (16, 16, 3), (2,), (1,))
    explanation = model.explain(images[:2], layers=[])
    figure = plots.explanation(explanation, layers=layers)
    assert len(figure.axes) == 2 * (4 if layers else 2)


def test_needs_an_explanation(images):
    message = "`explanation` must be an `Explanation`"
    with pytest.raises(TypeError, match=message):
        plots.explanation(images)


@pytest.mark.parametrize("labels", [[0], [0, 3], "ant", ["ant", "dog"], 1])
def test_refuses_bad_labels(images, labels):
    with pytest.raises(ValueError, match="`labels` must be"):
        plots.explanation(explanation_of(images[:2]), labels=labels)


def test_refuses_one_label_of_images_with_several(images):
    explanation = explanation_of(images[:2], several_labels=True)
    with pytest.raises(ValueError, match="`labels` must be None if"):
        plots.explanation(explanation, labels=[0, 1])
