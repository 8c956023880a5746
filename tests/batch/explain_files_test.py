"""`explain_files` writes what the model says of each picture, once."""

import json
import os

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import keras_facnn
from keras_facnn.batch import explain_files
from tests.batch.conftest import NAMES
from tests.batch.conftest import run_here

pytestmark = pytest.mark.only_on("torch")


@pytest.fixture(autouse=True)
def without_ray(request):
    if "with_ray" not in request.fixturenames:
        request.getfixturevalue("here")


@pytest.fixture
def with_ray():
    return pytest.importorskip("ray")


def read(folder):
    return parquet.read_table(folder)


def facts(folder):
    metadata = parquet.read_schema(folder / "part-000000.parquet").metadata
    return json.loads(metadata[b"keras_facnn"])


@pytest.mark.parametrize(
    "dtype, close", [("float32", 1e-5), ("float16", 1e-2), ("int8", 3e-2)]
)
def test_rows_are_what_the_model_says(
    small_onnx, photos, tmp_path, dtype, close
):
    model, path = small_onnx
    counts = explain_files(
        path, photos, tmp_path / "out", dtype=dtype, maps=2, batch_size=3
    )
    assert counts == {
        "pictures": 40,
        "before": 0,
        "unreadable": 0,
        "left_out": 0,
    }
    table = read(tmp_path / "out")
    paths = sorted(map(str, photos.rglob("*.png")))
    assert table["path"].to_pylist() == paths
    images = keras_facnn.load_images(paths, model)
    logits, maps = model.predict_with_maps(images)
    maps_2 = model.class_maps(images, layer=2)
    order = np.argsort(-logits, axis=-1)
    assert table["class"].to_pylist() == order[:, 0].tolist()
    assert table["name"].to_pylist() == [NAMES[c] for c in order[:, 0]]
    assert table["top_classes"].to_pylist() == order.tolist()
    expected = np.take_along_axis(logits, order, -1)
    assert_close(table["top_logits"], expected, 1e-4)
    assert_close(table["logit"], expected[:, 0], 1e-4)
    expected = np.take_along_axis(model.probabilities(logits), order, -1)
    assert_close(table["top_probabilities"], expected, 1e-5)
    assert_close(table["probability"], expected[:, 0], 1e-5)
    assert table["unsure"].to_pylist() == (expected[:, 0] < 0.5).tolist()
    scale = facts(tmp_path / "out")["scale"]
    for name, all_maps in (("maps", maps), ("layer_maps_2", maps_2)):
        step = scale * np.abs(all_maps).max() * close
        chosen = [all_maps[i][..., order[i, :2]] for i in range(40)]
        chosen = np.moveaxis(chosen, -1, 1).reshape(40, -1)
        mean = all_maps.mean(axis=-1).reshape(40, -1)
        for column, expected in ((name, chosen), (f"mean_{name}", mean)):
            found = np.array(table[column].to_pylist(), "float64")
            if dtype == "int8":
                found *= np.array(table[f"{name}_step"])[:, None]
            np.testing.assert_allclose(scale * found, scale * expected, 0, step)
    # The sums of the maps are the logits.
    found = np.array(table["maps"].to_pylist(), "float64").reshape(40, 2, -1)
    if dtype == "int8":
        found *= np.array(table["maps_step"])[:, None, None]
    tops = np.array(table["top_logits"].to_pylist())[:, :2]
    largest = max(1, np.abs(tops).max())
    np.testing.assert_allclose(
        scale * found.mean(-1), tops, rtol=0, atol=close * largest
    )


def assert_close(column, expected, tolerance):
    found = np.array(column.to_pylist())
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def test_sizes_are_those_of_upright_pictures(small_onnx, photos, tmp_path):
    explain_files(small_onnx[1], photos, tmp_path / "out")
    rows = read(tmp_path / "out").to_pylist()
    sizes = {
        os.path.basename(r["path"]): (r["height"], r["width"]) for r in rows
    }
    expected = {f"{i:02d}.png": (20 + i, 24) for i in range(40)}
    expected["07.png"] = (24, 27)
    assert sizes == expected


def test_a_broken_picture_is_a_row(small_onnx, photos, tmp_path):
    (photos / "a" / "00.png").write_bytes(b"no picture")
    png = (photos / "a" / "02.png").read_bytes()
    (photos / "a" / "02.png").write_bytes(png[: len(png) // 2])
    (photos / "a" / "notes.md").write_text("notes")
    counts = explain_files(
        small_onnx[1], photos, tmp_path / "out", batch_size=1
    )
    assert (counts["unreadable"], counts["left_out"]) == (2, 1)
    rows = read(tmp_path / "out").to_pylist()
    bad = [row for row in rows if row["error"] is not None]
    assert [os.path.basename(row["path"]) for row in bad] == [
        "00.png",
        "02.png",
    ]
    for row in bad:
        assert "cannot be read as an image" in row["error"]
        filled = {name for name in row if row[name] is not None}
        assert filled == {"path", "model", "error"}
    assert sum(row["maps"] is not None for row in rows) == 38


def test_a_picture_that_is_gone_is_a_row(small_onnx, photos, tmp_path):
    listed = [str(photos / "a" / "00.png"), str(tmp_path / "gone.jpg")]
    (tmp_path / "list.txt").write_text("\n".join(listed) + "\n")
    explain_files(small_onnx[1], tmp_path / "list.txt", tmp_path / "out")
    rows = read(tmp_path / "out").to_pylist()
    assert [row["path"] for row in rows] == listed
    assert rows[0]["error"] is None
    assert rows[1]["error"].startswith("There is no image")


def test_a_continued_run_counts_what_it_did_before(
    small_onnx, photos, tmp_path, monkeypatch
):
    (photos / "a" / "00.png").write_bytes(b"no picture")
    (photos / "b" / "39.png").write_bytes(b"no picture")
    (photos / "notes.md").write_text("notes")
    given = small_onnx[1], photos, tmp_path / "out"
    with monkeypatch.context() as patched:
        name = "keras_facnn.batch.worker.read_picture"
        patched.setattr(name, dying(name, 35))
        with pytest.raises(Killed):
            explain_files(*given)
    seen = []
    expected = {"pictures": 40, "unreadable": 2, "left_out": 1}
    counts = explain_files(*given, progress=lambda *n: seen.append(n))
    assert counts == {**expected, "before": 32}
    assert seen == [(32, 40, 1), (40, 40, 2)]
    assert explain_files(*given) == {**expected, "before": 40}


class Killed(BaseException):
    """What stands for the end of the process."""


@pytest.mark.parametrize("moment", range(5))
def test_a_killed_run_is_continued(
    small_onnx, photos, tmp_path, monkeypatch, moment
):
    path = small_onnx[1]
    options = {"pictures_per_file": 32, "dtype": "float32"}
    explain_files(path, photos, tmp_path / "whole", **options)
    # Before and after the listing, in a part, and between parts.
    calls = {
        0: ("keras_facnn.batch.inputs.Inputs.listing", 1),
        1: ("keras_facnn.batch.run_folder.json.dumps", 1),
        2: ("keras_facnn.batch.worker.read_picture", 5),
        3: ("keras_facnn.batch.worker.read_picture", 35),
        4: ("keras_facnn.batch.run_folder.RunFolder.finish", 1),
    }
    name, count = calls[moment]
    with monkeypatch.context() as patched:
        patched.setattr(name, dying(name, count))
        with pytest.raises(Killed):
            explain_files(path, photos, tmp_path / "out", **options)
    counts = explain_files(path, photos, tmp_path / "out", **options)
    assert counts["before"] == {3: 32, 4: 40}.get(moment, 0)
    assert read(tmp_path / "out").equals(read(tmp_path / "whole"))
    left = {file.name for file in (tmp_path / "out" / "_run").iterdir()}
    assert left == {"inputs.parquet", "run.json"}
    counts = explain_files(path, photos, tmp_path / "out", **options)
    assert counts["before"] == counts["pictures"] == 40


def dying(name, count):
    """Return a function that does what `name` does, until its last call."""
    import pkgutil

    whole = pkgutil.resolve_name(name)
    calls = 0

    def function(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls >= count:
            raise Killed
        return whole(*arguments, **options)

    return function


@pytest.mark.parametrize(
    "name, options",
    [
        ("dtype", {"dtype": "int8"}),
        ("maps", {"maps": 2}),
        ("inputs", {"inputs": "elsewhere"}),
        ("model", {}),
    ],
)
def test_another_run_is_not_continued(
    small_onnx, photos, tmp_path, name, options
):
    model, path = small_onnx
    explain_files(path, photos, tmp_path / "out")
    before = read(tmp_path / "out")
    if name == "model":
        path = tmp_path / "m.onnx"
        model.export(path, verbose=False)
    given = {"inputs": photos, **options}
    with pytest.raises(ValueError, match=f"a run with another {name}"):
        explain_files(path, output=tmp_path / "out", **given)
    assert read(tmp_path / "out").equals(before)


def test_files_of_others_are_not_touched(small_onnx, photos, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "part-000000.parquet").write_bytes(b"other")
    with pytest.raises(ValueError, match="no record of their run"):
        explain_files(small_onnx[1], photos, tmp_path / "out")


@pytest.mark.parametrize("kind", ["bytes", "image", "paths", "pixels"])
def test_reads_parquet(small_onnx, photos, tmp_path, kind):
    files = sorted(photos.rglob("*.png"))
    data = [file.read_bytes() for file in files]
    columns = {
        "bytes": {"bytes": data},
        "image": {"image": [{"bytes": d, "path": None} for d in data]},
        "paths": {"path": [str(file) for file in files]},
        "pixels": {"pixels": data},
    }[kind]
    given = tmp_path / "given.parquet"
    parquet.write_table(pa.table(columns), given, row_group_size=37)
    options = {
        "dtype": "float32",
        "column": "pixels" if kind == "pixels" else None,
    }
    explain_files(small_onnx[1], given, tmp_path / "out", **options)
    explain_files(small_onnx[1], photos, tmp_path / "whole", **options)
    found, expected = read(tmp_path / "out"), read(tmp_path / "whole")
    if kind != "paths":
        paths = [f"{given}#{i}" for i in range(40)]
        assert found["path"].to_pylist() == paths
        found = found.drop_columns("path")
        expected = expected.drop_columns("path")
    assert found.equals(expected)


@pytest.mark.parametrize(
    "column, kind",
    [
        ("bytes", pa.large_binary()),
        ("bytes", pa.binary_view()),
        ("path", pa.large_string()),
        ("path", pa.string_view()),
    ],
    ids=str,
)
def test_reads_every_type_of_bytes_and_text(
    small_onnx, photos, tmp_path, column, kind
):
    """Polars writes large and view types."""
    files = sorted(photos.rglob("*.png"))
    values = [f.read_bytes() if column == "bytes" else str(f) for f in files]
    given = tmp_path / "given.parquet"
    parquet.write_table(pa.table({column: pa.array(values, kind)}), given)
    explain_files(small_onnx[1], given, tmp_path / "out")
    explain_files(small_onnx[1], photos, tmp_path / "whole")
    columns = ["class", "height", "maps", "error"]
    found = read(tmp_path / "out").select(columns)
    assert found.equals(read(tmp_path / "whole").select(columns))


def test_does_not_hold_a_whole_row_group(small_onnx, tmp_path, monkeypatch):
    data = np.random.default_rng(0).bytes(2**16)
    table = pa.table({"bytes": [data] * 1024})
    given = tmp_path / "given.parquet"
    options = {"use_dictionary": False, "write_batch_size": 16}
    parquet.write_table(table, given, compression="none", **options)
    del table
    before, seen = pa.total_allocated_bytes(), []

    def read_picture(*arguments):
        seen.append(pa.total_allocated_bytes() - before)
        raise ValueError("no picture")

    monkeypatch.setattr("keras_facnn.batch.worker.picture_size", read_picture)
    counts = explain_files(small_onnx[1], given, tmp_path / "out", batch_size=8)
    assert counts["unreadable"] == 1024
    assert max(seen) < 2**25


def test_says_which_columns_a_parquet_file_has(small_onnx, tmp_path):
    given = tmp_path / "given.parquet"
    parquet.write_table(pa.table({"number": [1]}), given)
    with pytest.raises(ValueError, match=r"columns 'number' \(int64\)"):
        explain_files(small_onnx[1], given, tmp_path / "out")


@pytest.mark.parametrize("way", ["pattern", "address", "files", "twice"])
def test_ways_to_name_pictures(small_onnx, photos, tmp_path, way):
    inputs = {
        "pattern": str(photos / "**" / "*.png"),
        "address": photos.as_uri(),
        "files": sorted(photos.rglob("*.png")),
        "twice": [photos, photos / "a"],
    }[way]
    explain_files(small_onnx[1], inputs, tmp_path / "out")
    names = [
        os.path.basename(p) for p in read(tmp_path / "out")["path"].to_pylist()
    ]
    assert len(names) == 40
    assert set(names) == {f"{i:02d}.png" for i in range(40)}


def test_the_record_of_a_run_is_no_input(small_onnx, photos, tmp_path):
    explain_files(small_onnx[1], photos, photos / "maps")
    found = explain_files(small_onnx[1], photos, tmp_path / "out")
    assert (found["pictures"], found["unreadable"]) == (40, 0)
    assert len(read(tmp_path / "out")) == 40


def test_a_table_that_is_named_twice_counts_once(small_onnx, photos, tmp_path):
    data = [file.read_bytes() for file in photos.rglob("*.png")]
    given = tmp_path / "tables" / "given.parquet"
    given.parent.mkdir()
    parquet.write_table(pa.table({"bytes": data}), given)
    explain_files(small_onnx[1], [given.parent, given], tmp_path / "out")
    assert len(read(tmp_path / "out")) == 40


def test_wrong_numbers_of_classes_are_refused(small_onnx, photos, tmp_path):
    for options, match in (
        ({"top": 0}, "`top`"),
        ({"top": 2, "maps": 3}, "`maps` must be at most `top`"),
    ):
        with pytest.raises(ValueError, match=match):
            explain_files(small_onnx[1], photos, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_an_address_of_nothing_is_an_error(small_onnx, tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no file or folder"):
        explain_files(
            small_onnx[1], (tmp_path / "none").as_uri(), tmp_path / "out"
        )


def test_no_picture_is_an_error(small_onnx, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="at least one picture"):
        explain_files(small_onnx[1], tmp_path / "empty", tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        explain_files(small_onnx[1], "nowhere", tmp_path / "out")


def test_processes_that_die_in_a_part_end_the_run(
    small_onnx, photos, tmp_path, monkeypatch
):
    """Ray would start them again without end."""

    def dying_too(parts, worker, workers, address):
        for _ in range(3):
            with pytest.raises(Killed):
                next(run_here(parts, worker, workers, address))
        yield from run_here(parts, worker, workers, address)

    def killed(*arguments):
        raise Killed

    module = "keras_facnn.batch"
    monkeypatch.setattr(f"{module}._explain_files.run_parts", dying_too)
    with monkeypatch.context() as patched:
        patched.setattr(f"{module}.worker.read_picture", killed)
        with pytest.raises(RuntimeError, match="3 processes died in part 0"):
            explain_files(small_onnx[1], photos, tmp_path / "out")
    # Another call tries again.
    monkeypatch.setattr(f"{module}._explain_files.run_parts", run_here)
    explain_files(small_onnx[1], photos, tmp_path / "out")
    assert len(read(tmp_path / "out")) == 40


@pytest.mark.posix
def test_names_that_are_not_text(small_onnx, photos, tmp_path):
    name = os.fsencode(photos / "a" / "00.png")
    os.rename(name, os.fsencode(photos / "a") + b"/\xff.png")
    explain_files(small_onnx[1], photos, tmp_path / "out")
    table = read(tmp_path / "out")
    assert table["error"].null_count == 40
    assert any(p.endswith(r"\udcff.png") for p in table["path"].to_pylist())


def test_ray_data_gives_the_same(small_onnx, photos, tmp_path, with_ray):
    (photos / "a" / "00.png").write_bytes(b"no picture")
    seen = []
    counts = explain_files(
        small_onnx[1],
        photos,
        tmp_path / "out",
        dtype="float32",
        workers=1,
        progress=lambda *numbers: seen.append(numbers),
    )
    assert counts["unreadable"] == 1
    assert seen[0] == (0, 40, 0) and seen[-1] == (40, 40, 1)
    rows = read(tmp_path / "out")
    assert len(rows) == 40 and rows["error"].null_count == 39
