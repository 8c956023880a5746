import io

import numpy as np
import pytest
from PIL import Image
from PIL import ImageFile

import keras_facnn
from keras_facnn.demo import analysis
from keras_facnn.demo import drawing
from keras_facnn.explaining import layer_readers as reading
from tests.demo.pictures import as_file

KINDS = ("raw", "centered", "contrast")


def test_the_page_needs_one_forward_pass(small_model, data, monkeypatch):
    passes = []
    monkeypatch.setattr(
        reading,
        "run_in_batches",
        lambda *args: (
            passes.append(1)
            or keras_facnn._backend.forward.run_in_batches(*args)
        ),
    )
    seen = analysis.analyze(small_model, data)
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


def test_reads_a_picture_as_load_images_does(small_model, seen, data, tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(data)
    np.testing.assert_array_equal(
        seen.image, keras_facnn.load_images(path, small_model)
    )
    assert seen.view.shape == (480, 480, 3)
    assert seen.photo.shape == (24, 40, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_map_and_evidence_add_up_to_the_score(small_model, seen, kind):
    scale = float(
        keras_facnn._backend.forward.ops.convert_to_numpy(
            small_model.head.scale
        )
    )
    total = analysis.of_kind(seen.logits, kind, 2, 1)
    map_ = analysis.of_kind(seen.maps[3], kind, 2, 1)
    assert scale * map_.mean() == pytest.approx(total, abs=1e-5)
    assert analysis.of_kind(seen.evidence, kind, 2, 1).sum() == pytest.approx(
        total, abs=1e-5
    )
    assert np.abs(map_).max() <= analysis.brightest(seen.maps[3], kind, 2, 1)


def test_all_classes_of_a_layer_have_one_color_scale(seen):
    """A class with little evidence must look like it."""
    values = {analysis.brightest(seen.maps[2], "raw", c, 0) for c in range(4)}
    assert values == {float(seen.maps[2].max())}


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
        analysis.analyze(small_model, content)
