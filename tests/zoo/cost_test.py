import subprocess

import keras
import pytest

from tests.zoo.conftest import ROOT
from tests.zoo.conftest import command
from tests.zoo.conftest import run
from zoo import inputs
from zoo import networks
from zoo.cost import multiply_adds

pytestmark = pytest.mark.only_on("torch")


@pytest.mark.parametrize(
    "name, published",
    # He et al., arXiv 1512.03385, table 1; Simonyan and Zisserman,
    # arXiv 1409.1556, as counted by https://github.com/albanie/convnet-burden.
    [("ResNet50", 3.8e9), ("VGG16", 15.5e9)],
)
def test_agrees_with_published_counts(unset_kernels, name, published):
    model = getattr(keras.applications, name)(weights=None)
    assert multiply_adds(model) == pytest.approx(published, rel=0.02)


def test_counts_a_closed_form():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(5, 3, strides=2, padding="same"),
            keras.layers.Conv2D(4, 3, use_bias=False),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(7),
        ]
    )
    own = 4 * 4 * 27 * 5 + 2 * 2 * 45 * 4 + 4 * 7
    assert multiply_adds(model) == own
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.DepthwiseConv2D(5, 2, "same")(inputs)
    nested = keras.Model(inputs, model(x))
    assert multiply_adds(nested) == own + 8 * 8 * 25 * 3


@pytest.mark.parametrize(
    "flags, message",
    [
        ({"config": "nope"}, "cifar10|"),
        ({"config": "smoke", "devices": 7}, "must divide the 128 images"),
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
        command("cost", config="smoke", devices=7),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    assert "must divide the 128 images" in result.stdout + result.stderr


def test_says_what_a_recipe_costs():
    result = run("cost", config="smoke", devices=2)
    assert result.returncode == 0
    model = networks.facnn(inputs.read_config("smoke").model.arguments())
    parameters, forward, step, memory = result.output.splitlines()
    assert parameters == f"{model.count_params() / 1e6:.2f} M parameters"
    millions = round(multiply_adds(model) / 1e6)
    assert forward.startswith(f"{millions} M multiply-adds an image")
    assert "a step of 128" in step
    assert "64 images each" in memory
