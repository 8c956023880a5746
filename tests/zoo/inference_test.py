import keras
import pytest

from keras_facnn import FACNN
from tests.zoo.conftest import run


def test_times_each_way_beside_predict(tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("openvino")
    model = FACNN(4, (16, 16, 3), (1, 1), (1, 2), space_to_depth=2)
    model.save_to_preset(tmp_path / "preset")
    result = run(
        "inference",
        preset=tmp_path / "preset",
        batch_sizes="1,3",
        rounds=2,
        seconds=0.01,
    )
    assert result.returncode == 0, result.output
    rows = {
        cells[0]: [float(cell) for cell in cells[1:]]
        for cells in (
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in result.output.splitlines()
            if line.startswith("| ") and not line.startswith("| way")
        )
    }
    files = {"torch": 4, "tensorflow": 1}.get(keras.backend.backend(), 0)
    assert len(rows) == 5 + files
    for one, of_one, three, of_three in rows.values():
        assert min(one, three) > 0
        base = rows["Keras, logits alone"]
        assert of_one == pytest.approx(one / base[0], abs=0.02, rel=0.05)
        assert of_three == pytest.approx(three / base[2], abs=0.02, rel=0.05)
