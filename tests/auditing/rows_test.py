"""`keras_facnn.audit_rows` against `audit`, on the same photos."""

import numpy as np
import pytest
from PIL import Image

import keras_facnn
from keras_facnn.batch import explain_files
from tests.auditing.audit_test import make_images
from tests.auditing.audit_test import make_model
from tests.auditing.audit_test import put_tag
from tests.batch.conftest import here  # noqa: F401
from tests.cli.command import run

pytestmark = [
    pytest.mark.only_on("torch"),
    pytest.mark.usefixtures("here"),
]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    pytest.importorskip("onnxruntime")
    model = make_model()
    model.preset_metadata = {"class_names": ["rows", "columns"]}
    path = tmp_path_factory.mktemp("model") / "m.onnx"
    model.export(path, verbose=False)
    return model, path


@pytest.fixture
def photos(tmp_path):
    """Photos of two classes; most of one have a tag."""
    images, labels = make_images(80)
    tagged = np.flatnonzero(labels == 1)[:30]
    images[tagged] = put_tag(images[tagged])
    for i, (pixels, label) in enumerate(zip(images, labels, strict=True)):
        # One in ten is in the wrong folder.
        name = ["rows", "columns"][label if i % 10 else 1 - label]
        path = tmp_path / "photos" / name / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return tmp_path / "photos"


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_equals_the_audit_of_the_photos(exported, photos, tmp_path, dtype):
    model, path = exported
    expected = keras_facnn.audit(model, photos)
    (photos / "rows" / "broken.png").write_bytes(b"none")
    explain_files(path, photos, tmp_path / "maps", maps=16, dtype=dtype)
    audit = keras_facnn.audit_rows(tmp_path / "maps")
    assert audit.images == 80 and audit.facts["unreadable"] == 1
    assert expected.unlike and not audit.unlike
    tolerance = {"float32": 1e-5, "float16": 2e-3, "int8": 2e-2}[dtype]
    for mine, theirs in zip(audit.classes, expected.classes, strict=True):
        assert mine == pytest.approx(theirs, abs=tolerance)
    for mine, theirs in zip(audit.confusions, expected.confusions, strict=True):
        assert mine["class"] == theirs["class"]
        assert mine["images"] == theirs["images"]
        np.testing.assert_allclose(
            mine["evidence"], theirs["evidence"], atol=20 * tolerance
        )
    tag, same = audit.reasons[0], expected.reasons[0]
    assert tag.alarm and same.alarm
    assert tag.place == same.place == "at the lower left"
    assert {m.pick.path for m in tag.members} == {
        m.pick.path for m in same.members
    }
    assert tag.taken["changed"] == pytest.approx(
        same.taken["changed"], abs=0.05
    )


def test_says_what_it_did_not_see(exported, photos, tmp_path):
    _, path = exported
    explain_files(path, photos, tmp_path / "maps", maps=2)
    for gone in sorted((photos / "rows").iterdir())[:5]:
        gone.unlink()
    audit = keras_facnn.audit_rows(tmp_path / "maps")
    assert audit.images == 80 and len(audit.sample) == 75
    assert "5 pictures of the sample could not be read" in str(audit.notes)
    assert "without" not in str(audit.facts)


def test_takes_labels(exported, photos, tmp_path):
    _, path = exported
    explain_files(path, photos, tmp_path / "maps", maps=2)
    audit = keras_facnn.audit_rows(tmp_path / "maps", labels=None)
    assert all(row["precision"] is None for row in audit.classes)
    some = {str(photos / "rows" / "02.png"): "rows"}
    audit = keras_facnn.audit_rows(tmp_path / "maps", labels=some)
    precision = {row["class"]: row["precision"] for row in audit.classes}
    assert precision == {"rows": 1.0, "columns": None}
    with pytest.raises(ValueError, match="`labels` must be"):
        keras_facnn.audit_rows(tmp_path / "maps", labels="folder")


def test_refuses_other_files(exported, photos, tmp_path):
    model, path = exported
    with pytest.raises(FileNotFoundError, match="no files part-"):
        keras_facnn.audit_rows(tmp_path)
    explain_files(path, photos, tmp_path / "one", maps=1)
    with pytest.raises(ValueError, match="--maps 16.*maps of 1"):
        keras_facnn.audit_rows(tmp_path / "one")
    model.export(tmp_path / "c.onnx", centered=True, verbose=False)
    explain_files(tmp_path / "c.onnx", photos, tmp_path / "c", maps=2)
    with pytest.raises(ValueError, match="centered maps"):
        keras_facnn.audit_rows(tmp_path / "c")
    explain_files(path, photos, tmp_path / "two", maps=2)
    first = tmp_path / "one" / "part-000000.parquet"
    first.rename(tmp_path / "two" / "part-000009.parquet")
    with pytest.raises(ValueError, match="different models or settings"):
        keras_facnn.audit_rows(tmp_path / "two")


def test_from_the_command_line(exported, photos, tmp_path, capsys):
    _, path = exported
    explain_files(path, photos, tmp_path / "maps", maps=16)
    page = tmp_path / "audit.html"
    assert run("audit", "--rows", tmp_path / "maps", "--output", page) == 0
    assert "at the lower left" in capsys.readouterr().out
    text = page.read_text("utf-8")
    assert "The model was not run" in text and "data:image/" in text
    assert run("audit", "x", photos, "--rows", tmp_path / "maps") == 1
    assert "--rows takes the place" in capsys.readouterr().err
    assert run("audit", "cifar10") == 1
    assert "NAME and FOLDER are needed" in capsys.readouterr().err
