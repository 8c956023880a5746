"""`keras-facnn presets`."""

from tests.cli.command import run


def test_lists_presets(capsys):
    assert run("presets") == 0
    out = capsys.readouterr().out
    assert "cifar10" in out
    assert "top-1 accuracy" in out
    assert "automobile; bird; cat" in " ".join(out.split())
    assert ".." not in out and "Not stated" not in out
