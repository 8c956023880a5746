"""The lines of the page about batches run."""

import pathlib
import re

import pytest

from keras_facnn.batch import explain_files
from keras_facnn.runtime import Explainer
from keras_facnn.watching import Watch
from tests.batch.conftest import NAMES

ROOT = pathlib.Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how_to" / "batch.md").read_text("utf-8")

pytestmark = pytest.mark.only_on("torch")


def blocks(language):
    pattern = rf"^```{language}\n(.*?)^```$"
    return re.findall(pattern, PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def rows(small_onnx, photos, here, tmp_path, monkeypatch):
    """The rows of a run, of which the lines see a class called dress."""
    monkeypatch.chdir(tmp_path)
    (photos / "a" / "00.png").write_bytes(b"no picture")
    explain_files(small_onnx[1], photos, "maps")
    from pyarrow import parquet

    return parquet.read_table("maps").to_pylist()


def of_class(text, rows):
    """Return lines with the class of the first row that has one."""
    name = next(row["name"] for row in rows if row["name"] in NAMES)
    return name, text.replace("'dress'", f"'{name}'").replace(
        '"dress"', f'"{name}"'
    )


def test_queries_of_duckdb(rows):
    duckdb = pytest.importorskip("duckdb")
    border, classes, errors, labels = blocks("sql")
    name, border = of_class(border, rows)
    found = duckdb.sql(border.replace("0.4", "0.1")).fetchall()
    expected = {
        row["path"]
        for row in rows
        if row["name"] == name and row["border"] > 0.1
    }
    assert {path for path, _ in found} == expected and expected
    counts = {name: n for name, n, _, _ in duckdb.sql(classes).fetchall()}
    assert sum(counts.values()) == 39
    ((path, error),) = duckdb.sql(errors).fetchall()
    assert path.endswith("00.png") and "cannot be read" in error
    found = duckdb.sql(labels).fetchall()
    assert sum(count for _, _, count, _ in found) == 39
    assert {label for label, *_ in found} <= {
        pathlib.Path(row["path"]).parent.name for row in rows
    }


def test_lines_of_pandas(rows, small_onnx, capsys):
    pytest.importorskip("pandas")
    _, code, watching, *others = blocks("py")
    # Those of Beam and Spark, which the environment lacks.
    for other in others:
        compile(other, "batch.md", "exec")
    _, code = of_class(code, rows)
    names = {}
    exec(code, names)
    assert capsys.readouterr().out.count("[") == 1 + 4

    explainer = Explainer(small_onnx[1])
    readable = [row["path"] for row in rows if row["error"] is None]
    explained = explainer(readable, centered=True)
    watch = Watch(explained)
    watch.save("reference.npz")
    exec(watching, names)
    assert "39 seen, no alarm" in capsys.readouterr().out
    watch.add(explained)
    assert names["watch"].seen == watch.seen == len(readable)
    # Maps in the rows are float16, which may change a rank.
    assert names["watch"].capital == pytest.approx(watch.capital, abs=0.05)


def test_names_every_column(rows):
    for column in rows[0]:
        assert f"`{column.replace('_2', '_18')}`" in PAGE, column
