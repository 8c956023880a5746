"""A plugin of pytest that prints how far a test's values are from its peer's.

    python -m pytest -p tests.differences tests/metrics/captum_test.py

For each test that compares arrays by `assert_allclose`, it prints the largest
difference, and the largest value of the peer.
"""

import numpy as np
import pytest

FOUND = {}


@pytest.fixture(autouse=True)
def note_differences(request, monkeypatch):
    compare = np.testing.assert_allclose

    def noted(actual, desired, *args, **kwargs):
        compare(actual, desired, *args, **kwargs)
        ours, theirs = (np.asarray(x, "float64") for x in (actual, desired))
        name = request.node.nodeid.split("/")[-1]
        FOUND.setdefault(name, []).append(
            (np.nanmax(np.abs(ours - theirs)), np.nanmax(np.abs(theirs)))
        )

    monkeypatch.setattr(np.testing, "assert_allclose", noted)


def pytest_terminal_summary(terminalreporter):
    terminalreporter.section("largest difference, largest value")
    for name, pairs in FOUND.items():
        difference, value = np.max(pairs, axis=0)
        terminalreporter.write_line(f"{difference:.1e} {value:8.3g}  {name}")
