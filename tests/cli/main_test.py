"""`keras-facnn`: what all commands have in common."""

import contextlib
import io
import json
import os
import re
import runpy
import signal
import subprocess
import sys

import keras
import pytest

from keras_facnn import FACNN
from keras_facnn.cli.main import COMMANDS
from tests.cli.command import ROOT
from tests.cli.command import SAMPLES
from tests.cli.command import run


def test_help_is_a_manual_page(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["keras_facnn", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("keras_facnn", run_name="__main__")
    assert ended.value.code == 0
    out = capsys.readouterr().out
    for word in (*COMMANDS, "examples:", "KERAS_BACKEND"):
        assert word in out
    assert out.startswith("usage: keras-facnn [-h] [--version] COMMAND ...\n")
    assert run("presets", "--help") == 0
    assert capsys.readouterr().out.startswith("usage: keras-facnn presets [-h]")


def test_ctrl_c_is_one_line(monkeypatch, capsys):
    def interrupted(handle):
        raise KeyboardInterrupt

    monkeypatch.setattr(FACNN, "from_preset", interrupted)
    assert run("explain", SAMPLES[0], "--no-figure") == 130
    assert capsys.readouterr().err.endswith("keras_facnn: interrupted\n")


@pytest.fixture
def interrupting(tmp_path):
    """An environment where Ctrl-C is pressed while Keras is imported.

    As code of an extension does, its import turns the exception into another.
    """
    (tmp_path / "keras.py").write_text(
        "import os, signal\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "except KeyboardInterrupt:\n"
        "    raise ImportError('init failed')\n"
    )
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    return {**os.environ, "PYTHONPATH": path}


def heeding_ctrl_c():
    """Let a child process heed Ctrl-C, which background jobs ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.only_on("torch")
@pytest.mark.parametrize("way", ["module", "script"])
def test_ctrl_c_while_keras_is_imported(way, tmp_path, interrupting):
    script = tmp_path / "keras-facnn"
    script.write_text("from keras_facnn.cli.main import main\nmain()\n")
    how = {"module": ["-m", "keras_facnn"], "script": [script]}[way]
    result = subprocess.run(
        [sys.executable, *how, "presets"],
        env=interrupting,
        preexec_fn=heeding_ctrl_c,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 130
    started, interrupted = result.stderr.splitlines()
    assert started == "Starting Keras ..."
    assert interrupted == "keras_facnn: interrupted"
    assert not result.stdout


@pytest.mark.only_on("torch")
def test_other_programs_keep_their_ctrl_c(interrupting):
    """Only the command line ends at once, not a program that imports us."""
    code = "import signal, keras_facnn; print(signal.getsignal(signal.SIGINT))"
    result = subprocess.run(
        [sys.executable, "-c", code, "-m", "keras_facnn"],
        env=interrupting,
        preexec_fn=heeding_ctrl_c,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0
    assert "default_int_handler" in result.stdout


@pytest.mark.only_on("torch")
@pytest.mark.parametrize("command", ["presets", "explain", "--help"])
def test_a_reader_that_ends_early_is_no_error(command, monkeypatch, capsys):
    read, write = os.pipe()
    os.close(read)
    arguments = [SAMPLES[0], "--no-figure"] if command == "explain" else []
    with open(write, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert run(command, *arguments) == 141
    assert "rror" not in capsys.readouterr().err


@pytest.mark.only_on("torch")
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no such device")
@pytest.mark.parametrize("command", ["presets", "explain", "--help"])
def test_says_that_the_output_cannot_be_written(command, monkeypatch, capsys):
    arguments = [SAMPLES[0], "--no-figure"] if command == "explain" else []
    with open("/dev/full", "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert run(command, *arguments) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == (
        "keras_facnn: error: The standard output cannot be written (No space "
        "left on device)"
    )


@pytest.mark.only_on("torch")
@pytest.mark.parametrize("stderr", ["closed", "full", "broken"])
def test_results_need_no_stream_of_messages(stderr, monkeypatch, capsys):
    read, write = os.pipe()
    os.close(read)
    where = {"full": "/dev/full", "broken": write}.get(stderr)
    with contextlib.ExitStack() as opened:
        file = where and opened.enter_context(open(where, "w"))
        monkeypatch.setattr(sys, "stderr", file)
        opened.callback(lambda: sys.stderr.close())
        assert run("explain", SAMPLES[0], "--no-figure") == 0
        assert run("explain", "no such picture", "--no-figure") == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(SAMPLES[0].name)


@pytest.mark.only_on("torch")
@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
def test_a_closed_stream_is_no_file_that_is_opened_next():
    """Otherwise the messages of the backends end up in that file."""
    code = """
import os, sys
sys.argv[0] = "keras-facnn"
sys.modules["keras"] = None
import keras_facnn
file = open(os.devnull)
assert file.fileno() > 2, file.fileno()
"""
    close = '"$0" -c "$1" 0<&- 1>&- 2>&-'
    command = ["sh", "-c", close, sys.executable, code]
    assert subprocess.run(command, cwd=ROOT).returncode == 0


@pytest.mark.only_on("torch")
@pytest.mark.parametrize("option", ["--class", "--preset", "--size", "--layer"])
def test_two_dashes_are_no_value(option, capsys):
    assert run("explain", SAMPLES[0], "--no-figure", f"{option}=--") == 2
    assert f"{option}=--: the option needs a value" in capsys.readouterr().err


def test_says_what_to_install_without_a_backend():
    result = subprocess.run(
        [sys.executable, "-m", "keras_facnn", "presets"],
        env={**os.environ, "KERAS_BACKEND": "no_such"},
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert result.returncode == 1
    _, line = result.stderr.splitlines()
    assert line.startswith("keras_facnn: error: ")
    assert "no_such" in line
    assert "pip install" in line


def test_every_command_says_which_backend_is_installed(tmp_path):
    """If Keras' default backend is missing, and no other is named."""
    code = """
import sys
sys.modules["tensorflow"] = None
from keras_facnn.cli.main import main
for command in (
    ["presets"],
    ["explain", "cat.jpg"],
    ["export", "cifar10", "cifar10.onnx"],
    ["verify", "cat.jpg"],
    ["demo"],
):
    assert main(command) == 1
"""
    environment = {**os.environ, "KERAS_HOME": str(tmp_path)}
    environment.pop("KERAS_BACKEND", None)
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    lines = result.stderr.splitlines()
    assert len(lines) == 5, result.stderr
    for line in lines:
        assert line.startswith("keras_facnn: error: ")
        assert "tensorflow" in line
        assert re.search("set KERAS_BACKEND=(jax|torch), which is inst", line)
        assert "pip install '.[jax]'" in line


@pytest.mark.only_on("torch")
def test_prints_names_that_the_terminal_cannot(
    tmp_path, photos, preset, monkeypatch
):
    path = tmp_path / "\u00fcn\u00ef.png"
    os.rename(photos[0], path)
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "ascii"))
    options = ["--preset", preset, "--size", 16, "--top", 4, "--no-figure"]
    assert run("explain", path, *options) == 0
    sys.stdout.flush()
    assert b"\\xfcn\\xef.png" in raw.getvalue()
    assert b"\\u72d7" in raw.getvalue()


@pytest.fixture
def without_keras(tmp_path):
    """Return a function that runs a command where importing Keras exits 7."""
    (tmp_path / "keras.py").write_text("raise SystemExit(7)")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])

    def run_command(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "keras_facnn", *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )

    return run_command


@pytest.mark.only_on("torch")
def test_keras_starts_only_for_a_command_that_is_right(without_keras):
    """Its import takes seconds, and comes before all else."""
    ended = without_keras("presets")
    assert ended.returncode == 7 and ended.stderr == "Starting Keras ...\n"
    for arguments in (["--help"], ["--version"], ["audit", "--help"]):
        ended = without_keras(*arguments)
        assert ended.returncode == 0 and not ended.stderr
    ended = without_keras("audit", "--no-such-option")
    assert ended.returncode == 2
    assert "Starting Keras" not in ended.stderr
    assert "unrecognized arguments: --no-such-option" in ended.stderr


@pytest.mark.only_on("torch")
@pytest.mark.parametrize("level", [None, "3", "0"])
def test_a_backend_that_starts_says_only_what_is_wrong(level, tmp_path):
    """TensorFlow writes notes of no use to standard error, below Python."""
    (tmp_path / "keras.py").write_text(
        "import os, sys\n"
        f"assert os.environ['TF_CPP_MIN_LOG_LEVEL'] == '{level or 3}'\n"
        "def write(text):\n"
        "    os.write(2, text.encode() + b'\\n')\n"
        "write('WARNING: All log messages before absl::InitializeLog() is')\n"
        "write('I0000 00:00:17.570024    4606 port.cc:153] oneDNN is on')\n"
        "write('F0000 00:00:17.570024    4606 cpu.cc:9] needs AVX')\n"
        "print('a note of mine', file=sys.stderr)\n"
        "os.abort()\n"
    )
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    if level is not None:
        environment["TF_CPP_MIN_LOG_LEVEL"] = level
    ended = subprocess.run(
        [sys.executable, "-m", "keras_facnn", "presets"],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert ended.returncode == -signal.SIGABRT
    wanted = level == "0"
    assert ("oneDNN" in ended.stderr) == ("absl" in ended.stderr) == wanted
    assert "needs AVX" in ended.stderr and "\na note of mine" in ended.stderr


def test_says_what_takes_long_wherever_it_runs(preset, photos, capsys):
    arguments = ["explain", photos[0], "--preset", preset, "--size", 16]
    assert run(*arguments, "--no-figure", "--json") == 0
    out, err = capsys.readouterr()
    assert isinstance(json.loads(out), list)
    line = err.splitlines()[0]
    assert line.startswith(f"Loading {preset} on {keras.backend.backend()};")
