"""`keras_facnn.train`."""

import sys

import numpy as np
import pytest

import keras_facnn
from keras_facnn import FACNN
from keras_facnn.pictures.copies import recorded_digests
from keras_facnn.transfer import features
from tests.transfer.conftest import COUNTS
from tests.transfer.conftest import write_photo


def test_writes_a_preset_that_knows_its_photos(train, folder, tmp_path):
    model = train()
    assert model.class_names == sorted(COUNTS)
    again = FACNN.from_preset(tmp_path / "mine")
    photos = keras_facnn.load_folder(folder, again)
    np.testing.assert_allclose(
        again.predict(photos.images, verbose=0),
        model.predict(photos.images, verbose=0),
        atol=1e-5,
    )
    seen = photos.seen_by(again)
    record = again.preset_metadata
    assert record["trained_on"]["images"] == seen.sum()
    held_out = photos.select(~seen)
    # A fifth of 6, 9 and 14.
    assert np.bincount(held_out.labels).tolist() == [1, 2, 3]
    digests = recorded_digests(record["validated_on"])
    assert digests == set(held_out.digests)

    evaluation = keras_facnn.evaluate(again, held_out)
    scores = record["training"]["validation"]
    assert scores["images"] == evaluation.images == 6
    assert scores["accuracy"] == evaluation.accuracy
    assert evaluation.accuracy > 0.8
    assert "held out" in (tmp_path / "mine" / "report.html").read_text("utf-8")
    assert record["transferred_from"]["license"] == "CC0"
    assert str(tmp_path) not in str(record)
    # The features are gone.
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "base",
        "mine",
        "photos",
    ]


@pytest.mark.only_on("torch")
def test_shows_what_is_going_on(train, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    train(verbose=1)
    out, err = capsys.readouterr()
    assert "29 of 29 photos" in err and "5 of 5 fits" in err
    assert "features of 29 photos of 3 classes" in err and not out
    assert "6 photos held out are right" in err


@pytest.mark.only_on("torch")
def test_computes_no_feature_twice(train, folder, monkeypatch, rng):
    calls = []
    run = features.run_in_batches

    def killed(*args, **options):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(1)
        return run(*args, **options)

    monkeypatch.setattr(features, "_BATCH", 10)
    monkeypatch.setattr(features, "run_in_batches", killed)
    with pytest.raises(KeyboardInterrupt):
        train()
    # Of the 20 photos that are done, one changes.
    write_photo(folder / "blue" / "0.png", "blue", rng)
    read = []
    monkeypatch.setattr(features, "run_in_batches", run)
    read_photo = features._read
    monkeypatch.setattr(
        features, "_read", lambda *a: read.append(a[0]) or read_photo(*a)
    )
    train()
    assert len(read) == 10
    assert read[0] == str(folder / "blue" / "0.png")


@pytest.mark.only_on("torch")
def test_leaves_out_broken_photos_and_names_them(train, folder):
    (folder / "green" / "0.png").write_bytes(b"no picture")
    with pytest.warns(UserWarning, match=r"Left out 1 of 29 .*0\.png"):
        model = train()
    record = model.preset_metadata
    assert record["trained_on"]["images"] == 22


@pytest.mark.only_on("torch")
def test_refuses_too_few_photos(train, folder, base, tmp_path, rng):
    for i in range(9):
        (folder / "green" / f"{i}.png").unlink()
    write_photo(folder / "green" / "0.png", "green", rng)
    with pytest.raises(ValueError, match="at least 2 photos .*'green' with 1"):
        train()
    write_photo(folder / "green" / "1.png", "green", rng)
    (folder / "green" / "0.png").write_bytes(b"no picture")
    with (
        pytest.warns(UserWarning, match="Left out 1"),
        pytest.raises(ValueError, match="'green' with 1"),
    ):
        train()
    write_photo(tmp_path / "other" / "red" / "0.png", "red", rng)
    with pytest.raises(ValueError, match="two classes or more.*'red'"):
        keras_facnn.train(tmp_path / "other", tmp_path / "x", base=base)


@pytest.mark.only_on("torch")
def test_refuses_what_would_lose_or_mislead(train, folder, tmp_path):
    with pytest.raises(ValueError, match="must not be within `folder`"):
        train("photos/mine")
    with pytest.raises(ValueError, match=r"preset with a backbone.*cifar10"):
        train(base="cifar10")
    with pytest.raises(ValueError, match="`validation_share`"):
        train(validation_share=1.0)
    train()
    with pytest.raises(FileExistsError, match="trained already"):
        train()
    with pytest.raises(FileExistsError, match="seed=0 and now seed=1"):
        train(seed=1)
    with pytest.raises(ValueError, match="trained on some of these photos"):
        train("more", base=tmp_path / "mine", seed=1)
    model = FACNN(2, depths=(1,), maps_per_class=(1,))
    model.save_to_preset(tmp_path / "other")
    with pytest.raises(FileExistsError, match="trained in another way"):
        train("other")


@pytest.mark.only_on("torch")
def test_does_not_say_where_a_base_lies(train, base, tmp_path):
    FACNN.from_preset(base).save(tmp_path / "secret.keras")
    model = train(base=tmp_path / "secret.keras")
    record = model.preset_metadata
    assert record["training"]["settings"]["base"] == "secret.keras"
    assert str(tmp_path) not in str(record)


@pytest.mark.only_on("torch")
def test_needs_disk_only_for_features_to_compute(
    train, folder, monkeypatch, tmp_path
):
    def stop(*args, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("keras_facnn.transfer.run.split_photos", stop)
        train()
    # All 29 photos have 8 versions of 8 features of 2 bytes.
    stored = tmp_path / "mine.training" / "features.float16"
    assert stored.stat().st_size == 29 * 8 * 8 * 2
    usage = features.shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(features.shutil, "disk_usage", lambda path: usage)
    train()
    with pytest.raises(OSError, match="features of 29 photos need"):
        train("other")
