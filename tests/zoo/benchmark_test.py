import pytest

from keras_facnn import FACNN
from tests.zoo.conftest import run
from zoo.benchmark import convolutions
from zoo.counts import multiply_adds
from zoo.recipes import cifar10
from zoo.recipes import smoke

pytestmark = pytest.mark.only_on("torch")


@pytest.mark.parametrize("module", [smoke, cifar10])
@pytest.mark.parametrize("padding", ["zeros", "edge"])
@pytest.mark.parametrize("branch_depth", [1, 2])
def test_the_bare_stack_has_the_convolutions_of_the_model(
    module, padding, branch_depth
):
    shape = module.recipe.stages[-1].model.arguments()
    shape |= {"padding": padding, "branch_depth": branch_depth}
    kernels = [
        sorted(tuple(v.shape) for v in model.weights if len(v.shape) == 4)
        for model in (convolutions(shape), FACNN(**shape))
    ]
    assert kernels[0] == kernels[1]
    assert multiply_adds(convolutions(shape)) == multiply_adds(FACNN(**shape))


def test_a_recipe_with_a_backbone_is_refused():
    result = run("benchmark", recipe="clothing")
    assert result.returncode == 1
    assert "--recipe must be of an FA-CNN that sees pixels" in result.output
    assert "Received: --recipe clothing" in result.output


def test_compares_with_the_bare_stack():
    result = run(
        "benchmark",
        recipe="smoke",
        batch_size=4,
        rounds=1,
        steps=1,
        jit_compile="false",
    )
    assert result.returncode == 0, result.output
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in result.output.splitlines()
        if line.startswith("|")
    ][2:]
    assert len(rows) == 5
    assert rows[0][2] == "1.00"
    assert all(float(rate) > 0 for _, rate, _ in rows)


def test_compares_steps_with_and_without_a_region_penalty():
    result = run(
        "benchmark",
        "--regions",
        recipe="smoke",
        batch_size=4,
        rounds=1,
        steps=1,
        jit_compile="false",
    )
    assert result.returncode == 0, result.output
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in result.output.splitlines()
        if line.startswith(("| wall", "| CPU"))
    ]
    assert len(rows) == 2
    assert all(float(ratio) > 0 for _, _, ratio, _ in rows)
