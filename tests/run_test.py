"""`tests/run.py` shows progress, and its exit code says whether all passed."""

import os
import subprocess
import sys
import time

import pytest

from tests import run

# It only starts other processes.
pytestmark = pytest.mark.only_on("torch")

SUITE = """
import os
import pytest

@pytest.mark.parametrize("number", range(100))
def test_number(number):
    if os.environ["KERAS_BACKEND"] == "jax":
        assert number != 5, "five"
"""


# Its child keeps the output open for longer than the test waits.
HALTS = """
import subprocess
import sys
import threading

def test_halts():
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
    threading.Event().wait(300)
"""


def run_suite(folder, *arguments, suite=SUITE, **variables):
    (folder / "some_test.py").write_text(suite)
    return subprocess.run(
        [sys.executable, run.__file__, *arguments, "-q", "some_test.py"],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )


def test_shows_progress_and_passes(tmp_path):
    ran = run_suite(tmp_path, "torch", "tensorflow", "--")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[0].startswith("=== pytest on torch, tensorflow")
    for backend in ("torch", "tensorflow"):
        mine = [line for line in lines if line[8:].startswith(backend)]
        assert mine[0].endswith("72 %")
        assert mine[-1].split(backend)[1].strip().startswith("passed: 100 ")
    assert lines[-1] == "=== PASSED on torch, tensorflow"
    assert (tmp_path / "build/tests/torch.log").exists()


def test_names_the_backend_that_failed_and_why(tmp_path):
    ran = run_suite(tmp_path, "torch", "jax", "--")
    assert ran.returncode == 1
    assert "jax         72 %, FAILURES" in ran.stdout
    assert "torch       72 %\n" in ran.stdout
    assert "AssertionError: five" in ran.stdout
    assert ran.stdout.endswith("=== FAILED on: jax\n")


def test_a_suite_that_dies_or_has_no_tests_fails(tmp_path):
    ran = run_suite(tmp_path, "torch", "--", "-k", "nothing")
    assert ran.returncode == 1
    assert "=== FAILED on: torch" in ran.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_suite_that_halts_says_where(tmp_path):
    started = time.monotonic()
    ran = run_suite(
        tmp_path, "torch", "--", suite=HALTS, KERAS_FACNN_PATIENCE="20"
    )
    assert time.monotonic() - started < 100
    assert ran.returncode == 1
    assert "FAILED: it came to a halt" in ran.stdout
    assert "in test_halts" in ran.stdout
    assert "=== FAILED on: torch" in ran.stdout


def test_shows_the_last_words_of_a_suite_that_ends_in_mid_line(tmp_path):
    dies = "import os\ndef test_dies():\n    os.write(1, b'last'); os._exit(3)"
    ran = run_suite(tmp_path, "torch", "--", "-s", suite=dies)
    assert ran.returncode == 1
    assert "torch       FAILED: last" in ran.stdout


def test_needs_a_backend():
    ran = subprocess.run(
        [sys.executable, run.__file__], capture_output=True, text=True
    )
    assert ran.returncode == 1
    assert "Name at least one backend" in ran.stderr
