"""The folder of the features, which holds nothing of the user's."""

import pytest

import keras_facnn
from keras_facnn.transfer import run
from keras_facnn.transfer.work_folder import holding

pytestmark = pytest.mark.only_on("torch")


@pytest.mark.parametrize("inside", ["", "photos"])
def test_photos_in_the_work_folder_stay(folder, base, tmp_path, inside):
    pets = tmp_path / "pets.training"
    (pets / inside).parent.mkdir(exist_ok=True)
    folder.rename(pets / inside)
    with pytest.raises(ValueError, match="must be apart from `folder`"):
        keras_facnn.train(pets / inside, tmp_path / "pets", base=base)
    assert len(list(pets.rglob("*.png"))) == 29


def test_a_folder_of_the_user_stays(folder, base, tmp_path):
    theirs = tmp_path / "mine.training"
    theirs.mkdir()
    (theirs / "features.jsonl").write_bytes(b"")
    (theirs / "notes.txt").write_text("keep")
    with pytest.raises(FileExistsError, match=r"with 'notes\.txt'"):
        keras_facnn.train(folder, tmp_path / "mine", base=base, verbose=0)
    assert (theirs / "notes.txt").read_text() == "keep"
    assert not (tmp_path / "mine").exists()


def test_removes_only_its_own_files(tmp_path):
    with holding(tmp_path / "work"):
        (tmp_path / "work" / "features.float16").write_bytes(b"1")
        (tmp_path / "work" / "new.txt").write_text("keep")
    assert [p.name for p in (tmp_path / "work").iterdir()] == ["new.txt"]


def test_keeps_its_files_after_an_error(tmp_path):
    work = tmp_path / "work"
    with pytest.raises(KeyboardInterrupt), holding(work):
        (work / "features.float16").write_bytes(b"1")
        raise KeyboardInterrupt
    assert [p.name for p in work.iterdir()] == ["features.float16"]
    with holding(work):
        pass
    assert not work.exists()


def test_a_second_call_is_refused(folder, base, tmp_path, monkeypatch):
    compute = run.compute_features
    arguments = {"base": base, "verbose": 0}

    def twice(*args):
        with pytest.raises(BlockingIOError, match="trained by another call"):
            keras_facnn.train(folder, tmp_path / "mine", **arguments)
        return compute(*args)

    monkeypatch.setattr(run, "compute_features", twice)
    keras_facnn.train(folder, tmp_path / "mine", **arguments)
    assert not (tmp_path / "mine.training").exists()
