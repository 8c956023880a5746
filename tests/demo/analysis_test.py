import importlib
import io

import keras
import numpy as np
import pytest
from PIL import Image
from PIL import ImageFile

import keras_facnn
from keras_facnn.demo import analysis
from keras_facnn.demo import chart
from keras_facnn.demo import drawing
from keras_facnn.demo import surroundings
from keras_facnn.explaining import layer_readers as reading
from keras_facnn.maps import resize_maps
from tests.demo.pictures import as_file

colorizing = importlib.import_module("keras_facnn.plots._colorize")
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
            chart.evidence_html(seen, 2, layer, kind, 1)
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
    assert "gets one of" in surroundings.about_html(small_model, "small")
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
    most = analysis.brightest(seen.maps[3], kind, 2, 1, 0)
    assert np.abs(map_).max() <= most


def test_a_class_with_less_evidence_than_the_likeliest_looks_like_it():
    maps = np.array([[[4.0, 1.0, 9.0, 0.0]]])
    # That of the likeliest class, or its own if that is more.
    for c, most in ((0, 4.0), (1, 4.0), (2, 9.0)):
        assert analysis.brightest(maps, "raw", c, 3, likeliest=0) == most
    assert analysis.brightest(maps, "centered", 1, 3, likeliest=3) == 3.5
    # Other classes don't count in a contrast.
    assert analysis.brightest(maps, "contrast", 1, 3, likeliest=2) == 1.0


@pytest.fixture
def converted(rng):
    """A classifier of 1,000 classes, which has no FA layers."""
    classifier = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(8, 3, strides=4, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(1000),
        ]
    )
    return keras_facnn.FACNN.from_classifier(
        classifier, [f"thing {c}" for c in range(1000)]
    )


def test_a_model_without_fa_layers_has_no_layers_to_choose(converted, data):
    seen = analysis.analyze(converted, data)
    assert not seen.has_layers
    logits, maps = converted.predict_with_maps(seen.image)
    np.testing.assert_allclose(seen.logits, logits[0], atol=1e-5)
    np.testing.assert_allclose(seen.maps[0], maps[0], atol=1e-5)
    c, rival = seen.ranking[:2]
    for kind in KINDS:
        drawn = drawing.view_html(seen, c, 0, kind, rival)
        assert "layer" not in drawn
        assert "make" in drawn
    drawn = drawing.grad_cam_html(converted, seen, c, 0)
    assert "r&nbsp;=&nbsp;1.00, that is, it is the same map" in drawn
    assert "layer" not in drawn
    about = surroundings.about_html(converted, "many")
    assert "1,000 classes" in about
    assert "at the last layer" not in about


def test_the_maps_of_all_classes_are_never_resized(
    converted, data, monkeypatch
):
    resized = []

    def resize(maps, size):
        resized.append(maps.shape)
        return resize_maps(maps, size)

    monkeypatch.setattr(colorizing, "resize_maps", resize)
    seen = analysis.analyze(converted, data)
    drawing.bars_html(seen, 7)
    drawing.view_html(seen, 7, 0, "centered", 8)
    # One map, and the color scale.
    assert [shape[-1] for shape in resized] == [seen.maps[0].shape[1], 32]


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
