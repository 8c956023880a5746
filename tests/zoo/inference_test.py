import keras
import numpy as np
import pytest

from keras_facnn import FACNN
from tests.zoo.conftest import NAMES
from tests.zoo.conftest import run

BACKEND = keras.backend.backend()


def tables(output):
    """Two dicts of a row's name to its other cells, as printed."""
    found = []
    for line in output.splitlines():
        if line.startswith(("| file |", "| way |")):
            found.append({})
        elif line.startswith("| "):
            name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            found[-1][name] = cells
    return found


def test_times_each_way_beside_predict(tmp_path):
    # Not more than is needed: OpenVINO may fork to report that it was imported,
    # of which JAX warns.
    needed = {
        "torch": ("onnxruntime", "openvino"),
        "tensorflow": ("ai_edge_litert",),
        "jax": ("tensorflow",),
    }
    for package in needed[BACKEND]:
        pytest.importorskip(package)
    model = FACNN(4, (16, 16, 3), (1, 1), (1, 2), space_to_depth=2)
    model.save_to_preset(tmp_path / "preset")
    result = run(
        "inference",
        preset=tmp_path / "preset",
        images=5,
        batch_size=2,
        batch_sizes="1,3",
        rounds=2,
        seconds=0.01,
    )
    assert result.returncode == 0, result.output
    agreement, rows = tables(result.output)
    files = {
        "torch": ["ONNX Runtime", "OpenVINO f32", "OpenVINO bf16"],
        "tensorflow": ["LiteRT", "SavedModel"],
        "jax": ["SavedModel"],
    }[BACKEND]
    assert sorted(agreement) == sorted(f"{name}, all maps" for name in files)
    for name, cells in agreement.items():
        megabytes, logits, maps, correlation, same = cells
        assert 0 < float(megabytes) < 2
        if "bf16" not in name:
            assert float(logits) < 1e-3 and float(maps) < 1e-3
            assert float(correlation) > 0.9999
            assert same == "100.0 %"
    bare = [f"{name}, only logits" for name in files if "bf16" not in name]
    assert len(rows) == 5 + len(agreement) + len(bare)
    assert set(rows) >= {*agreement, *bare}
    base = [float(cell) for cell in rows["Keras, only logits"]]
    for cells in rows.values():
        cells = [float(cell) for cell in cells]
        for start, size in ((0, 1), (3, 3)):
            ms, rate, of_base = cells[start : start + 3]
            assert 1000 * size / ms == pytest.approx(rate, rel=0.1, abs=1)
            assert of_base == pytest.approx(
                rate / base[start + 1], abs=0.02, rel=0.05
            )


@pytest.mark.skipif(BACKEND != "torch", reason="ONNX is written on PyTorch")
def test_int8_is_calibrated_and_judged_on_images(folder, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("tensorflow")
    model = FACNN(10, (32, 32, 3), (1, 1), (2, 4), space_to_depth=2)
    model.save_to_preset(tmp_path / "preset", {"class_names": NAMES})
    result = run(
        "inference",
        preset=tmp_path / "preset",
        data=folder,
        images=20,
        batch_sizes="1",
        rounds=1,
        seconds=0.001,
    )
    assert result.returncode == 0, result.output
    assert "over 20 images of test" in result.output
    agreement, rows = tables(result.output)
    name = "ONNX Runtime int8, all maps"
    _, exact, *_ = agreement["ONNX Runtime, all maps"]
    _, logits, _, correlation, same = agreement[name]
    assert name in rows
    # Rounded, and still the model.
    assert float(logits) > 2 * float(exact)
    assert 0.9 < float(correlation) < 1
    assert float(same.rstrip(" %")) > 50


def test_calibrates_with_other_images_than_it_judges(monkeypatch):
    import types

    from zoo import inference

    flags = types.SimpleNamespace(images=100)
    monkeypatch.setattr(inference, "FLAGS", flags)
    for total in (40, 164, 1000):
        images = np.arange(total)
        measured, calibration = inference.apart(images)
        assert not set(measured) & set(calibration)
        assert len(calibration) == min(64, min(total, 164) // 2)
        assert len(measured) == min(total, 164) - len(calibration)
