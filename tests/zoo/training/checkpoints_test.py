import os

import pytest

pytest.importorskip("absl")

from zoo.training.checkpoints import Checkpoints

pytestmark = pytest.mark.only_on("torch")


def save(checkpoints, text):
    def write(path):
        assert path.endswith(".weights.h5")
        with open(path, "w") as file:
            file.write(text)

    checkpoints.save(write)


def restored(workdir):
    """What a new process finds."""
    found = []

    def load(path):
        with open(path) as file:
            found.append(file.read())

    checkpoints = Checkpoints(workdir)
    checkpoints.restore(load)
    return checkpoints, *found


def cut(path):
    os.truncate(path, 2)


def empty(path):
    os.truncate(path, 0)


def flip_a_bit(path):
    with open(path, "r+b") as file:
        first = file.read(1)[0]
        file.seek(0)
        file.write(bytes([first ^ 1]))


def test_nothing_is_restored_of_an_empty_folder(tmp_path):
    assert len(restored(str(tmp_path))) == 1


@pytest.mark.parametrize("damage", [cut, empty, flip_a_bit, os.remove])
def test_a_damaged_checkpoint_costs_the_steps_since_the_one_before(
    tmp_path, damage
):
    checkpoints = Checkpoints(str(tmp_path))
    for text in ("one", "two", "three"):
        save(checkpoints, text)
    assert restored(str(tmp_path))[1:] == ("three",)
    damage(checkpoints.last)
    checkpoints, text = restored(str(tmp_path))
    assert text == "two"
    # The damaged one does not take the place of the good one.
    save(checkpoints, "four")
    assert restored(str(tmp_path))[1:] == ("four",)
    flip_a_bit(checkpoints.last)
    assert restored(str(tmp_path))[1:] == ("two",)


def test_refuses_to_go_on_from_damaged_checkpoints(tmp_path):
    checkpoints = Checkpoints(str(tmp_path))
    for text in ("one", "two"):
        save(checkpoints, text)
    cut(checkpoints.last)
    cut(checkpoints.before)
    with pytest.raises(ValueError, match="Neither .*last.* as it was saved"):
        restored(str(tmp_path))


def test_a_kill_between_any_two_steps_loses_nothing(tmp_path, monkeypatch):
    """Each step that changes the folder may be the last one."""

    class Kill(BaseException):
        pass

    for victim in range(4):
        workdir = tmp_path / str(victim)
        workdir.mkdir()
        checkpoints = Checkpoints(str(workdir))
        for text in ("one", "two"):
            save(checkpoints, text)
        real, calls = os.replace, []

        def replace(source, target, real=real, calls=calls, victim=victim):
            calls.append(target)
            if len(calls) > victim:
                raise Kill
            real(source, target)

        monkeypatch.setattr(os, "replace", replace)
        try:
            save(checkpoints, "three")
        except Kill:
            assert victim < 3
        else:
            assert victim == 3
        monkeypatch.setattr(os, "replace", real)
        expected = "two" if victim < 3 else "three"
        assert restored(str(workdir))[1:] == (expected,)
        save(Checkpoints(str(workdir)), "four")
        assert restored(str(workdir))[1:] == ("four",)


def test_works_without_links(tmp_path, monkeypatch):
    def refuse(*args):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    checkpoints = Checkpoints(str(tmp_path))
    for text in ("one", "two"):
        save(checkpoints, text)
    cut(checkpoints.last)
    assert restored(str(tmp_path))[1:] == ("one",)
