"""The page of an evaluation, and its other forms."""

import base64
import io
import json

import keras
import numpy as np
import pytest
from PIL import Image

import keras_facnn
from keras_facnn import evaluate
from tests.html_page import Page

pytestmark = pytest.mark.only_on("torch")
EVIL = '"><img src=x onerror=alert(1)><script>\x1b[2J'


@pytest.fixture
def evaluation(folder, model):
    return evaluate(model, folder, mistakes=6, unsure=3)


def test_the_page_has_all_numbers_and_needs_nothing_else(evaluation, tmp_path):
    path = tmp_path / "report.html"
    evaluation.save(path)
    page = Page(path.read_text("utf-8"))
    assert f"{evaluation.accuracy:.1%}" in page.text
    for c in evaluation.classes:
        assert f"{c['right']} of {c['images']}" in page.text
    images = page.all("img")
    # Each of the nine examples has a photo and two maps.
    assert len(images) == 9 * 3
    for image in images:
        assert image["alt"]
        head, _, data = image["src"].partition(",")
        assert head == "data:image/jpeg;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as opened:
            assert opened.size == (int(image["width"]), int(image["height"]))
            assert np.asarray(opened).std() > 3
    for tag, attributes in page.elements:
        assert tag not in ("link", "iframe", "base", "object")
        assert not {"href", "onclick", "onload"} & set(attributes)
        if tag == "script":
            assert attributes == {}


def test_recommends_calibrate_only_where_it_works(arrays, model, tmp_path):
    images, labels, _, _ = arrays
    # As sure as can be, and often wrong.
    model.head.set_weights([np.log(4000.0)])
    for judged, said in (
        (model, True),
        (keras.Model(model.inputs, model.outputs), False),
    ):
        evaluate(judged, (images, labels)).save(tmp_path / "report.html")
        text = (tmp_path / "report.html").read_text("utf-8")
        assert "So it is surer than it may be." in text
        assert ("--calibrate" in text) == said


def test_every_text_from_outside_is_escaped(arrays, model, tmp_path):
    images, labels, _, _ = arrays
    names = [f"{EVIL}{c}" for c in range(3)]
    model.preset_metadata = {"class_names": names}
    evaluation = evaluate(model, (images, labels))
    evaluation.facts["model"] = f"folder/{EVIL}"
    evaluation.facts["folder"] = EVIL
    evaluation.notes.append(EVIL)
    evaluation.save(tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text("utf-8")
    page = Page(text)
    assert len(page.all("script")) == 1
    assert all(image["src"].startswith("data:") for image in page.all("img"))
    assert not any("onerror" in attributes for _, attributes in page.elements)
    assert "\x1b" not in text and "\x1b" not in str(evaluation)
    assert EVIL.replace("\x1b", "\\x1b") in page.text


def test_filters_name_the_classes_of_the_cards(evaluation, tmp_path):
    evaluation.save(tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    menus = page.text.split("Order")[0]
    cards = page.all("article")[: len(evaluation.mistakes)]
    assert [int(c["data-is"]) for c in cards] == [
        x.label for x in evaluation.mistakes
    ]
    values = {option["value"] for option in page.all("option")}
    for card in cards:
        assert {card["data-is"], card["data-said"]} <= values
        assert evaluation.class_names[int(card["data-said"])] in menus


def test_many_classes_are_listed_as_pairs(rng, tmp_path):
    logits = rng.normal(size=(400, 1000))
    labels = rng.integers(0, 1000, 400)
    logits[np.arange(400), labels] += 3
    evaluation = keras_facnn.Evaluation.from_logits(logits, labels)
    evaluation.save(tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text("utf-8")
    page = Page(text)
    assert 'class="matrix"' not in text
    assert "top-5 accuracy" in page.text and "top-5" in str(evaluation)
    assert f"The 50 most frequent of {len(evaluation.confusions)}" in page.text
    assert len(str(evaluation).splitlines()) < 60
    assert len(text) < 1_000_000


def test_json_and_tables_hold_the_numbers(evaluation, tmp_path, arrays):
    _, labels, _, paths = arrays
    evaluation.save(tmp_path / "report.json")
    found = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert found["accuracy"] == evaluation.accuracy
    assert found["interval"] == list(evaluation.interval)
    assert found["classes"] == evaluation.classes
    assert found["calibration"] == evaluation.calibration
    first = evaluation.mistakes[0]
    assert found["mistakes"][0]["path"] == first.path
    np.testing.assert_allclose(found["mistakes"][0]["map"], first.said_map)

    classes = evaluation.to_dataframe()
    assert classes["accuracy"].tolist() == [
        c["accuracy"] for c in evaluation.classes
    ]
    photos = evaluation.to_dataframe("photos")
    assert photos["path"].tolist() == paths
    assert photos["right"].mean() == evaluation.accuracy
    assert (
        evaluation.to_dataframe("confusions")["images"].sum()
        == (~photos["right"]).sum()
    )
    with pytest.raises(ValueError, match="`table` must be"):
        evaluation.to_dataframe("images")
    with pytest.raises(ValueError, match=r"must end in \.html or \.json"):
        evaluation.save(tmp_path / "report.pdf")


def test_a_perfect_model_makes_a_report_too(tmp_path):
    evaluation = keras_facnn.Evaluation.from_logits(50 * np.eye(3), [0, 1, 2])
    evaluation.save(tmp_path / "report.html")
    assert evaluation.confusions == [] and evaluation.accuracy == 1
    assert "100.0%" in str(evaluation)
    json.loads(evaluation.to_json())
