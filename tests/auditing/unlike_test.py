"""Images that are unlike their class."""

import numpy as np

import keras_facnn
from tests.auditing.audit_test import make_images
from tests.auditing.audit_test import make_model


def test_finds_images_with_wrong_labels():
    model = make_model()
    images, labels = make_images(120)
    wrong = [3, 20, 51, 66, 97]
    given = labels.copy()
    given[wrong] = 1 - given[wrong]
    audit = keras_facnn.audit(model, images, given)
    rows = {row["index"]: row for row in audit.unlike[:10]}
    assert set(wrong) <= set(rows)
    names = np.array(["rows", "columns"])
    for i in wrong:
        assert rows[i]["class"] == names[given[i]]
        assert rows[i]["like"] == rows[i]["said"] == names[labels[i]]
    scores = [row["score"] for row in audit.unlike]
    assert scores == sorted(scores, reverse=True) and min(scores) > 0
    assert len(scores) <= 30
    # With the right labels, these are like their class.
    clean = keras_facnn.audit(model, images, labels).unlike
    assert not {row["index"] for row in clean} & set(wrong)


def test_needs_labels_and_two_classes():
    model = make_model()
    images, labels = make_images(60)
    assert keras_facnn.audit(model, images).unlike == []
    rows = labels == 0
    one = keras_facnn.audit(model, images[rows], labels[rows])
    assert {r.class_name for r in one.reasons} == {"rows"}
    assert one.unlike == []
    few = keras_facnn.audit(model, images[:3], labels[:3])
    assert few.reasons == few.unlike == []
