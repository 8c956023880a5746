import importlib.util
import os
import subprocess
import sys

import pytest

from tests.zoo.conftest import ROOT

pytestmark = [pytest.mark.only_on("torch"), pytest.mark.posix]


@pytest.mark.skipif(
    importlib.util.find_spec("prometheus_client") is None,
    reason="needs prometheus_client",
)
def test_loads_a_server_and_counts_what_is_wrong(tmp_path):
    pytest.importorskip("onnxruntime")
    from tests.serving import tiny_model

    tiny_model.write(tmp_path / "tiny.onnx")
    server = subprocess.Popen(
        [sys.executable, "-m", "keras_facnn", "serve"]
        + [str(tmp_path / "tiny.onnx"), "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        port = server.stdout.readline().split(":")[2].split()[0]
        load = subprocess.run(
            [sys.executable, "-m", "zoo.load", f"--pid={server.pid}"]
            + [f"--port={port}", "--name=tiny", "--clients=4", "--seconds=4"]
            + ["--turn=1", "--hostile=0.3"]
            + [f"--pictures={ROOT / 'samples' / 'clothing'}"],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, "KERAS_FACNN_SKIPS_KERAS": "1"},
            check=True,
        )
    finally:
        server.terminate()
        server.wait(60)
        server.stdout.close()
    lines = load.stdout.splitlines()
    assert "wrong answers: 0 []" in lines
    assert "99th percentile, with maps / without: " in load.stdout
    hostile = [line for line in lines if line.startswith("hostile, ")]
    assert hostile
    # None of them gets a result, and the server does not fail.
    assert not [line for line in hostile if ": 2" in line or ": 5" in line]
