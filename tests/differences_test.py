import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
# What does not depend on the backend.
pytestmark = pytest.mark.only_on("torch")


def test_prints_the_largest_difference_of_each_test(tmp_path):
    path = tmp_path / "peer_test.py"
    path.write_text(
        "import numpy as np\n"
        "def test_twice():\n"
        "    np.testing.assert_allclose([1.0, 2.0], [1.0, 2.002], rtol=0.1)\n"
        "    np.testing.assert_allclose([np.nan, 3], [np.nan, 3], rtol=0.1)\n"
        "def test_exact():\n"
        "    np.testing.assert_allclose(0.5, 0.5)\n"
        "def test_other():\n"
        "    assert True\n"
    )
    result = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "tests.differences"),
            *(f"--rootdir={tmp_path}", "--confcutdir", tmp_path, path),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "2.0e-03 3 peer_test.py::test_twice" in lines
    assert "0.0e+00 0.5 peer_test.py::test_exact" in lines
    assert "test_other" not in result.stdout
