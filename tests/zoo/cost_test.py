import subprocess

import pytest

from tests.zoo.conftest import ROOT
from tests.zoo.conftest import command
from tests.zoo.conftest import run
from zoo import inputs
from zoo import networks
from zoo.counts import multiply_adds

pytestmark = pytest.mark.only_on("torch")


@pytest.mark.parametrize(
    "flags, message",
    [
        ({"recipe": "nope"}, "cifar10|"),
        ({"recipe": "smoke", "devices": 7}, "must divide the 128 images"),
    ],
)
def test_refuses_bad_flags_before_it_builds(monkeypatch, flags, message):
    monkeypatch.delattr(networks, "facnn")
    result = run("cost", **flags)
    assert result.returncode != 0
    assert message in result.output
    assert "Traceback" not in result.output


def test_a_bad_flag_is_no_traceback():
    """In a process, as a user sees it."""
    result = subprocess.run(
        command("cost", recipe="smoke", devices=7),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    assert "must divide the 128 images" in result.stdout + result.stderr


def test_says_what_a_recipe_costs():
    result = run("cost", recipe="smoke", devices=2)
    assert result.returncode == 0
    model = networks.facnn(
        inputs.load_recipe("smoke").stages[0].model.arguments()
    )
    parameters, forward, step, memory = result.output.splitlines()
    assert parameters == f"{model.count_params() / 1e6:.2f} M parameters"
    millions = round(multiply_adds(model) / 1e6)
    assert forward.startswith(f"{millions} M multiply-adds per image")
    assert "per step of 128" in step
    assert "64 images each" in memory
