"""Run the suite on several backends side by side, and show how far each is.

    python tests/run.py tensorflow jax torch -- tests/layers -k stem

runs `pytest tests/layers -k stem` once per backend. Each prints a line per ten
percent of its tests, at the first failure, and at its end. The output of pytest
goes to `build/tests/BACKEND.log`, and is printed where tests failed. A suite
that came to a halt is ended, and its log says where each thread was. The exit
code is 0 if all passed on all backends.
"""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

LOGS = pathlib.Path("build", "tests")
# A line of `pytest -q`, such as "..s..F.. [ 12%]".
PROGRESS = re.compile(r"^([.FEsxX]+) *\[ *(\d+)%\]$")
STEP = 10
# Each test has a limit of 900 seconds, which can't end a thread, nor code that
# is not Python's. A suite that prints nothing for longer has come to a halt.
PATIENCE = float(os.environ.get("KERAS_FACNN_PATIENCE", 1200))


def show(started: float, backend: str, text: str) -> None:
    minutes, seconds = divmod(int(time.monotonic() - started), 60)
    line = f"{minutes:3d}:{seconds:02d}  {backend:10}  {text}\n"
    # In one piece: other threads show lines, too.
    print(line, end="", flush=True)


class Halted(Exception):
    """A suite came to a halt, and was ended."""


def lines(process: subprocess.Popen, backend: str) -> Iterator[str]:
    """Yield what `process` prints until it ends, or raise `Halted`."""
    grew, rest, running = time.monotonic(), "", True
    # Not a pipe: a child that outlives the suite would keep that open.
    with open(log_of(backend), encoding="utf-8", errors="replace") as log:
        while running:
            running = process.poll() is None
            if text := log.read():
                grew = time.monotonic()
                *whole, rest = (rest + text).split("\n")
                yield from whole
            elif running and time.monotonic() - grew > PATIENCE:
                # Python shows where each of its threads is, and ends.
                process.send_signal(signal.SIGABRT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(60)
                process.kill()
                raise Halted
            time.sleep(0.2 * running)
    yield rest


def follow(process: subprocess.Popen, backend: str, started: float) -> None:
    """Show the progress of `process` until it ends."""
    shown, failed, last = 0, "", ""
    try:
        for line in map(str.strip, lines(process, backend)):
            last = line or last
            if not (found := PROGRESS.match(line)):
                continue
            percent = int(found[2])
            fails = not failed and set("FE") & set(found[1])
            if fails:
                failed = ", FAILURES"
            if fails or percent // STEP > shown // STEP:
                shown = percent
                show(started, backend, f"{percent} %{failed}")
    except Halted:
        last = "it came to a halt"
    code = process.wait()
    show(started, backend, f"{'FAILED' if code else 'passed'}: {last}")


def log_of(backend: str) -> pathlib.Path:
    return LOGS / f"{backend}.log"


def start(backend: str, arguments: list[str]) -> subprocess.Popen:
    with open(log_of(backend), "wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", "--color=no", *arguments],
            env={
                **os.environ,
                "KERAS_BACKEND": backend,
                "PYTHONUNBUFFERED": "1",
                "PYTHONFAULTHANDLER": "1",
            },
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def main(backends: list[str], arguments: list[str]) -> int:
    LOGS.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    names = ", ".join(backends)
    print(f"=== pytest on {names}; logs in {LOGS}", flush=True)
    processes = {backend: start(backend, arguments) for backend in backends}
    threads = [
        threading.Thread(target=follow, args=(process, backend, started))
        for backend, process in processes.items()
    ]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        for process in processes.values():
            process.terminate()
        return 130
    failed = [b for b, process in processes.items() if process.returncode]
    for backend in failed:
        print(f"=== {backend}")
        print(log_of(backend).read_text("utf-8", "replace"))
    if failed:
        print(f"=== FAILED on: {', '.join(failed)}")
    else:
        print(f"=== PASSED on {names}")
    return int(bool(failed))


if __name__ == "__main__":
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    if split == 1:
        sys.exit("Name at least one backend: tensorflow, jax or torch.")
    sys.exit(main(sys.argv[1:split], sys.argv[split + 1 :]))
