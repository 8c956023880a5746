import os

import numpy as np
import pytest

from zoo import parts

pytestmark = pytest.mark.only_on("torch")


def test_does_what_is_not_yet_done(tmp_path, monkeypatch):
    """A part that was being written when it was killed counts as not done."""
    monkeypatch.setattr(parts, "PASSES", 6)
    images = np.arange(7)
    done = []

    def work(some):
        done.append(some.start)
        return {"squares": images[some] ** 2}

    def run():
        return parts.run(str(tmp_path), "x", "squares", 7, 3, work)["squares"]

    with monkeypatch.context() as patch:

        def killed(file, **arrays):
            file.write(b"PK")
            raise KeyboardInterrupt

        patch.setattr(np, "savez", killed)
        with pytest.raises(KeyboardInterrupt):
            run()
    assert parts.done(str(tmp_path), "x", 7, 3) == 0
    np.testing.assert_array_equal(run(), images**2)
    assert done == [0, 0, 2, 4, 6]
    (tmp_path / "x_6_7.npz").unlink()
    assert parts.done(str(tmp_path), "x", 7, 3) == 6
    np.testing.assert_array_equal(run(), images**2)
    assert done[5:] == [6]


def test_logs_each_minute_and_each_tenth(monkeypatch, caplog):
    now = [0.0]
    monkeypatch.setattr(parts.time, "monotonic", lambda: now[0])
    caplog.set_level("INFO", "absl")
    progress = parts.Progress("RISE: maps", 100)
    progress.update(20, was_done_before=True)
    for done, seconds in ((21, 9), (30, 11), (31, 30), (32, 72), (100, 200)):
        now[0] = seconds
        progress.update(done, was_done_before=False)
    # Within 11 seconds it did 10 images, and so on.
    assert [r.getMessage() for r in caplog.records] == [
        "RISE: maps: 30 of 100 images, 0:01:17 left",
        "RISE: maps: 32 of 100 images, 0:06:48 left",
    ]


def test_folders_are_those_of_one_method_and_layer():
    names = {parts.folder_of("x", "m", t) for t in ("a/b", "a-b", "a%2Fb")}
    assert len(names) == 3
    assert {os.path.dirname(name) for name in names} == {"x/unfinished"}
