import time

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from keras_facnn import plots
from keras_facnn.plots.text import cut_text
from keras_facnn.plots.text import fits
from tests.plots.curves import removal
from tests.plots.figures import assert_all_text_is_readable
from tests.plots.figures import explanation_of
from tests.plots.figures import texts_of

pytestmark = pytest.mark.only_on("torch")


FOREIGN = ["_bg", r"$\foo$", "a$b$c", "\u8336\u58f6", "\udcff\x00", "^{}%\\"]


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
@pytest.mark.filterwarnings("ignore:No installed font")
@pytest.mark.filterwarnings("error::UserWarning")
def test_names_are_drawn_as_given(images, tmp_path, suffix):
    names = FOREIGN
    explanation = explanation_of(
        np.stack([images[0]] * 6),
        names,
        probabilities=np.eye(6) * 0.9 + 0.01,
        classes=np.arange(6),
    )
    figure = plots.explanation(explanation, names=names)
    figure.savefig(tmp_path / f"explanation.{suffix}")
    for text, name in zip(figure.texts, names[:3], strict=False):
        assert f"aid “{name}” (91.0%)" in text.get_text()
        assert not text.get_parse_math()
    figure = plots.explanation(explanation, layers=True, names=names)
    figure.savefig(tmp_path / f"layers.{suffix}")
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
    ).savefig(tmp_path / f"maps_by_layer.{suffix}")
    result = removal([0, 1], [1, 0])
    figure = plots.pixel_removal(dict.fromkeys(names, result))
    figure.savefig(tmp_path / f"removal.{suffix}")
    texts = figure.axes[0].get_legend().get_texts()
    assert texts[0].get_text() == "_bg (area 0.500)"
    assert len(texts) == len(names)


LONG = [
    "gasmask, respirator, gas helmet",
    "lesser panda, red panda, panda, bear cat, cat bear, Ailurus fulgens",
    "Wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww",
    "dumbbell",
    "w" * 14,
]


def test_long_names_never_overlap(images):
    p = np.array([[0.5, 0.4, 0.05, 0.03, 0.02]])
    for shift in range(5):
        explanation = explanation_of(
            images[:1],
            [*LONG[shift:], *LONG[:shift]],
            probabilities=p,
            layer_maps={n: np.ones((1, 4, 4)) for n in (6, 12, 18)},
            classes=np.array([0]),
        )
        figure = plots.explanation(
            explanation, layers=True, names=["photo" * 20 + ".jpg"]
        )
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


HEBREW = "\u05e9\u05de\u05dc\u05d4"
ARABIC = "\u0641\u0633\u062a\u0627\u0646 \u0637\u0648\u064a\u0644"


@pytest.mark.filterwarnings("ignore:No installed font")
@pytest.mark.parametrize("layers", [False, True])
@pytest.mark.parametrize(
    "names",
    [
        ["W " * 250, "x" * 500, "y, z " * 100],
        ["w" * 60, "an abacus " * 6, "monograph" * 7],
        ["an abacus, or so", "a bird of prey, the golden eagle", "cat"],
        ["\u8336\u58f6" * 30, "\u72d7", "\u732b" * 60],
        [HEBREW * 15, ARABIC, ARABIC * 6],
    ],
    ids=["longest", "60 letters", "long", "Chinese", "right to left"],
)
def test_long_names_are_never_clipped(images, layers, names):
    explanation = explanation_of(images[:3], names, classes=np.arange(3))
    for labels in (None, [1, 1, 2]):
        figure = plots.explanation(
            explanation, layers=layers, labels=labels, names=names
        )
        assert_all_text_is_readable(figure)


def test_names_of_60_letters_are_whole(images):
    names = ["a golden eagle " * 4, "abc " * 15, "i" * 60]
    figure = plots.explanation(explanation_of(images[:1], names))
    said = texts_of(figure)[0]
    c = explanation_of(images[:1]).classes[0]
    assert f"“{names[c].strip()}”" in said


def test_a_number_after_a_name_from_right_to_left_stays_after_it():
    """Without a mark, the line would go on from right to left."""
    mark = "\u200e"
    assert cut_text(HEBREW, "9.1%") == f"{HEBREW}{mark} 9.1%"
    assert cut_text("cat", "9.1%") == "cat 9.1%"
    cut = cut_text(ARABIC * 60, "9.1%", lines=1)
    assert cut.endswith(f"{mark}… 9.1%")


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(
    "names",
    [
        ["W " * 250, "x" * 500, "y, z " * 100],
        ["an abacus, or so", "a bird of prey, the golden eagle", "cat"],
    ],
    ids=["longest", "long"],
)
def test_long_titles_are_not_clipped_and_drawn_fast(images, count, names):
    explanation = explanation_of(images[:count], names)
    start = time.perf_counter()
    figure = plots.explanation(
        explanation, layers=True, names=["n" * 500] * count
    )
    # Measuring letter by letter took ten seconds.
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
def test_a_cut_text_is_as_long_as_possible(text, lines):
    """One more letter would not fit."""
    if not isinstance(lines, int):
        assert cut_text(text).split("\n") == lines
        return
    cut = cut_text(text, "9.1%", lines).split("\n")
    assert len(cut) <= lines
    assert all(fits(line, 9) for line in cut)
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
    assert not fits(f"{more}… 9.1%", 9)
