"""The file of features, also after a kill."""

import numpy as np
import pytest

from keras_facnn.transfer.feature_file import FeatureFile
from keras_facnn.transfer.feature_file import photo_key

pytestmark = pytest.mark.only_on("torch")
MADE_WITH = {"backbone": "a"}
KEYS = [(f"/photos/{i}.jpg", 10 + i, 10**18 + i) for i in range(3)]
DIGESTS = [b"abcdef", b"ghijkl", b"mnopqr"]
ROWS = np.arange(24, dtype="float32").reshape(3, 2, 4)


@pytest.fixture
def file(tmp_path):
    file = FeatureFile(tmp_path, MADE_WITH, (2, 4))
    file.add(KEYS[:2], DIGESTS[:2], ROWS[:2])
    file.add(KEYS[2:], DIGESTS[2:], ROWS[2:])
    return file


def test_keeps_what_was_added(file, tmp_path):
    for found in (file, FeatureFile(tmp_path, MADE_WITH, (2, 4))):
        assert [found.row_of[key] for key in KEYS] == [0, 1, 2]
        assert [found.digest_of[key] for key in KEYS] == DIGESTS
        np.testing.assert_array_equal(found.rows(), ROWS)


@pytest.mark.parametrize(
    ("name", "cut"), [("features.jsonl", 1), ("features.float16", 1)]
)
def test_drops_what_a_kill_left_half(file, tmp_path, name, cut):
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:-cut])
    found = FeatureFile(tmp_path, MADE_WITH, (2, 4))
    assert KEYS[1] in found and KEYS[2] not in found
    found.add(KEYS[2:], DIGESTS[2:], ROWS[2:])
    np.testing.assert_array_equal(
        FeatureFile(tmp_path, MADE_WITH, (2, 4)).rows(), ROWS
    )


@pytest.mark.parametrize(
    ("made_with", "shape"), [({"backbone": "b"}, (2, 4)), (MADE_WITH, (1, 8))]
)
def test_starts_anew_with_other_features(file, tmp_path, made_with, shape):
    assert not FeatureFile(tmp_path, made_with, shape).row_of


def test_knows_a_changed_file(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"first")
    key = photo_key(str(path))
    path.write_bytes(b"second")
    assert photo_key(str(path)) != key
