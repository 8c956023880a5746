import numpy as np
import pytest
from keras import ops

from keras_facnn.layers import DampenedSkip
from tests.layers.layer_checks import run_layer_checks


def test_behaves_as_a_layer():
    run_layer_checks(
        lambda **kwargs: DampenedSkip(alpha=0.3, **kwargs),
        [(2, 4, 4, 3), (2, 4, 4, 3)],
        (2, 4, 4, 3),
    )


def test_behaves_as_a_layer_with_stochastic_depth():
    run_layer_checks(
        lambda **kwargs: DampenedSkip(alpha=0.3, drop_rate=0.2, **kwargs),
        [(2, 4, 4, 3), (2, 4, 4, 3)],
        (2, 4, 4, 3),
    )


def test_is_the_convex_sum_channel_by_channel(rng):
    skip, branch = rng.normal(size=(2, 3, 4, 5, 6)).astype("float32")
    out = ops.convert_to_numpy(DampenedSkip(alpha=0.2)([skip, branch]))
    np.testing.assert_allclose(out, 0.8 * skip + 0.2 * branch, rtol=1e-5)


@pytest.mark.parametrize("alpha", [0, 1, -0.1, 1.5, "0.5", None, True])
def test_refuses_alpha_out_of_range(alpha):
    with pytest.raises(ValueError, match=r"`alpha` must be .*Received"):
        DampenedSkip(alpha=alpha)


@pytest.mark.parametrize(
    "shapes",
    [
        [(2, 4, 4, 3)],
        [(2, 4, 4, 3), (2, 4, 4, 6)],
        [(2, 4, 4, 3), (2, 4, 3)],
        [(2, 4, 4, 3)] * 3,
    ],
)
def test_refuses_inputs_that_do_not_match(shapes):
    with pytest.raises(ValueError, match="Received"):
        DampenedSkip(alpha=0.5)([np.zeros(s, "float32") for s in shapes])


def test_refuses_a_single_tensor():
    with pytest.raises(ValueError, match="list of two tensors"):
        DampenedSkip(alpha=0.5)(np.zeros((2, 4, 4, 3), "float32"))


def test_stochastic_depth_drops_branches_and_keeps_the_mean(rng):
    skip = rng.uniform(size=(4000, 1, 1, 2)).astype("float32")
    branch = rng.uniform(size=(4000, 1, 1, 2)).astype("float32")
    layer = DampenedSkip(alpha=0.2, drop_rate=0.5)
    out = ops.convert_to_numpy(layer([skip, branch], training=True))
    dropped = (out == skip).all(axis=(1, 2, 3))
    assert 0.45 < dropped.mean() < 0.55
    np.testing.assert_allclose(
        out[~dropped], (0.6 * skip + 0.4 * branch)[~dropped], rtol=1e-5
    )
    expected = 0.8 * skip + 0.2 * branch
    assert abs((out - expected).mean()) < 0.01
    inference = ops.convert_to_numpy(layer([skip, branch]))
    np.testing.assert_allclose(inference, expected, rtol=1e-5)


@pytest.mark.parametrize("drop_rate", [-0.1, 0.8, 1, "0.1", None, True])
def test_refuses_drop_rate_out_of_range(drop_rate):
    with pytest.raises(ValueError, match=r"`drop_rate` must be .*Received"):
        DampenedSkip(alpha=0.2, drop_rate=drop_rate)


def test_alpha_can_be_set():
    layer = DampenedSkip(alpha=0.2, drop_rate=0.5)
    layer.alpha = 0.4
    assert layer.alpha == layer.branch_weight == layer.get_config()["alpha"]
    assert float(layer([np.ones((1, 2)), np.zeros((1, 2))])[0, 0]) == (
        pytest.approx(0.6)
    )
    for wrong, message in ((1.5, "between 0 and 1"), (0.5, "1 - drop_rate")):
        with pytest.raises(ValueError, match=f"`alpha` must be .*{message}"):
            layer.alpha = wrong
    assert layer.alpha == 0.4


def test_alpha_that_is_folded_can_not_be_set():
    layer = DampenedSkip(alpha=0.2, folded=True)
    with pytest.raises(ValueError, match="fused model.*Received: alpha=0.3"):
        layer.alpha = 0.3
