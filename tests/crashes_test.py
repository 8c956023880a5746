"""A process that crashes reports the test."""

import pathlib
import signal
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
CRASH = """
import ctypes

import keras


def test_that_crashes():
    keras.ops.exp(1.0)
    ctypes.string_at(0)
"""


def test_a_crash_of_the_suite_names_its_test(tmp_path):
    """This holds with the settings and the libraries of the suite."""
    path = tmp_path / "crash_test.py"
    path.write_text(CRASH, "utf-8")
    settings = ["-c", ROOT / "pyproject.toml", "-p", "tests.conftest"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *settings, path],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == -signal.SIGSEGV
    assert "Segmentation fault" in run.stderr
    assert 'crash_test.py", line 9 in test_that_crashes' in run.stderr


def test_a_crash_of_a_process_that_a_test_starts_names_its_line():
    code = "import ctypes\ndef crash():\n ctypes.string_at(0)\ncrash()"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert run.returncode == -signal.SIGSEGV
    assert 'File "<string>", line 4 in <module>' in run.stderr
