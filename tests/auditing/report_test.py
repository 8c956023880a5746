"""The page of an audit, and its other forms."""

import base64
import dataclasses
import io
import json

import numpy as np
import pytest
from PIL import Image

import keras_facnn
from keras_facnn.auditing.drawing import outline
from keras_facnn.auditing.overlap import overlapped
from keras_facnn.auditing.report_cards import where_it_is
from keras_facnn.auditing.sample import Pick
from keras_facnn.auditing.sample import Sample
from keras_facnn.auditing.statistics import Statistics
from keras_facnn.grid import Grid
from tests.auditing.audit_test import make_images
from tests.auditing.audit_test import make_model
from tests.auditing.audit_test import put_tag
from tests.html_page import Page

pytestmark = pytest.mark.only_on("torch")
EVIL = '"><img src=x onerror=alert(1)><script>\x1b[2J'


@pytest.fixture
def folder(tmp_path):
    """Photos of rows and columns. A third of those of columns have a tag."""
    images, labels = make_images(120)
    those = np.flatnonzero(labels == 1)[:20]
    images[those] = put_tag(images[those])
    for i, (pixels, label) in enumerate(zip(images, labels, strict=True)):
        kind = tmp_path / "photos" / ("rows", "columns")[label]
        kind.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(kind / f"{i:03}.png")
    return tmp_path / "photos"


@pytest.fixture
def audit(folder):
    return keras_facnn.audit(make_model(), folder)


def saved(audit, tmp_path):
    audit.save(tmp_path / "audit.html")
    text = (tmp_path / "audit.html").read_text("utf-8")
    return text, Page(text)


def decoded(image):
    head, _, data = image["src"].partition(",")
    assert head in ("data:image/jpeg;base64", "data:image/png;base64")
    with Image.open(io.BytesIO(base64.b64decode(data))) as opened:
        return np.asarray(opened.convert("RGB")).astype("float32")


def test_the_page_shows_what_is_suspicious_and_needs_nothing_else(
    audit, tmp_path
):
    audit.coverings["columns 1"] = {
        "images": 5,
        "changed": 0.6,
        "control_changed": 0.2,
        "lost": 1.5,
        "control_lost": 0.25,
    }
    text, page = saved(audit, tmp_path)
    reason = audit.reasons[0]
    words = " ".join(page.text.split())
    assert "suspicious reason" in words
    assert (
        f"The model uses it {reason.name}: if it is covered, at least 3 of 5 "
        f"answers change; with other places covered, 1. It is {reason.grounds}."
    ) in words
    assert "One logit more makes a class 2.7 times as likely" in words
    assert f"20 of the {reason.images} compared images" in words
    assert "3 of 5 answers change; with other places covered, 1" in words
    assert "So the model uses these places more than others" in words
    assert (
        f"masks = audit.regions('{reason.name}', labels)\n"
        "loss = keras_facnn.RegionPenalty(loss, inside=False)\n"
    ) in page.text
    # Pictures of the reason: twelve, in which the tag is not covered.
    buttons = [a for a in page.all("button") if a.get("class") == "zoom"]
    sheet = buttons[:12]
    for button, member in zip(sheet, reason.members, strict=False):
        assert "/".join(member.pick.path.split("/")[-2:]) in button["title"]
    tag = np.random.default_rng(1).integers(0, 256, (8, 8, 3))
    shown = [decoded(i) for i in page.all("img") if i["alt"] != "heat map"]
    assert all(x.std() > 3 for x in shown)
    # The middle of the tag's colors; lines and JPEG change few of its pixels.
    height = shown[0].shape[0]
    rows = slice(height * 23 // 32, height * 29 // 32)
    columns = slice(height * 2 // 32, height * 8 // 32)
    found = np.median(shown[0][rows, columns], axis=(0, 1))
    expected = np.median(tag[1:7, 1:7], axis=(0, 1))
    assert abs(found - expected).max() < 30
    for tag_name, attributes in page.elements:
        assert tag_name not in ("link", "iframe", "base", "object")
        assert not {"href", "onclick", "onload"} & set(attributes)
    assert all(image["src"].startswith("data:") for image in page.all("img"))
    assert len(text) < 3_000_000


def test_what_the_model_uses_comes_first(audit, tmp_path):
    """The most suspicious reason may be one that no answer depends on."""
    first, second = audit.reasons[:2]
    assert first.alarm and second.alarm
    numbers = {"images": 20, "control_changed": 0.0, "control_lost": 0.3}
    audit.coverings[first.name] = {**numbers, "changed": 0.0, "lost": 0.1}
    audit.coverings[second.name] = {**numbers, "changed": 0.4, "lost": 2.0}
    _, page = saved(audit, tmp_path)
    for words in (" ".join(page.text.split()), " ".join(str(audit).split())):
        order = [
            words.index(said)
            for said in (
                "The model uses it",
                f"{second.name}",
                "at least 8 of 20 answers change",
                "It repeats, but the model does not go by it",
                f"{first.name}",
                "0 of 20 answers change",
            )
        ]
        assert order == sorted(order)
    assert page.text.count("this model may need no mending") == 1


def test_a_model_that_train_made_is_mended_by_commands(folder, tmp_path):
    """With the names that they need, and without lines of Python first."""
    model = make_model()
    model.preset_metadata = {
        **(model.preset_metadata or {}),
        "training": {
            "by": "keras_facnn.train",
            "settings": {"base": "cifar10", "image_size": None, "seed": 3},
        },
    }
    audit = keras_facnn.audit(model, folder)
    audit.facts.update(model="models/my tags", numbers="out/tags.json")
    text, page = saved(audit, tmp_path)
    words = " ".join(page.text.split())
    name = audit.reasons[0].name
    rest = f"--audit out/tags.json --avoid '{name}'"
    assert (
        f"keras-facnn train {folder} --output 'models/my tags_mended' --base "
        f"cifar10 --seed 3 {rest}"
    ) in words
    assert (
        f"keras-facnn evaluate 'models/my tags_mended' {folder} {rest}" in words
    )
    # Before and after, to compare.
    assert f"keras-facnn evaluate 'models/my tags' {folder} {rest}" in words
    assert "A new audit of the same images is no proof" in words
    assert "audit.save" not in page.text and "RegionPenalty" not in page.text
    assert 'Why does the model "my tags" answer as it does?' in words
    del audit.facts["numbers"]
    _, page = saved(audit, tmp_path)
    assert "audit.save('audit.json')" in page.text.replace('"', "'")
    # `train` reads photos cropped, and takes no other audit.
    audit.facts.update(fit="pad", numbers="tags.json")
    _, page = saved(audit, tmp_path)
    assert (
        f"keras-facnn audit 'models/my tags' {folder} --output tags.html"
    ) in page.text


def test_says_how_many_images_of_the_class_were_not_compared(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("keras_facnn.auditing.repeats.COMPARED", 40)
    monkeypatch.setattr("keras_facnn.auditing.reasons.COMPARED", 40)
    images, labels = make_images(120)
    those = np.flatnonzero(labels == 1)
    images[those[3:]] = put_tag(images[those[3:]])
    audit = keras_facnn.audit(make_model(), images, labels)
    reason = audit.reason("columns 1")
    said = audit.statistics.said[1]
    assert reason.images == 40 < said
    _, page = saved(audit, tmp_path)
    words = " ".join(page.text.split())
    assert (
        f"{len(reason.members)} of the 40 compared images that were called "
        f"columns ({reason.share:.1%}); {said} were called so in all"
    ) in words
    others = 40 - len(reason.members)
    which = "one image" if others == 1 else f"{others} images"
    assert (
        f"the same place of the {which} of columns in which it was not found"
        in words
    )
    assert "which is little to compare with" in words


def test_names_the_reason_whose_place_another_one_shares(audit):
    tag = audit.reason("columns 1")
    grid = audit.statistics.grid
    inside = dataclasses.replace(
        tag,
        name="columns 8",
        kind="looks",
        members=[
            dataclasses.replace(m, cells=m.cells[:1]) for m in tag.members
        ],
    )
    far = np.setdiff1d(np.arange(grid.cells), grid.grown(tag.members[0].cells))
    apart = dataclasses.replace(
        inside,
        name="columns 9",
        members=[dataclasses.replace(m, cells=far[:2]) for m in tag.members],
    )
    reasons = [tag, inside, apart]
    assert overlapped(inside, reasons, grid) == (tag, 1.0)
    assert overlapped(apart, reasons, grid) is None
    assert overlapped(tag, reasons, grid) is None
    other = dataclasses.replace(inside, said=0)
    assert overlapped(other, [tag, other], grid) is None
    audit.reasons[1:] = [inside, apart]
    assert where_it_is(audit, inside).endswith(
        "overlaps columns 1 (100.0% of its place): avoiding columns 1 is enough"
    )


@pytest.mark.parametrize(
    ("changed", "lost", "verdict"),
    [
        (0.0, 0.1, "So the model uses these places no more than others"),
        (0.0, 0.9, "So the model uses these places more than others"),
        (0.5, 0.1, None),
    ],
)
def test_the_text_says_what_covering_means(audit, changed, lost, verdict):
    audit.coverings[audit.reasons[0].name] = {
        "images": 2,
        "changed": changed,
        "control_changed": 0.0,
        "lost": lost,
        "control_lost": 0.5,
    }
    words = " ".join(str(audit).split())
    assert f"The logit of the class falls by {lost:.2f}" in words
    assert ("So the model" in words) == (verdict is not None)
    assert verdict is None or verdict in words


def test_the_page_has_each_class_and_what_was_mixed_up(audit, tmp_path):
    _, page = saved(audit, tmp_path)
    words = " ".join(page.text.split())
    for row in audit.classes:
        for zone in ("border", "corners", "center"):
            assert f"{row[zone]:.1%}" in words
    for reason in audit.reasons:
        assert reason.name in words
    heats = [i for i in page.all("img") if i["alt"] == "heat map"]
    # One per class in the table and in its card, and one per confused pair.
    assert len(heats) == 2 * len(audit.classes) + len(audit.confusions)
    shape = audit.statistics.grid.shape
    for image, row in zip(heats, audit.classes, strict=False):
        colors = decoded(image)
        assert colors.shape[:2] == shape
        evidence = audit.evidence(row["class"])
        brightest = np.unravel_index(colors.sum(axis=-1).argmax(), shape)
        assert evidence[brightest] == pytest.approx(evidence.max(), rel=0.05)
    numbers = [float(a["data-evidence"]) for a in page.all("article")[:1]]
    assert numbers == [pytest.approx(audit.reasons[0].evidence, abs=1e-4)]


def test_photos_that_are_gone_are_left_out(audit, folder, tmp_path):
    _, whole = saved(audit, tmp_path)
    gone = audit.reasons[0].members[0].pick.path
    (folder / gone).unlink()
    _, page = saved(audit, tmp_path)
    words = " ".join(page.text.split())
    assert "1 photo is no longer where the audit read them" in words
    assert len(page.all("img")) < len(whole.all("img"))
    assert not any(gone[-7:] in a.get("title", "") for a in page.all("button"))


def test_images_that_were_no_files_are_shown_too(tmp_path):
    images, labels = make_images(60)
    audit = keras_facnn.audit(make_model(), images, labels)
    _, page = saved(audit, tmp_path)
    words = " ".join(page.text.split())
    assert "no suspicious reason was found" in words
    assert "What is suspicious" not in page.text
    captions = [a.get("title", "") for a in page.all("button")]
    assert any(caption.startswith("image ") for caption in captions)


def test_every_text_from_outside_is_escaped(tmp_path):
    model = make_model()
    images, labels = make_images(120)
    those = np.flatnonzero(labels == 1)[:20]
    images[those] = put_tag(images[those])
    labels[::5] = 1 - labels[::5]
    audit = keras_facnn.audit(model, images, labels)
    object.__setattr__(audit, "class_names", [f"{EVIL}{c}" for c in range(2)])
    audit.facts.update(model=f"folder/{EVIL}", folder=EVIL)
    audit.notes.append(EVIL)
    text, page = saved(audit, tmp_path)
    assert audit.reasons[0].alarm and audit.unlike and audit.confusions
    assert len(page.all("script")) == 1
    assert all(image["src"].startswith("data:") for image in page.all("img"))
    assert not any("onerror" in attributes for _, attributes in page.elements)
    assert "\x1b" not in text and "\x1b" not in str(audit)
    assert EVIL.replace("\x1b", "\\x1b") in page.text


def test_a_sum_of_audits_gives_no_command_that_would_fail(folder, tmp_path):
    images, labels = make_images(120)
    those = np.flatnonzero(labels == 1)[:20]
    images[those] = put_tag(images[those])
    parts = [
        keras_facnn.audit(make_model(), x, y)
        for x, y in ((images[:60], labels[:60]), (images[60:], labels[60:]))
    ]
    _, page = saved(parts[0] + parts[1], tmp_path)
    assert "audit.reason('columns 1').members" in page.text
    assert "audit.regions" not in page.text and "--avoid" not in page.text


def test_lines_are_around_the_cells_only():
    pixels = np.full((60, 60, 3), 100, "uint8")
    drawn = outline(pixels, Grid(6, 6), np.array([14, 15]))
    inside = np.zeros((60, 60), bool)
    inside[20:30, 20:40] = True
    changed = (drawn != pixels).any(axis=-1)
    assert not (changed & ~inside).any()
    # Most of a cell stays visible.
    assert changed[20, 20:40].all() and not changed[25, 25:35].any()
    assert set(np.unique(drawn[changed])) == {0, 255}


def test_many_classes_make_a_page_that_opens(tmp_path):
    rng = np.random.default_rng(0)
    count, grid, size = 120, Grid(4, 4), 12
    statistics = Statistics(count, grid, False)
    sample = Sample(count, size)
    picture = io.BytesIO()
    pixels = rng.integers(0, 256, (32, 32, 3), "uint8")
    Image.fromarray(pixels).save(picture, "JPEG")
    for c in range(count):
        statistics.said[c] = size
        statistics.share[c] = rng.dirichlet(np.ones(16)) * size
        looks = rng.normal(size=(4, 8))
        for i in range(size):
            sample.add(
                Pick(
                    key=c * size + i,
                    index=c * size + i,
                    label=c,
                    path=None,
                    picture=picture.getvalue(),
                    thumbnail=rng.integers(0, 256, (16, 16, 3), "uint8"),
                    texture=rng.normal(size=9).astype("float32"),
                    classes=np.array([c, (c + 1) % count]),
                    logits=np.array([2.0, 1.0]),
                    evidence=rng.uniform(0.1, 1, (2, 16)),
                    mean_evidence=np.zeros(16),
                    places=np.arange(4),
                    features=looks.astype("float16"),
                )
            )
    names = [f"thing {c}" for c in range(count)]
    audit = keras_facnn.Audit(statistics, sample, names, (32, 32, 3))
    text, page = saved(audit, tmp_path)
    assert len(text) < 4_000_000
    assert f"These are 50 of {count} classes" in page.text
    rows = [a for a in page.all("td") if a["data-key"].startswith("thing")]
    assert len(rows) == count
    assert len(str(audit).splitlines()) < 150


def test_json_and_tables_hold_the_numbers(audit, tmp_path):
    audit.save(tmp_path / "audit.json")
    found = json.loads((tmp_path / "audit.json").read_text("utf-8"))
    assert found["images"] == audit.images == 120
    assert found["classes"] == audit.classes
    assert found["unlike"] == audit.unlike
    reason = audit.reasons[0]
    first = found["reasons"][0]
    assert first["grounds"] == reason.grounds and first["alarm"]
    assert [m["path"] for m in first["members"]] == [
        m.pick.path for m in reason.members
    ]
    table = audit.to_dataframe()
    assert table["name"].tolist() == [r.name for r in audit.reasons]
    assert table["share"].tolist() == [r.share for r in audit.reasons]
    np.testing.assert_array_equal(
        table["without_changed"],
        [r.taken.get("changed", np.nan) for r in audit.reasons],
    )
    classes = audit.to_dataframe("classes")
    assert classes["border"].tolist() == [c["border"] for c in audit.classes]
    assert len(audit.to_dataframe("unlike")) == len(audit.unlike)
    with pytest.raises(ValueError, match="`table` must be"):
        audit.to_dataframe("images")
    with pytest.raises(ValueError, match=r"must end in \.html or \.json"):
        audit.save(tmp_path / "audit.pdf")


def test_text_says_what_was_found_and_what_could_not_be():
    model = make_model()
    images, labels = make_images(120)
    those = np.flatnonzero(labels == 1)[:20]
    tagged = images.copy()
    tagged[those] = put_tag(images[those])
    audit = keras_facnn.audit(model, tagged, labels)
    text = str(audit)
    assert audit.reasons[0].name in text.splitlines()
    assert audit.reasons[0].grounds in " ".join(text.split())
    assert max(map(len, text.splitlines())) < 80
    few = keras_facnn.audit(model, images[:60:2], labels[:60:2]) + (
        keras_facnn.audit(model, images[1:10:2], labels[1:10:2])
    )
    words = " ".join(str(few).split())
    assert "no suspicious reason was found" not in words
    assert "Fewer than 12 different images" in words and "columns" in words
    assert "nothing repeats" in str(keras_facnn.audit(model, images, labels))
