import pytest


@pytest.fixture(autouse=True)
def small_default(monkeypatch):
    """Let commands without `--preset` load a model that is fast."""
    monkeypatch.setattr("keras_facnn.cli.inputs._DEFAULT_PRESET", "cifar10")
