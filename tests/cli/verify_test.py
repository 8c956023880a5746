"""`keras-facnn verify`."""

import re

from keras_facnn import FACNN
from tests.cli.command import SAMPLES
from tests.cli.command import run


def test_verifies(capsys):
    assert run("verify", *SAMPLES) == 0
    assert "theorem_1_correlation" in capsys.readouterr().out


def test_verify_fails_when_the_maps_are_not_the_explanation(
    capsys, monkeypatch
):
    broken = {"theorem_1_correlation": 0.9, "completeness_error": 1e-7}
    monkeypatch.setattr(FACNN, "verify", lambda self, images: broken)
    assert run("verify", *SAMPLES) == 1
    assert "not exactly" in capsys.readouterr().err


def test_verifies_a_picture_on_which_no_map_varies(preset, photos, capsys):
    """A map of one pixel has no correlation, which is not an error."""
    options = ["--preset", preset, "--size", 4]
    assert run("verify", photos[0], *options) == 0
    out, err = capsys.readouterr()
    assert len(err.splitlines()) == 1
    assert re.search("theorem_1_correlation +no map varies", out)
