"""`keras-facnn batch`."""

import os
import sys

import pytest
from pyarrow import parquet

from tests.batch.conftest import here  # noqa: F401
from tests.batch.conftest import small_onnx  # noqa: F401
from tests.cli.command import run

pytestmark = [pytest.mark.only_on("torch"), pytest.mark.usefixtures("here")]


def test_writes_rows_and_continues(small_onnx, photos, tmp_path, capsys):  # noqa: F811
    arguments = ["batch", small_onnx[1], *photos, "--output", tmp_path / "out"]
    assert run(*arguments, "--dtype", "int8", "--maps", 2, "--top", 3) == 0
    out, err = capsys.readouterr()
    where = os.path.join(tmp_path / "out", "part-*.parquet")
    assert out == f"3 pictures are in {where}\n" and not err
    table = parquet.read_table(tmp_path / "out" / "part-000000.parquet")
    assert table["path"].to_pylist() == [str(path) for path in photos]
    assert table["top_classes"].type.list_size == 3
    assert table["maps"].type.list_size == 2 * 4 * 4
    assert str(table["maps"].type.value_type) == "int8"

    assert run(*arguments, "--dtype", "int8", "--maps", 2, "--top", 3) == 0
    assert "3 pictures, 3 of them before, are in" in capsys.readouterr().out
    assert run(*arguments) == 1
    err = capsys.readouterr().err
    assert err.startswith("keras_facnn: error: ") and "another top" in err


def test_counts_what_cannot_be_read(small_onnx, photos, tmp_path, capsys):  # noqa: F811
    (tmp_path / "x.md").write_text("no picture's ending")
    photos[0].write_bytes(b"no picture")
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in (*photos, tmp_path / "x.md"):
        path.rename(folder / path.name)
    output = tmp_path / "out"
    # The second time, all pictures are done already.
    for where in ("3 pictures are in", "3 pictures, 3 of them before, are in"):
        assert run("batch", small_onnx[1], folder, "--output", output) == 1
        out, err = capsys.readouterr()
        assert where in out
        assert "Left out 1 file of another kind\n" in err
        assert "error: 1 picture cannot be read" in err


def test_shows_progress_in_a_terminal(
    small_onnx,  # noqa: F811
    photos,
    tmp_path,
    capsys,
    monkeypatch,
):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    output = tmp_path / "out"
    assert run("batch", small_onnx[1], *photos, "--output", output) == 0
    err = capsys.readouterr().err
    assert "\r0 of 3 pictures\x1b[K" in err
    assert "3 of 3 pictures, in 0 s" in err
