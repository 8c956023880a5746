"""How far work is, in a terminal and in a log."""

import sys

import pytest

from keras_facnn import _progress
from keras_facnn._progress import Progress

pytestmark = pytest.mark.only_on("torch")


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets, in seconds."""
    now = [1000.0]
    monkeypatch.setattr(_progress.time, "monotonic", lambda: now[0])
    return now


def test_a_terminal_has_one_line_that_is_replaced(clock, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    bar = Progress(3000, "photo")
    for _ in range(3):
        clock[0] += 50
        bar.add(1000, ", 2 unreadable")
    out, err = capsys.readouterr()
    assert not out
    assert err == (
        "\r0 of 3,000 photos\x1b[K"
        "\r1,000 of 3,000 photos, 2 unreadable, 20 per second, 2 min left\x1b[K"
        "\r2,000 of 3,000 photos, 2 unreadable, 20 per second, 50 s left\x1b[K"
        "\r3,000 of 3,000 photos, 2 unreadable, in 2 min\x1b[K\n"
    )


def test_a_log_has_a_line_each_half_minute(clock, capsys):
    bar = Progress(100, "photo")
    for _ in range(100):
        clock[0] += 1
        bar.add(1)
    assert capsys.readouterr().err.splitlines() == [
        "30 of 100 photos, 1 per second, 70 s left",
        "60 of 100 photos, 1 per second, 40 s left",
        "90 of 100 photos, 1 per second, 10 s left",
        "100 of 100 photos, in 2 min",
    ]


def test_a_log_has_nothing_of_what_is_short(clock, capsys):
    bar = Progress(100, "photo")
    clock[0] += 20
    bar.add(100)
    bar.close()
    assert capsys.readouterr().err == ""


def test_what_was_done_before_is_not_part_of_the_speed(clock, capsys):
    bar = Progress(1000, "photo")
    bar.update(900)
    clock[0] += 40
    bar.add(20)
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "920 of 1,000 photos, 0.5 per second, 3 min left"


def test_an_unknown_number_has_no_end(clock, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    bar = Progress(0, "image")
    clock[0] += 2
    bar.add(32)
    bar.close()
    assert capsys.readouterr().err == (
        "\r0 images\x1b[K\r32 images, 16 per second\x1b[K\n"
    )


def test_work_that_was_done_before_ends_its_line(clock, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    Progress(2, "photo").update(2)
    assert capsys.readouterr().err == (
        "\r0 of 2 photos\x1b[K\r2 of 2 photos\x1b[K\n"
    )


def test_nothing_is_shown_that_was_not_asked_for(clock, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    bar = Progress(2, "image", shown=False)
    clock[0] += 60
    bar.add(2)
    bar.close()
    assert capsys.readouterr() == ("", "")


def test_durations():
    assert _progress._duration(59.6) == "60 s"
    assert _progress._duration(120) == "2 min"
    assert _progress._duration(9000) == "2.5 h"
