"""Run the suite on several backends side by side, and show how far each is.

    python tests/run.py tensorflow jax torch -- tests/layers -k stem

runs `pytest tests/layers -k stem` once per backend. Each prints a line per ten
percent of its tests, at the first failure, and at its end. The output of pytest
goes to `build/tests/BACKEND.log`, and is printed where tests failed. The exit
code is 0 if all passed on all backends.
"""

import os
import pathlib
import re
import subprocess
import sys
import threading
import time

LOGS = pathlib.Path("build", "tests")
# A line of `pytest -q`, such as "..s..F.. [ 12%]".
PROGRESS = re.compile(r"^([.FEsxX]+) *\[ *(\d+)%\]$")
STEP = 10


def show(started: float, backend: str, text: str) -> None:
    minutes, seconds = divmod(int(time.monotonic() - started), 60)
    print(f"{minutes:3d}:{seconds:02d}  {backend:10}  {text}", flush=True)


def follow(process: subprocess.Popen, backend: str, started: float) -> None:
    """Log what `process` prints, and show its progress until it ends."""
    shown, failed, last = 0, False, ""
    with open(LOGS / f"{backend}.log", "w", encoding="utf-8") as log:
        for line in process.stdout:
            log.write(line)
            log.flush()
            last = line.strip() or last
            if not (found := PROGRESS.match(line.strip())):
                continue
            percent = int(found[2])
            fails = not failed and bool(set("FE") & set(found[1]))
            failed = failed or fails
            if fails or percent // STEP > shown // STEP:
                shown = percent
                show(started, backend, f"{percent} %" + ", FAILURES" * failed)
    code = process.wait()
    show(started, backend, f"{'FAILED' if code else 'passed'}: {last}")


def start(backend: str, arguments: list[str]) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "--color=no", *arguments],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
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
        print((LOGS / f"{backend}.log").read_text("utf-8"))
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
