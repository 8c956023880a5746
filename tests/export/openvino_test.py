"""On the OpenVINO backend, what is a forward output is the same."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tests.openvino_backend import forward_outputs

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.only_on("torch")
@pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="needs openvino"
)
def test_forward_outputs_equal_those_of_torch(small_model, images, tmp_path):
    small_model.save_to_preset(tmp_path / "preset")
    np.save(tmp_path / "images.npy", images)
    ended = subprocess.run(
        [sys.executable, "-m", "tests.openvino_backend", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": "openvino"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    found = dict(np.load(tmp_path / "openvino.npz"))
    expected = forward_outputs(small_model, images)
    expected["bfloat16"] = expected["class_maps"]
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        largest = np.abs(values).max()
        assert largest > 0
        np.testing.assert_allclose(
            found[key],
            values,
            atol=(0.05 if key == "bfloat16" else 1e-4) * largest,
            err_msg=key,
        )
