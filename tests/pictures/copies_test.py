"""Digests of pictures."""

import hashlib

import pytest

from keras_facnn.pictures.copies import file_digest

pytestmark = pytest.mark.only_on("torch")


def test_digests_what_can_be_read(tmp_path, monkeypatch):
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"photo")
    assert file_digest(str(path)) == hashlib.sha256(b"photo").digest()[:6]
    assert file_digest(str(tmp_path)) == b""

    def deny(*args, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", deny)
    assert file_digest(str(path)) == b""
