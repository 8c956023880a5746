"""Show how far work is: a line that is replaced, or a line now and then."""

import sys
import time
from typing import TextIO

# In a terminal, the line is replaced at most so often.
_TERMINAL_SECONDS = 0.1
# Elsewhere, such as in the log of a CI run, there is a new line so often.
_LOG_SECONDS = 30.0


class Progress:
    """Count what is done of some work.

    In a terminal and in a notebook, one line is replaced again and again.
    Elsewhere, work of less than half a minute prints nothing, and longer work
    a line every half minute.

    Args:
        total: How many there are, or 0 if that is not known.
        unit: What is counted, in the singular.
        shown: Whether to print anything.
    """

    def __init__(self, total: int, unit: str, shown: bool = True) -> None:
        self.total = total
        self.unit = unit
        self.shown = shown
        self.done = 0
        self._first = 0
        self._start = time.monotonic()
        self._last = self._start - _TERMINAL_SECONDS
        # Whether a line is there that has no end yet.
        self._open = False
        self._printed = False
        # The first part may take long.
        self.add(0)

    def update(self, done: int) -> None:
        """Say how many were done before, and are not to be waited for."""
        self._first = done
        self.add(done - self.done)

    def add(self, count: int, note: str = "") -> None:
        """Say that so many more are done.

        Args:
            count: How many.
            note: What to add to the line, such as how many failed.
        """
        self.done += count
        if not self.shown:
            return
        now = time.monotonic()
        ended = 0 < self.total <= self.done
        replaced = _is_replaced(_stream())
        wait = _TERMINAL_SECONDS if replaced else _LOG_SECONDS
        # The end is said where something was said before, or can be seen.
        if now - self._last < wait and not (
            ended and (replaced or self._printed)
        ):
            return
        self._last, self._printed = now, True
        text = self._text(now - self._start, ended, note)
        if replaced:
            # Erase the rest of the line before.
            _write(f"\r{text}\x1b[K")
            self._open = True
        else:
            _write(f"{text}\n")
        if ended:
            self.close()

    def close(self) -> None:
        """Begin a new line, if one has no end yet."""
        if self._open:
            _write("\n")
            self._open = False

    def _text(self, seconds: float, ended: bool, note: str) -> str:
        of = f" of {self.total:,}" if self.total else ""
        counted = self.total or self.done
        text = f"{self.done:,}{of} {self.unit}{'s' * (counted != 1)}{note}"
        new = self.done - self._first
        if not new:
            return text
        if ended:
            return f"{text}, in {_duration(seconds)}"
        rate = new / max(seconds, 1e-3)
        text += (
            f", {rate:,.0f} per second"
            if rate >= 10
            else (f", {rate:.2g} per second")
        )
        if self.total:
            text += f", {_duration((self.total - self.done) / rate)} left"
        return text


def say_stage(text: str, shown: bool = True) -> None:
    """Print what is being done now, as a line of its own."""
    if shown:
        _write(f"{text}\n")


def shows_bars() -> bool:
    """Whether the bars of Keras, on standard output, are replaced, too."""
    return _is_replaced(sys.stdout)


def _stream() -> TextIO:
    """Return where progress is shown: never where results are.

    A notebook shows standard error in red, as if something were wrong.
    """
    return sys.stdout if "ipykernel" in sys.modules else sys.stderr


def _is_replaced(stream: TextIO) -> bool:
    """Whether a line can be replaced there."""
    return stream.isatty() or "ipykernel" in sys.modules


def _write(text: str) -> None:
    # Work does not fail because nobody can see how far it is.
    try:
        _stream().write(text)
        _stream().flush()
    except (OSError, ValueError):
        pass


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
