import pytest

from tests.zoo.conftest import run

pytestmark = [pytest.mark.only_on("torch"), pytest.mark.posix]


def test_compares_batch_with_a_bare_session(tmp_path):
    pytest.importorskip("ray")
    pytest.importorskip("onnxruntime")
    from PIL import Image

    from tests.serving import tiny_model

    tiny_model.write(tmp_path / "tiny.onnx")
    for i in range(96):
        Image.new("RGB", (40, 40), (2 * i, 9, 9)).save(tmp_path / f"{i}.png")
    result = run(
        "throughput",
        model=tmp_path / "tiny.onnx",
        pictures=tmp_path,
        output=tmp_path / "rows",
        limit=80,
        sample=64,
    )
    assert result.returncode == 0, result.output
    assert "'pictures': 80" in result.output
    assert "ratio: " in result.output
