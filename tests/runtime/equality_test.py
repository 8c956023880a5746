"""`Explainer` answers as `FACNN.explain` and `audit` do."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest

import keras_facnn
from keras_facnn import FACNN
from keras_facnn.auditing.observing import grid_of
from keras_facnn.auditing.observing import observe
from keras_facnn.auditing.statistics import Statistics
from keras_facnn.runtime import Explainer
from tests.cli.command import ROOT
from tests.runtime.odd_pictures import make_odd_pictures
from tests.runtime.small_file import write_small_file

pytestmark = pytest.mark.only_on("torch")
pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def model():
    return FACNN.from_preset("cifar10")


@pytest.fixture(scope="module")
def path(model, tmp_path_factory):
    pytest.importorskip("onnx")
    path = tmp_path_factory.mktemp("exported") / "cifar10.onnx"
    model.export(path, layers=[18], verbose=False)
    return path


@pytest.fixture(scope="module")
def files():
    return list(make_odd_pictures().values())


@pytest.fixture(scope="module")
def images(model, files):
    return keras_facnn.load_images([io.BytesIO(f) for f in files], model)


@pytest.fixture(scope="module")
def columns(path, files):
    return Explainer(path)(files, centered=True, check=True)


def test_equals_explain_on_odd_pictures(model, files, images, columns):
    assert len(files) > 300
    explanation = model.explain(images, layers=[18])
    np.testing.assert_array_equal(columns["class"], explanation.classes)
    names = [explanation.name_of(c) for c in explanation.classes]
    assert columns["name"].tolist() == names
    rows = np.arange(len(files))
    for name, expected in (
        ("maps", explanation.maps[rows, ..., explanation.classes]),
        ("layer_maps_18", explanation.layer_maps[18]),
        ("probabilities", explanation.probabilities),
    ):
        np.testing.assert_allclose(columns[name], expected, atol=1e-4)
    assert columns["sum_error"].max() < 1e-4


def test_border_is_that_of_an_audit(model, images, columns):
    grid = grid_of(model, model.image_shape)
    statistics = Statistics(10, grid, several_labels=False)
    unknown = np.full(len(images), -1)
    statistics.add(observe(model, images, grid, batch_size=64), unknown)
    border = statistics.share[:, grid.zones["border"].ravel()].sum(-1)
    sums = np.bincount(columns["class"], columns["border"], minlength=10)
    np.testing.assert_allclose(sums, border, rtol=1e-4)


def test_an_openvino_file_gives_the_same(small_model, images, tmp_path):
    pytest.importorskip("openvino")
    small_model.preset_metadata = {"class_names": ["ant", "bee", "cat", "é\n"]}
    small_model.export(tmp_path / "m.xml", layers=[2], verbose=False)
    explainer = Explainer(tmp_path / "m.xml")
    assert explainer.layers == (2, 3)
    images = images[:9, :16, :16]
    columns = explainer(images, "all")
    logits, maps = small_model.predict_with_maps(images)
    np.testing.assert_allclose(columns["logits"], logits, atol=1e-4)
    np.testing.assert_allclose(columns["maps"], maps, atol=1e-4)
    expected = small_model.class_maps(images, layer=2)
    np.testing.assert_allclose(columns["layer_maps_2"], expected, atol=1e-4)
    # Other weights in the file beside it are another model.
    weights = tmp_path / "m.bin"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ValueError, match="json is not of .*m.xml"):
        Explainer(tmp_path / "m.xml")
    weights.unlink()
    with pytest.raises(FileNotFoundError, match="no file .*m.bin"):
        Explainer(tmp_path / "m.xml")


WITHOUT_KERAS = """
import multiprocessing
import sys

for name in ("keras", "torch", "tensorflow", "jax", "scipy", "matplotlib",
             "h5py", "onnx", "openvino", "pandas"):
    sys.modules[name] = None

from keras_facnn.runtime import Explainer


def explained(explainer):
    return explainer(sys.argv[2])["logits"].tolist()


if __name__ == "__main__":
    explainer = Explainer(sys.argv[1], threads=1)
    expected = explained(explainer)
    assert explainer.overlay(sys.argv[2], [[1.0]])[:4] == b"\\x89PNG"
    ways = set(multiprocessing.get_all_start_methods())
    for way in sorted(ways & {"fork", "spawn"}):
        with multiprocessing.get_context(way).Pool(1) as pool:
            found = pool.apply_async(explained, [explainer]).get(300)
        assert found == expected, way
    import keras_facnn
    try:
        keras_facnn.FACNN
    except ImportError as e:
        print(e)
"""


def test_runs_in_other_processes_where_keras_is_not_installed(tmp_path):
    path = write_small_file(tmp_path / "m.onnx")
    script = tmp_path / "script.py"
    script.write_text(WITHOUT_KERAS)
    result = subprocess.run(
        [sys.executable, script, path, ROOT / "samples" / "cat.jpg"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert "keras-facnn[jax]" in result.stdout


def test_commands_that_need_no_keras_do_not_import_it(tmp_path):
    """Neither do the processes that they start."""
    code = (
        "import subprocess, sys, keras_facnn\n"
        "print('keras' in sys.modules, flush=True)\n"
        "if len(sys.argv) > 1:\n"
        "    subprocess.run([sys.executable, __file__], check=True)\n"
        "    try:\n"
        "        keras_facnn.FACNN\n"
        "    except ImportError as e:\n"
        "        print(e)\n"
    )
    script = tmp_path / "keras-facnn"
    script.write_text(code)
    result = subprocess.run(
        [sys.executable, script, "batch"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    first, second, error = result.stdout.splitlines()
    assert first == second == "False"
    assert error.startswith("This process runs an exported file")
