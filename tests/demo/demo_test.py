"""The page's functions. `tests/page.py` clicks through it in a browser."""

import dataclasses
import io
import re
import socket
import sys

import numpy as np
import pytest
from PIL import Image
from PIL import ImageFile

import keras_facnn
from keras_facnn import attribution
from keras_facnn.cli import main as cli
from keras_facnn.demo import drawing
from keras_facnn.demo import looking
from keras_facnn.demo import serving
from keras_facnn.explaining import explaining

KINDS = ("raw", "centered", "contrast")


def as_file(pixels, format="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format)
    return file.getvalue()


@pytest.fixture
def data(rng):
    """A picture of 40 x 24 pixels, of which a model sees the middle."""
    return as_file(rng.integers(0, 256, (24, 40, 3)).astype("uint8"))


@pytest.fixture
def seen(small_model, data):
    return looking.look(small_model, data)


def test_one_forward_pass_tells_all(small_model, data, monkeypatch):
    passes = []
    monkeypatch.setattr(
        explaining,
        "run_in_batches",
        lambda *args: (
            passes.append(1)
            or keras_facnn._backend.forward.run_in_batches(*args)
        ),
    )
    seen = looking.look(small_model, data)
    for layer in (1, 3):
        for kind in KINDS:
            drawing.view_html(seen, 2, layer, kind, 1)
            drawing.evidence_html(seen, 2, layer, kind, 1)
    drawing.bars_html(seen, 2)
    drawing.photo_html(seen)
    drawing.input_html(seen)
    assert passes == [1]

    images = seen.image
    for layer in (1, 2, 3):
        logits, maps = small_model.predict_with_maps(images, layer)
        np.testing.assert_allclose(seen.maps[layer], maps[0], atol=1e-6)
    np.testing.assert_allclose(seen.logits, logits[0], atol=1e-6)
    np.testing.assert_allclose(
        seen.evidence,
        small_model.layer_evidence(images, "all")[0],
        atol=1e-6,
    )
    layer_logits = small_model.layer_logits(images)[0]
    p = np.exp(layer_logits)
    p /= p.sum(-1, keepdims=True)
    np.testing.assert_allclose(seen.layer_probabilities, p, atol=1e-6)
    np.testing.assert_allclose(seen.probabilities, p[-1], atol=1e-6)
    assert "gets one of" in drawing.about_html(small_model, "small")
    assert "several" not in drawing.bars_html(seen, 2)


def test_several_labels_have_chances_of_their_own(colors_model, colors):
    yellow, _, gray, _ = (
        looking.look(colors_model, as_file(pixels)) for pixels in colors
    )
    bars = drawing.bars_html(yellow, 0)
    shares = re.findall(r'fa-share">(.*?)</span', bars)
    assert shares == ["99.8%", "99.8%", "< 0.1%"]
    assert "several may be there, or none" in bars
    assert drawing.bars_html(gray, 0).count("< 0.1%") == 3
    about = drawing.about_html(colors_model, "colors")
    assert "gets one of" not in about
    assert "a photo may show several of them, or none" in about


def test_the_sentence_on_a_layer_is_of_its_kind(rng, data):
    for threshold, said in ((False, "would say"), (True, "find likeliest")):
        model = keras_facnn.FACNN(
            4, (16, 16, 3), (2,), (1,), threshold=threshold
        )
        seen = looking.look(model, data)
        assert said in drawing.view_html(seen, 0, 1, "raw", 1)


def test_reads_a_picture_as_load_images_does(small_model, seen, data, tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(data)
    np.testing.assert_array_equal(
        seen.image, keras_facnn.load_images(path, small_model)
    )
    assert seen.view.shape == (480, 480, 3)
    assert seen.photo.shape == (24, 40, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_map_evidence_and_score_are_of_one_kind(small_model, seen, kind):
    scale = float(
        keras_facnn._backend.forward.ops.convert_to_numpy(
            small_model.head.scale
        )
    )
    total = looking.of_kind(seen.logits, kind, 2, 1)
    map_ = looking.of_kind(seen.maps[3], kind, 2, 1)
    assert scale * map_.mean() == pytest.approx(total, abs=1e-5)
    assert looking.of_kind(seen.evidence, kind, 2, 1).sum() == pytest.approx(
        total, abs=1e-5
    )
    assert np.abs(map_).max() <= looking.brightest(seen.maps[3], kind, 2, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_bars_of_evidence_are_drawn_to_scale(seen, kind):
    drawn = drawing.evidence_html(seen, 2, 1, kind, 1)
    values = looking.of_kind(seen.evidence, kind, 2, 1)
    heights = [float(h) for h in re.findall(r'<rect .*?height="(.*?)"', drawn)]
    signs = re.findall(r'class="fa-(for|against)', drawn)
    np.testing.assert_allclose(
        np.array(heights) / max(heights),
        np.abs(values) / np.abs(values).max(),
        atol=0.01,
    )
    assert signs == ["for" if v >= 0 else "against" for v in values]
    (total,) = re.findall(r'data-sum="(.*?)"', drawn)
    logit = looking.of_kind(seen.logits, kind, 2, 1)
    assert float(total) == pytest.approx(logit, abs=1e-4)
    assert drawn.count("fa-here") == 1


@pytest.mark.parametrize("turned", [1, -1])
def test_the_label_of_the_longest_bar_stands_beyond_its_end(seen, turned):
    seen = dataclasses.replace(seen, evidence=turned * abs(seen.evidence))
    drawn = drawing.evidence_html(seen, 2, 1, "raw", 1)
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
    model = keras_facnn.FACNN(8, (16, 16, 3), (1,), (1,))
    seen = looking.look(model, data)
    chosen = seen.ranking[-1]
    drawn = drawing.bars_html(seen, chosen)
    shown = [int(i) for i in re.findall(r'data-index="(\d+)"', drawn)]
    assert shown == [*seen.ranking[:5], chosen]
    assert re.findall(r'data-index="(\d+)" aria-pressed="true"', drawn) == [
        str(chosen)
    ]
    assert f"class {chosen}" in drawn


def test_grad_cam_is_made_when_asked_for_and_once(
    small_model, seen, monkeypatch
):
    drawn = drawing.grad_cam_html(small_model, seen, 2, 3)
    assert "r&nbsp;=&nbsp;1.00, that is, it is the same map" in drawn
    expected = attribution.grad_cam(small_model, seen.image, 2, layer=2)[0]
    found = looking.see_grad_cam(small_model, seen, 2, 2)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    monkeypatch.setattr(looking, "grad_cam", None)
    assert looking.see_grad_cam(small_model, seen, 2, 2) is found


def test_colors_are_alike_for_all_classes_of_a_layer(seen):
    """So that a class with little evidence looks so."""
    values = {looking.brightest(seen.maps[2], "raw", c, 0) for c in range(4)}
    assert values == {float(seen.maps[2].max())}


def test_a_gray_model_and_a_photo_upright(rng):
    model = keras_facnn.FACNN(2, (16, 32, 1), (1,), (1,))
    data = as_file(rng.integers(0, 256, (90, 40), "uint8"))
    seen = looking.look(model, data)
    assert seen.view.shape == (240, 480, 1)
    for drawn in (
        drawing.photo_html(seen),
        drawing.view_html(seen, 0, 1, "contrast", 1),
    ):
        assert "data:image/jpeg;base64," in drawn


def test_names_are_text(small_model, data, tmp_path):
    """A preset of another person's may name a class as it likes."""
    folder = tmp_path / "preset"
    evil = "<img src=x onerror=alert(1)>${value}"
    small_model.save_to_preset(
        folder, {"class_names": [evil, "b", "c", "&amp;"]}
    )
    model = keras_facnn.FACNN.from_preset(folder)
    seen = looking.look(model, data)
    for drawn in (
        drawing.bars_html(seen, 0),
        drawing.view_html(seen, 0, 1, "raw", 3),
        drawing.view_html(seen, 3, 3, "contrast", 0),
        drawing.evidence_html(seen, 0, 1, "contrast", 3),
        drawing.grad_cam_html(model, seen, 0, 2),
        drawing.about_html(model, evil),
        drawing.error_html(evil),
    ):
        assert "<img src=x" not in drawn
        assert "&lt;img src=x" in drawn


@pytest.mark.filterwarnings("ignore:Image size .* exceeds limit")
@pytest.mark.parametrize(
    "case, message",
    [
        ("bomb", "13000 x 13000 pixels. At most 33,177,600"),
        ("text", "The picture cannot .* an image: it is of no known format$"),
        ("cut", "The picture cannot be read as an image"),
        ("dot", "has 1 x 1 pixels, too few .* at least 16"),
        ("empty", "The picture cannot be read as an image"),
        ("bytes", "The picture has 33 MB. At most 32 are read"),
    ],
)
def test_refuses_what_is_no_photo(
    small_model, data, monkeypatch, case, message
):
    if case == "bomb":
        file = io.BytesIO()
        Image.new("1", (13000, 13000)).save(file, "PNG")
        content = file.getvalue()

        def decode(self):
            raise AssertionError("decoded")

        monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    else:
        content = {
            "text": b"I am no picture.",
            "cut": data[:300],
            "dot": as_file(np.zeros((1, 1, 3), "uint8")),
            "empty": b"",
            "bytes": bytes(33 * 2**20),
        }[case]
    with pytest.raises(ValueError, match=message):
        looking.look(small_model, content)


def test_samples_are_pictures_of_the_bundled_presets():
    for name in keras_facnn.FACNN.presets:
        paths = serving.sample_paths(name)
        assert paths, name
        assert drawing.samples_html(paths).count("<button") == len(paths)
    assert serving.sample_paths("my/preset") == []
    assert serving.sample_paths("..") == []


def test_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert cli.main(["demo"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("keras_facnn: error: The page needs Gradio")
    assert "pip install 'keras-facnn[demo]'" in line
    assert "pip install '.[demo]'" in line


@pytest.mark.only_on("torch")
def test_says_that_the_port_is_taken(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert cli.main(["demo", "--port", port]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert f"127.0.0.1, port {port}" in line
    assert cli.main(["demo", "--port", "70000"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "--port must be 0 to 65535. Received: 70000" in line
