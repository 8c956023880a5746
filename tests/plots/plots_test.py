import time

import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from keras_facnn import plots
from keras_facnn.explaining.explanation import Explanation
from keras_facnn.maps import resize_maps
from keras_facnn.metrics._pixel_removal import PixelRemoval
from keras_facnn.plots import _plots

pytestmark = pytest.mark.only_on("torch")


def test_overlay_draws_map_over_image(images):
    ax = Figure().add_subplot()
    map_ = np.zeros((4, 4))
    map_[0, 3] = 2.0
    drawn = plots.overlay(ax, images[0], map_, vmax=4.0)
    pixels = drawn.get_array()
    assert pixels.shape == (16, 16)
    assert pixels[0, 15] == pixels.max() == 2.0
    assert drawn.get_clim() == (0, 4.0)
    gray = ax.images[0].get_array()
    np.testing.assert_allclose(gray, images[0].mean(-1), rtol=1e-5)


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
    figure = plots.maps_by_layer(images[0], maps, "ant")
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["ant", "layer 1", "layer 12", "layer 24"]

    result = PixelRemoval([0, 0.5, 1], [1, 0.5, 0], [1, 1, 0], 0.5, 0.75, 0, {})
    figure = plots.pixel_removal({"FA-CNN": result, "random": result})
    (ax,) = figure.axes
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [1, 0.5, 0])
    assert "FA-CNN (area 0.500)" in ax.get_legend().get_texts()[0].get_text()


def test_pixel_removals_legend_hides_no_line():
    falls = PixelRemoval([0, 1], [1, 0], [1, 0], 0.5, 0.5, 0, {})
    stays = PixelRemoval([0, 1], [1, 1], [1, 1], 1.0, 1.0, 0, {})
    figure = plots.pixel_removal({"falls": falls, "stays": stays})
    figure.draw_without_rendering()
    (ax,) = figure.axes
    legend = ax.get_legend().get_window_extent()
    assert legend.x0 >= ax.get_window_extent().x1
    assert legend.x1 <= figure.bbox.x1


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_titles_of_compare_are_whole(images, rng, count):
    maps = {f"Method {i}": rng.uniform(size=(1, 4, 4)) for i in range(count)}
    figure = plots.compare(images[:1], maps)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    for ax in figure.axes:
        box = ax.title.get_window_extent(canvas.get_renderer())
        assert box.y1 <= figure.bbox.y1


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
        (np.ones((2, 4, 4)), {"c": "a"}, "`reference` must name.*'c'"),
        (np.ones((2, 4, 4)), ["a"], "`reference` must be a title"),
        (np.ones((2, 4, 4)), 3, "`reference` must be a title"),
    ],
)
def test_compare_refuses_bad_arguments(images, maps, reference, message):
    with pytest.raises(ValueError, match=message):
        plots.compare(images[:2], {"a": maps}, reference)


def drawn_on(ax):
    return np.asarray(ax.images[0].get_array())


def test_pixels_outside_of_their_range_never_wrap(images):
    """317 is white, not 61; and one word is said about it."""
    maps = {"a": np.ones((2, 4, 4))}
    wide = images[:2].astype("int64") * 3 - 200
    for values in (wide, wide.astype("float32"), wide.astype("int16")):
        with pytest.warns(UserWarning, match="should be in 0..255") as told:
            figure = plots.compare(values, maps)
        assert sum(w.category is UserWarning for w in told) == 1
        for ax, image in zip(figure.axes[::2], wide, strict=True):
            np.testing.assert_array_equal(drawn_on(ax), image.clip(0, 255))
    deep = images[:2].astype("uint16") * 257
    with pytest.warns(UserWarning, match="to 6"):
        figure = plots.maps_by_layer(deep[0], {1: np.ones((4, 4))})
    np.testing.assert_array_equal(
        drawn_on(figure.axes[0]), np.minimum(deep[0], 255)
    )


def test_pixels_from_0_to_1_are_not_black(images):
    ax = Figure().add_subplot()
    told = explanation_of(images, images=images / np.float32(255))
    for draw in (
        lambda x: plots.compare(x, {"a": np.ones((5, 4, 4))}),
        lambda x: plots.explanation(told),
    ):
        with pytest.warns(UserWarning, match="drawn as if multiplied by 255"):
            figure = draw(images / 255)
        np.testing.assert_array_equal(drawn_on(figure.axes[0]), images[0])
    with pytest.warns(UserWarning, match="multiplied by 255"):
        plots.overlay(ax, images[0] / 255, np.ones((4, 4)))
    np.testing.assert_allclose(drawn_on(ax), images[0].mean(-1), rtol=1e-5)


def test_a_colored_overlay_leaves_places_without_evidence_alone(images):
    ax = Figure().add_subplot()
    map_ = np.zeros((16, 16))
    map_[:, 8:] = np.linspace(0.5, 1, 8)
    drawn = plots.overlay(ax, images[0], map_, opacity=0.8, color=True)
    np.testing.assert_array_equal(drawn_on(ax), images[0])
    alpha = drawn.to_rgba(map_)[..., 3]
    assert (alpha[:, :8] == 0).all()
    assert (np.diff(alpha[0, 8:]) > 0).all()
    assert alpha.max() == pytest.approx(0.8)


def explanation_of(pictures, names=("ant", "bee", "cat"), **fields):
    rng = np.random.default_rng(1)
    count = len(pictures)
    p = rng.dirichlet(np.ones(len(names)), count)
    maps = rng.uniform(size=(count, 4, 4, len(names))).astype("float32")
    return Explanation(
        **{
            "images": pictures,
            "classes": p.argmax(-1),
            "probabilities": p,
            "maps": maps,
            "layer_maps": {2: 9 * maps[..., 0], 4: maps[..., 1]},
            "layer_probabilities": np.stack([p] * 5, 1),
            "class_names": names,
            **fields,
        }
    )


def test_explanation_of_an_asked_class(images):
    """The second map is of the likeliest other one, on the same scale."""
    p = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    told = explanation_of(
        images[:2], classes=np.array([1, 2]), probabilities=p, class_names=None
    )
    figure = plots.explanation(told)
    axes = np.array(figure.axes).reshape(2, 6)
    assert "class 1 20.0%" in axes[0, 1].get_title()
    assert "class 0 70.0%" in axes[0, 2].get_title()
    assert "class 2 60.0%" in axes[1, 1].get_title()
    assert "class 1 30.0%" in axes[1, 2].get_title()
    assert "evidence at layer 4" in axes[0, 4].get_title()
    limits = {ax.images[1].get_clim() for ax in axes[0, 1:5]}
    assert len(limits) == 1


def test_color_bar_gives_shares_of_the_logit(images):
    """Four cells give all of the logit, and one of them a half of it."""
    maps = np.zeros((1, 4, 4, 3), "float32")
    maps[0, 0, :, 1] = 1, 1, 1, 3
    told = explanation_of(
        images[:1],
        maps=maps,
        classes=np.array([1]),
        layer_maps={2: 100 * maps[..., 1]},
    )
    figure = plots.explanation(told)
    ax = figure.axes[-2]
    (bar,) = ax.child_axes
    assert bar.yaxis.get_major_formatter()(3.0) == "50%"
    assert bar.get_ylim() == (0, 3)
    label = "share of the evidence from\n1/16 of the picture"
    assert bar.get_ylabel() == label
    # The layer's own units are gone.
    last, layer = (
        np.asarray(a.images[1].get_array()) for a in figure.axes[1:4:2]
    )
    np.testing.assert_allclose(layer, last, rtol=1e-5)


def test_centered_maps_show_what_speaks_for_a_class(images):
    """Shares are of that alone, and what speaks against it is not drawn."""
    maps = np.full((1, 4, 4, 3), -1.0, "float32")
    maps[0, 0, :, 1] = 1, 1, 1, 3
    told = explanation_of(
        images[:1],
        maps=maps,
        classes=np.array([1]),
        layer_maps={2: np.repeat(np.repeat(maps[..., 1], 2, 1), 2, 2) * 7},
        centered=True,
    )
    figure = plots.explanation(told)
    (bar,) = figure.axes[-2].child_axes
    assert bar.yaxis.get_major_formatter()(3.0) == "50%"
    assert bar.get_ylim() == (0, 3)
    for ax in figure.axes[1:4:2]:
        drawn = ax.images[1]
        assert drawn.get_clim() == (0, 3)
        alpha = drawn.to_rgba(np.asarray(drawn.get_array()))[..., 3]
        assert alpha[0, -1] == pytest.approx(0.85) and alpha[-1].max() == 0
    assert words_on(figure.axes[2]) == ["no evidence"]
    assert "speak against it" in figure.get_supxlabel()


@pytest.mark.only_on("torch")
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


def test_two_labels_of_an_image_are_both_drawn_as_likely(colors_model, colors):
    told = colors_model.explain(colors[:1])
    parts = vars(told).copy()
    parts.pop("classes")
    for figure in (plots.explanation(told), plots.explanation(**parts)):
        titles = [ax.get_title() for ax in figure.axes[1:3]]
        assert titles == [
            "evidence for\nred 99.8%",
            "evidence for the next\ngreen 99.8%",
        ]
        caption = " ".join(figure.get_supxlabel().split())
        assert "several may be there, or none" in caption
        lines = figure.axes[-1].lines
        assert [line.get_ydata()[-1] > 0.99 for line in lines] == [True, True]


def words_on(ax):
    return [text.get_text() for text in ax.texts]


def test_maps_that_show_nothing_say_why(images):
    """A rival without evidence, one of little, and one of enough."""
    maps = np.zeros((3, 4, 4, 3), "float32")
    maps[..., 1] = 2
    maps[1, 0, 0, 0] = 0.5
    maps[2, 0, 0, 0] = 1.5
    told = explanation_of(
        images[:3],
        maps=maps,
        probabilities=np.array([[0.3, 0.6, 0.1]] * 3),
        classes=np.array([1] * 3),
        layer_maps={2: maps[..., 1]},
    )
    axes = np.array(plots.explanation(told).axes).reshape(3, 5)
    # 0.5 of 16 * 2.
    rivals = [["no evidence"], ["faint: nowhere above 1.6%"], []]
    assert [words_on(ax) for ax in axes[:, 2]] == rivals
    assert not any(words_on(ax) for ax in axes[:, [1, 3]].ravel())


@pytest.mark.parametrize("most", [-1, 0, 1e-38])
def test_a_layer_without_evidence_shows_none(images, most):
    layer = np.full((1, 8, 8), -5, "float32")
    layer[0, 0, 0] = most
    told = explanation_of(images[:1], layer_maps={1: layer})
    figure = plots.explanation(told)
    figure.draw_without_rendering()
    ax = figure.axes[3]
    drawn = np.asarray(ax.images[1].get_array())
    assert np.isfinite(drawn).all()
    assert drawn.max() > 0 if most > 0 else drawn.max() <= 0
    assert words_on(ax) == ([] if most > 0 else ["no evidence"])


def test_a_class_without_evidence_has_no_color_bar(images):
    """No share of nothing; the other class is drawn all the same."""
    maps = np.zeros((1, 4, 4, 3), "float32")
    maps[..., 0] = 1
    told = explanation_of(
        images[:1],
        maps=maps,
        classes=np.array([2]),
        probabilities=np.array([[0.8, 0.1, 0.1]]),
        layer_maps={2: maps[..., 2]},
    )
    figure = plots.explanation(told)
    said = [words_on(ax) for ax in figure.axes]
    assert said == [[], ["no evidence"], [], ["no evidence"], []]
    assert not any(ax.child_axes for ax in figure.axes)
    assert figure.axes[2].images[1].get_array().max() == 1


@pytest.mark.parametrize("layer_maps", [{}, {6: 1, 12: 1, 18: 1}])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("draw", [plots.explanation, plots.why])
def test_a_caption_explains_the_figure(images, layer_maps, count, draw):
    """It is whole, covers nothing, and tells of pale sides where some are."""
    told = explanation_of(
        images[:count],
        layer_maps={n: np.ones((count, 4, 4)) for n in layer_maps},
    )
    wide = np.zeros((40, 120, 3), "uint8")
    for photos, pale in ((None, False), ([*told.images[1:], wide], True)):
        figure = draw(told, photos=photos)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        caption = figure.get_supxlabel()
        assert "adds to the score" in caption
        assert ("pale" in caption) == pale
        assert ("one scale" in caption) == (draw is plots.explanation)
        box = figure._supxlabel.get_window_extent(canvas.get_renderer())
        assert 0 <= box.x0 and box.x1 <= figure.bbox.x1 and 0 <= box.y0
        for ax in figure.axes:
            assert ax.get_tightbbox(canvas.get_renderer()).y0 >= box.y1


@pytest.mark.parametrize("centered", [True, False])
def test_why_is_the_photograph_and_one_map(images, centered):
    """Each row's map is of its own class, to its own largest value."""
    told = explanation_of(
        images[:2],
        classes=np.array([2, 0]),
        probabilities=np.array([[0.1, 0.2, 0.7], [0.4, 0.5, 0.1]]),
        centered=centered,
    )
    photos = np.repeat(np.repeat(told.images, 2, 1), 2, 2)
    figure = plots.why(told, names=["a.png", "b.png"], photos=photos)
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
        (expected,) = resize_maps(told.maps[row, ..., c][None], (16, 16))
        np.testing.assert_allclose(map_.get_array(), expected, rtol=1e-6)
        assert map_.get_clim() == (0, told.maps[row, ..., c].max())
        assert not axes[row, 1].child_axes and not words_on(axes[row, 1])
    with pytest.raises(TypeError, match="`told` must be an `Explanation`"):
        plots.why(images)


def test_photographs_keep_their_aspect_and_their_place(images):
    """What the model doesn't see of a wide photo is pale."""
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
    # In both, the gray third lies from 0 to 16 pixels of the model's image.
    assert (left, right) == pytest.approx((-16.5, 31.5))
    pale = sorted(patch.get_x() for patch in photo.patches)
    assert pale == pytest.approx([-16.5, 15.5])
    assert view.images[0].get_extent() == pytest.approx(
        [-16.5, 31.5, 15.5, -0.5]
    )
    assert view.get_xlim() == (-0.5, 15.5)
    map_ = view.images[1]
    assert map_.get_extent() == [-0.5, 15.5, 15.5, -0.5]
    # A tall one gets no more height than the maps, and its title is whole.
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
    # A photo of the model's own size has nothing to hide.
    assert not plots.explanation(explanation_of(images[:1])).axes[0].patches


FOREIGN = ["_bg", r"$\foo$", "a$b$c", "\u8336\u58f6", "\udcff\x00", "^{}%\\"]


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
@pytest.mark.filterwarnings("ignore:No installed font")
@pytest.mark.filterwarnings("error::UserWarning")
def test_names_are_drawn_as_given(images, tmp_path, suffix):
    names = FOREIGN
    told = explanation_of(
        np.stack([images[0]] * 6),
        names,
        probabilities=np.eye(6) * 0.9 + 0.01,
        classes=np.arange(6),
    )
    figure = plots.explanation(told, names=names)
    figure.savefig(tmp_path / f"explanation.{suffix}")
    axes = np.array(figure.axes).reshape(6, 6)
    for row, name in enumerate(names[:3]):
        assert name in axes[row, 0].get_title()
        assert f"{name} 91.0%" in axes[row, 1].get_title()
        legend = axes[row, 5].get_legend().get_texts()
        assert legend[0].get_text() == name
        assert legend[0].get_visible()
        assert not legend[0].get_parse_math()
        assert not axes[row, 1].title.get_parse_math()
    maps = {name: np.ones((1, 4, 4)) for name in names}
    figure = plots.compare(images[:1], maps, names[1], names[1:2])
    assert figure.axes[0].get_ylabel() == names[1]
    assert figure.axes[1].get_title() == "_bg"
    figure.savefig(tmp_path / f"compare.{suffix}")
    plots.maps_by_layer(
        images[0], {n: np.ones((4, 4)) for n in names}, names[1]
    ).savefig(tmp_path / f"depth.{suffix}")
    result = PixelRemoval([0, 1], [1, 0], [1, 0], 0.5, 0.75, 0, {})
    figure = plots.pixel_removal(dict.fromkeys(names, result))
    figure.savefig(tmp_path / f"removal.{suffix}")
    texts = figure.axes[0].get_legend().get_texts()
    assert texts[0].get_text() == "_bg (area 0.500)"
    assert len(texts) == len(names)


def test_uses_an_installed_font_that_has_the_characters(images, monkeypatch):
    """STIX has a double-struck A, which the usual font lacks."""
    letter = "\U0001d538"
    usual = font_manager.findfont(font_manager.FontProperties())
    known = {
        str(usual): frozenset("abcdefghijklmnopqrstuvwxyz 0123456789"),
        str(font_manager.findfont("STIXGeneral")): frozenset(letter),
    }
    monkeypatch.setattr(
        _plots, "_characters", lambda path: known.get(str(path), frozenset())
    )
    figure = plots.maps_by_layer(
        images[0], {"layer 1": np.ones((4, 4))}, letter
    )
    title = figure.axes[0].title
    assert title.get_text() == letter
    assert "STIXGeneral" in title.get_fontfamily()
    with pytest.warns(UserWarning, match="No installed font has all"):
        figure = plots.maps_by_layer(
            images[0], {"layer 1": np.ones((4, 4))}, "a\u8336"
        )
    assert figure.axes[0].get_title() == "a\u25a1"


LONG = [
    "gasmask, respirator, gas helmet",
    "lesser panda, red panda, panda, bear cat, cat bear, Ailurus fulgens",
    "Wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww",
    "dumbbell",
    "w" * 14,
]


def test_long_names_never_overprint_their_neighbors(images):
    p = np.array([[0.5, 0.4, 0.05, 0.03, 0.02]])
    for shift in range(5):
        told = explanation_of(
            images[:1],
            [*LONG[shift:], *LONG[:shift]],
            probabilities=p,
            layer_maps={n: np.ones((1, 4, 4)) for n in (6, 12, 18)},
            classes=np.array([0]),
        )
        figure = plots.explanation(told, names=["photo" * 20 + ".jpg"])
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        boxes = [
            ax.title.get_window_extent(canvas.get_renderer())
            for ax in figure.axes
        ]
        for left, right in zip(boxes, boxes[1:], strict=False):
            assert left.x1 < right.x0
        assert all(box.y1 <= figure.bbox.y1 for box in boxes)
        for ax, number in zip(
            figure.axes[1:3], ("50.0%", "40.0%"), strict=True
        ):
            assert ax.get_title().endswith(number)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(
    "names",
    [
        ["W " * 250, "x" * 500, "y, z " * 100],
        ["an abacus, or so", "a bird of prey, the golden eagle", "cat"],
    ],
    ids=["longest", "long"],
)
def test_no_title_is_clipped_and_none_takes_long(images, count, names):
    told = explanation_of(images[:count], names)
    start = time.perf_counter()
    figure = plots.explanation(told, names=["n" * 500] * count)
    # It took ten.
    assert time.perf_counter() - start < 3
    map_ = np.eye(4)
    for drawn in (
        figure,
        plots.maps_by_layer(images[0], {1: map_, "b" * 90: map_}, names[0]),
        plots.compare(
            images[:1], {names[1]: map_[None], "Grad-CAM\nat 2": map_[None]}
        ),
    ):
        canvas = FigureCanvasAgg(drawn)
        canvas.draw()
        for ax in drawn.axes:
            box = ax.title.get_window_extent(canvas.get_renderer())
            assert 0 <= box.x0 and box.x1 <= drawn.bbox.x1
            assert box.y1 <= drawn.bbox.y1
    assert drawn.axes[2].get_title() == "Grad-CAM\nat 2"


@pytest.mark.parametrize(
    "text, lines",
    [
        ("short", ["short"]),
        ("a bird of prey, the golden eagle of the Alps", 2),
        ("w" * 100, 2),
        ("Wi" * 60, 2),
        ("one " * 60, 1),
    ],
)
def test_a_cut_text_is_as_long_as_fits(text, lines):
    """By the definition, letter by letter."""
    if not isinstance(lines, int):
        assert _plots._cut(text).split("\n") == lines
        return
    cut = _plots._cut(text, "9.1%", lines).split("\n")
    assert len(cut) <= lines
    assert all(_plots._fits(line, 9) for line in cut)
    if "…" not in cut[-1]:
        assert " ".join(cut) == f"{text} 9.1%"
        return
    shown = cut[-1].removesuffix("… 9.1%")
    rest = text
    for line in cut[:-1]:
        assert rest.startswith(line)
        rest = rest[len(line) :].lstrip()
    assert rest.startswith(shown)
    more = rest[: len(shown) + (2 if rest[len(shown)] == " " else 1)]
    assert not _plots._fits(f"{more}… 9.1%", 9)


@pytest.mark.parametrize(
    "draw",
    [
        lambda x: plots.compare(x, {"a": np.ones((2, 4, 4))}, row_names=["a"]),
        lambda x: plots.explanation(explanation_of(x), names=list("abc")),
        lambda x: plots.explanation(explanation_of(x), names="ab"),
        lambda x: plots.explanation(explanation_of(x), photos=x[:1]),
        lambda x: plots.why(explanation_of(x), names=list("abc")),
    ],
)
def test_refuses_another_number_of_names_than_of_images(images, draw):
    with pytest.raises(
        ValueError, match="`(row_names|names|photos)` must have one.*2 images"
    ):
        draw(images[:2])


def test_explanation_needs_all_or_an_explanation(images):
    with pytest.raises(TypeError, match="`images` must be an `Explanation`"):
        plots.explanation(images, np.ones((5, 3)))


def test_lines_that_hide_each_other_are_both_seen():
    """On a picture, the color of each is there."""
    x = np.linspace(0, 1, 11)
    curve = 1 - x**2

    def result(accuracy):
        return PixelRemoval(x, accuracy, accuracy, 0.5, 0.5, 0, {})

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


def test_painted_pixels_are_those_of_the_figures(rng):
    image = rng.integers(0, 256, (40, 60, 3)).astype("uint8")
    map_ = rng.uniform(0, 2, (40, 60)) * (rng.uniform(size=(40, 60)) < 0.5)
    figure = Figure(figsize=(0.6, 0.4), dpi=100)
    ax = figure.add_axes((0, 0, 1, 1))
    plots.overlay(ax, image, map_, vmax=1.5, opacity=0.85, color=True)
    ax.axis("off")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
    pixels = plots.colorize(image, map_, 1.5)
    assert np.abs(pixels - drawn).max() <= 4
    np.testing.assert_array_equal(pixels[map_ == 0], image[map_ == 0])


def test_painted_negatives_are_blue_where_positives_are_orange():
    gray = np.full((8, 8, 3), 128, "uint8")
    positive = plots.colorize(gray, np.full((2, 2), 0.6), 1)
    negative = plots.colorize(gray, np.full((2, 2), -0.6), 1)
    np.testing.assert_array_equal(negative, positive[..., ::-1])
    assert (positive[..., 0] > positive[..., 2]).all()


BAD_MAPS = {
    "nan": [[np.nan, 1.0], [0.0, 1.0]],
    "infinite": [[np.inf, 1.0], [0.0, 1.0]],
    "masked": np.ma.masked_equal(np.eye(2), 1),
    "complex": np.eye(2) + 1j,
    "strings": [["1", "0"], ["0", "1"]],
    "none of it": np.zeros((0, 2)),
    "three axes": np.zeros((2, 2, 2)),
    "ragged": [[1.0, 2.0], [1.0]],
    "mapping": {},
    "none": None,
}


@pytest.mark.parametrize("bad", BAD_MAPS.values(), ids=BAD_MAPS)
def test_refuses_what_are_no_maps(images, bad):
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
def test_refuses_options_by_name(images, name, value):
    for draw in (
        lambda **k: plots.overlay(
            Figure().add_subplot(), images[0], np.eye(4), **k
        ),
        lambda **k: plots.colorize(images[0], np.eye(4), **k),
    ):
        with pytest.raises(ValueError, match=f"`{name}` must be a finite"):
            draw(**{name: value})


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


@pytest.mark.parametrize("bad", [None, [np.eye(4)], {}, "maps"])
def test_refuses_what_is_no_dict(images, bad):
    for name, draw in (
        ("maps", lambda: plots.maps_by_layer(images[0], bad)),
        ("maps", lambda: plots.compare(images, bad)),
        ("results", lambda: plots.pixel_removal(bad)),
    ):
        with pytest.raises(ValueError, match=f"`{name}` must be a dict"):
            draw()


def test_refuses_results_of_something_else():
    with pytest.raises(ValueError, match=r"`results\['a'\]` must be what"):
        plots.pixel_removal({"a": 3})


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
def test_parts_of_an_explanation_fit_together(images, name, value):
    parts = {
        "probabilities": np.full((5, 4), 0.25),
        "maps": np.ones((5, 4, 4, 4)),
        "layer_maps": {1: np.ones((5, 8, 8))},
        "layer_probabilities": np.full((5, 3, 4), 0.25),
        "class_names": list("abcd"),
    }
    with pytest.raises(ValueError, match=f"`{name}.*` must.*Received"):
        plots.explanation(images, **{**parts, name: value})
