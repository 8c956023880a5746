import keras
import numpy as np
import pytest
from keras import ops

from keras_facnn.layers import GlobalAvgPool3DHead
from tests.layers.layer_checks import run_layer_checks


def test_behaves_as_a_layer():
    layer = run_layer_checks(
        lambda **kwargs: GlobalAvgPool3DHead(5, 3, **kwargs),
        (2, 4, 6, 15),
        (2, 5),
    )
    assert [w.name for w in layer.weights] == ["log_scale"]


def test_equals_3d_pooling_of_each_class(rng):
    maps = rng.normal(size=(2, 4, 6, 15)).astype("float32")
    head = GlobalAvgPool3DHead(5, 3, initial_scale=2.5)
    # Keras' 3D pooling averages (height, width, maps) of one class at a time.
    pool = keras.layers.GlobalAveragePooling3D(data_format="channels_last")
    expected = [
        2.5 * ops.convert_to_numpy(pool(maps[..., 3 * c : 3 * c + 3, None]))
        for c in range(5)
    ]
    out = ops.convert_to_numpy(head(maps))
    np.testing.assert_allclose(out, np.concatenate(expected, 1), rtol=1e-5)


def test_pre_logits_are_logits_without_the_scale(rng):
    maps = rng.uniform(size=(2, 4, 6, 15)).astype("float32")
    head = GlobalAvgPool3DHead(5, 3, initial_scale=2.5)
    logits = ops.convert_to_numpy(head(maps))
    pre_logits = ops.convert_to_numpy(head.pre_logits(maps))
    np.testing.assert_allclose(pre_logits, logits / 2.5, rtol=1e-5)


def test_averages_in_float32_under_mixed_precision():
    # In bfloat16, 256 + 1 is 256.
    maps = np.full((1, 32, 32, 2), 1.0, "float32")
    maps[:, 0, 0] = 256.0
    head = GlobalAvgPool3DHead(2, 1, initial_scale=1.0, dtype="mixed_bfloat16")
    out = head(maps)
    assert keras.backend.standardize_dtype(out.dtype) == "float32"
    np.testing.assert_allclose(
        ops.convert_to_numpy(out), maps.mean((1, 2)), rtol=1e-6
    )


def test_scale_stays_positive():
    head = GlobalAvgPool3DHead(2, 1)
    head.build((None, 4, 4, 2))
    head.log_scale.assign(-50.0)
    assert ops.convert_to_numpy(head.scale) > 0


def test_refuses_other_channels():
    with pytest.raises(ValueError, match=r"width, 6\).*Received"):
        GlobalAvgPool3DHead(3, 2)(np.zeros((1, 4, 4, 5), "float32"))


@pytest.mark.parametrize("scale", [0, -1.0, float("inf"), "1", True])
def test_refuses_bad_scales(scale):
    with pytest.raises(ValueError, match="`initial_scale` must be .*Received"):
        GlobalAvgPool3DHead(3, 2, initial_scale=scale)


@pytest.mark.parametrize("maps_per_class", [1, 2, 4])
def test_logits_in_a_graph_follow_the_scale(rng, tmp_path, maps_per_class):
    """This holds for maps of any layer, in a graph and in its saved copy."""
    head = GlobalAvgPool3DHead(3, 2, initial_scale=1.0)
    head.build((None, 4, 4, 6))
    inputs = keras.Input((4, 4, 3 * maps_per_class))
    model = keras.Model(inputs, head.logits(inputs))
    maps = rng.uniform(size=(2, 4, 4, 3 * maps_per_class)).astype("float32")
    pre_logits = maps.reshape(2, 16, 3, -1).mean((1, 3))
    for scale in (1.0, 3.0):
        head.log_scale.assign(np.log(scale))
        model.save(tmp_path / "model.keras")
        for one in (
            model,
            keras.saving.load_model(tmp_path / "model.keras"),
        ):
            np.testing.assert_allclose(
                one.predict(maps, verbose=0), scale * pre_logits, rtol=1e-5
            )
    assert any(v is head.log_scale for v in model.trainable_variables)
