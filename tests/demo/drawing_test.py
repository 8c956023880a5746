"""The HTML of the page. `tests/page.py` clicks through it in a browser."""

import dataclasses
import re

import numpy as np
import pytest

import keras_facnn
from keras_facnn import attribution
from keras_facnn.demo import analysis
from keras_facnn.demo import chart
from keras_facnn.demo import drawing
from keras_facnn.demo import surroundings
from tests.demo.pictures import as_file

KINDS = ("raw", "centered", "contrast")


def test_each_of_several_labels_has_its_own_probability(colors_model, colors):
    yellow, _, gray, _ = (
        analysis.analyze(colors_model, as_file(pixels)) for pixels in colors
    )
    bars = drawing.bars_html(yellow, 0)
    shares = re.findall(r'fa-share">(.*?)</span', bars)
    assert shares == ["99.8%", "99.8%", "< 0.1%"]
    assert "several may be there, or none" in bars
    assert drawing.bars_html(gray, 0).count("< 0.1%") == 3
    about = surroundings.about_html(colors_model, "colors")
    assert "gets one of" not in about
    assert "a photo may show several of them, or none" in about


def test_the_sentence_on_a_layer_fits_the_kind_of_model(rng, data):
    for threshold, words in ((False, "would say"), (True, "find likeliest")):
        model = keras_facnn.FACNN(
            4, (16, 16, 3), (2,), (1,), threshold=threshold
        )
        seen = analysis.analyze(model, data)
        assert words in drawing.view_html(seen, 0, 1, "raw", 1)


@pytest.mark.parametrize("kind", KINDS)
def test_bars_of_evidence_are_drawn_to_scale(seen, kind):
    drawn = chart.evidence_html(seen, 2, 1, kind, 1)
    values = analysis.of_kind(seen.evidence, kind, 2, 1)
    heights = [float(h) for h in re.findall(r'<rect .*?height="(.*?)"', drawn)]
    signs = re.findall(r'class="fa-(for|against)', drawn)
    np.testing.assert_allclose(
        np.array(heights) / max(heights),
        np.abs(values) / np.abs(values).max(),
        atol=0.01,
    )
    assert signs == ["for" if v >= 0 else "against" for v in values]
    (total,) = re.findall(r'data-sum="(.*?)"', drawn)
    logit = analysis.of_kind(seen.logits, kind, 2, 1)
    assert float(total) == pytest.approx(logit, abs=1e-4)
    assert drawn.count("fa-here") == 1


@pytest.mark.parametrize("turned", [1, -1])
def test_the_label_of_the_longest_bar_is_beyond_its_end(seen, turned):
    seen = dataclasses.replace(seen, evidence=turned * abs(seen.evidence))
    drawn = chart.evidence_html(seen, 2, 1, "raw", 1)
    bars = [
        (float(y), float(y) + float(height))
        for y, height in re.findall(
            r'<rect .*?y="(.*?)".*?height="(.*?)"', drawn
        )
    ]
    *ticks, label = map(float, re.findall(r'<text .*?y="(.*?)"', drawn))
    letters = 11
    if turned > 0:
        assert letters < label < min(top for top, _ in bars)
    else:
        assert label - letters > max(bottom for _, bottom in bars)
        assert label < min(ticks) - letters


def test_bars_show_the_likeliest_and_the_chosen_class(rng, data):
    model = keras_facnn.FACNN(12, (16, 16, 3), (1,), (1,))
    seen = analysis.analyze(model, data)
    chosen = seen.ranking[-1]
    drawn = drawing.bars_html(seen, chosen)
    shown = [int(i) for i in re.findall(r'data-index="(\d+)"', drawn)]
    assert shown == [*seen.ranking[:10], chosen]
    assert re.findall(r'data-index="(\d+)" aria-pressed="true"', drawn) == [
        str(chosen)
    ]
    assert f"class {chosen}" in drawn


def test_grad_cam_is_computed_only_once(small_model, seen, monkeypatch):
    drawn = drawing.grad_cam_html(small_model, seen, 2, 3)
    assert "r&nbsp;=&nbsp;1.00, that is, it is the same map" in drawn
    expected = attribution.grad_cam(small_model, seen.image, 2, layer=2)[0]
    found = analysis.see_grad_cam(small_model, seen, 2, 2)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    monkeypatch.setattr(analysis, "grad_cam", None)
    assert analysis.see_grad_cam(small_model, seen, 2, 2) is found


def test_draws_an_upright_photo_for_a_gray_model(rng):
    model = keras_facnn.FACNN(2, (16, 32, 1), (1,), (1,))
    data = as_file(rng.integers(0, 256, (90, 40), "uint8"))
    seen = analysis.analyze(model, data)
    assert seen.view.shape == (240, 480, 1)
    for drawn in (
        drawing.photo_html(seen),
        drawing.view_html(seen, 0, 1, "contrast", 1),
    ):
        assert "data:image/jpeg;base64," in drawn


def test_names_are_never_markup(small_model, data, tmp_path):
    """The class names of a preset are any text, and are escaped."""
    folder = tmp_path / "preset"
    evil = "<img src=x onerror=alert(1)>${value}"
    small_model.save_to_preset(
        folder, {"class_names": [evil, "b", "c", "&amp;"]}
    )
    model = keras_facnn.FACNN.from_preset(folder)
    seen = analysis.analyze(model, data)
    for drawn in (
        drawing.bars_html(seen, 0),
        drawing.view_html(seen, 0, 1, "raw", 3),
        drawing.view_html(seen, 3, 3, "contrast", 0),
        chart.evidence_html(seen, 0, 1, "contrast", 3),
        drawing.grad_cam_html(model, seen, 0, 2),
        surroundings.about_html(model, evil),
        drawing.error_html(evil),
    ):
        assert "<img src=x" not in drawn
        assert "&lt;img src=x" in drawn
