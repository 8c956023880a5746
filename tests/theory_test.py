"""The page of proofs names tests that exist."""

import pathlib
import re

ROOT = pathlib.Path(__file__).parents[1]


def test_every_test_that_it_names_exists():
    text = (ROOT / "docs" / "theory.md").read_text("utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)?(?:::(\w+))?`", text)
    named = [pair for pair in named if any(pair)]
    assert len(named) > 8
    path = None
    for file, test in named:
        path = file or path
        code = (ROOT / path).read_text("utf-8")
        assert not test or f"def {test}(" in code, (path, test)
