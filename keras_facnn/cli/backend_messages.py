"""Leave out what TensorFlow says of itself when it starts."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

# TensorFlow's name for it. Its errors are raised in Python, too.
_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_ERRORS_THAT_END_THE_PROCESS = "3"
# Before TensorFlow knows that level, it writes lines such as "I0000 00:00:17
# 42 port.cc:153] oneDNN custom operations are on", and a headline for them.
_FILTER = """
import re, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
chatter = re.compile(
    rb"[IW][0-9]{4} [0-9:. ]+ [^ ]+:[0-9]+\\] "
    rb"|WARNING: All log messages before absl::InitializeLog"
)
for line in sys.stdin.buffer:
    if not chatter.match(line):
        sys.stderr.buffer.write(line)
        sys.stderr.flush()
"""


@contextlib.contextmanager
def hide_chatter() -> Iterator[None]:
    """Leave out notes of TensorFlow about itself; errors are still shown.

    What is written to standard error goes through another process, which also
    shows the last words of a process that crashes. With
    `TF_CPP_MIN_LOG_LEVEL=0`, all that TensorFlow says is shown.
    """
    level = os.environ.setdefault(_LEVEL, _ERRORS_THAT_END_THE_PROCESS)
    if level != _ERRORS_THAT_END_THE_PROCESS:
        yield
        return
    try:
        sys.stderr.flush()
        shown = os.dup(2)
        reader = subprocess.Popen(
            [sys.executable, "-ISc", _FILTER], stdin=subprocess.PIPE
        )
    except OSError:
        # Without it, there is more to read, and nothing is lost.
        yield
        return
    assert reader.stdin is not None
    os.dup2(reader.stdin.fileno(), 2)
    reader.stdin.close()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            sys.stderr.flush()
        os.dup2(shown, 2)
        os.close(shown)
        with contextlib.suppress(subprocess.TimeoutExpired):
            # It ends with the last process that writes to it.
            reader.wait(timeout=5)
