import keras
import numpy as np
import pytest

from keras_facnn import FACNN
from keras_facnn.attribution import cam
from keras_facnn.layers import ClasswiseConv2D
from zoo.networks import build as build_network
from zoo.networks import facnn
from zoo.networks import freeze
from zoo.networks import pooled
from zoo.recipes import clothing
from zoo.recipes import imagenette

pytestmark = pytest.mark.only_on("torch")


def test_a_hybrid_goes_on_from_a_preset_with_some_layers_frozen(tmp_path):
    """The two stages of `clothing`, at 32x32."""
    head, tuned = clothing.recipe.stages
    arguments = {**head.model.arguments(), "image_shape": (32, 32, 3)}
    first = facnn(arguments, pretrained=False)
    freeze(first, head.freeze_backbone)
    assert not first.backbone.trainable_variables
    assert first.get_layer("conv_1").trainable_variables
    first.save_to_preset(tmp_path / "first")

    second = build_network("facnn", arguments, tmp_path / "first")
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    freeze(second, tuned.freeze_backbone)
    trained = {v.path for v in second.backbone.trainable_variables}
    assert trained and not any("norm" in path for path in trained)
    with pytest.raises(ValueError, match="must be facnn or pooled"):
        build_network("resnet", arguments)
    with pytest.raises(ValueError, match="for one without"):
        build_network(
            "pooled", {k: v for k, v in arguments.items() if k != "backbone"}
        )


def test_the_usual_head_on_a_backbone_alone_is_trained(tmp_path, rng):
    """Its logits are those of the averaged maps, and CAM sums to them."""
    arguments = {
        **imagenette.recipe.stage("lite0").model.arguments(),
        "image_shape": (64, 64, 3),
    }
    model = pooled(arguments, pretrained=False)
    freeze(model, ".*")
    kernel, bias = model.layers[-1].get_weights()
    assert [tuple(v.shape) for v in model.trainable_variables] == [
        kernel.shape,
        bias.shape,
    ]
    images = rng.uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    logits = model.predict(images, verbose=0)
    backbone = keras.Model(model.input, model.layers[-3].output)
    maps = backbone.predict(images, verbose=0)
    np.testing.assert_allclose(
        maps.mean((1, 2)) @ kernel + bias, logits, atol=1e-5
    )
    cams = cam(model, images, [3, 5])
    assert cams.shape == (2, 2, 2)
    np.testing.assert_allclose(
        cams.mean((1, 2)), logits[[0, 1], [3, 5]] - bias[[3, 5]], atol=1e-5
    )

    model.save(tmp_path / "model.keras")
    again = build_network("pooled", arguments, tmp_path / "model.keras")
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_class_wise_layers_start_from_what_dense_ones_give_the_own_maps(
    tmp_path, rng
):
    """A dense model whose late kernels are 0 between classes stays itself."""
    arguments = {
        "num_classes": 3,
        "image_shape": (16, 16, 3),
        "depths": (1, 2),
        "maps_per_class": (2, 4),
    }
    dense = FACNN(**arguments)
    for layer in dense.layers:
        if layer.name in ("conv_2", "conv_3"):
            kernel, *rest = layer.get_weights()
            inputs, outputs = (
                np.arange(n) // (n // 3) for n in kernel.shape[2:]
            )
            kernel *= inputs[:, None] == outputs
            layer.set_weights([kernel, *rest])
    dense.save_to_preset(tmp_path / "dense")
    arguments["classwise_layers"] = 2
    model = build_network("facnn", arguments, tmp_path / "dense")
    assert model.count_params() < dense.count_params()
    assert model.classwise_layers == 2
    images = rng.uniform(0, 255, (4, 16, 16, 3)).astype("float32")
    np.testing.assert_allclose(
        model.predict(images, verbose=0),
        dense.predict(images, verbose=0),
        rtol=1e-4,
        atol=1e-6,
    )
    model.save_to_preset(tmp_path / "class-wise")
    with pytest.raises(ValueError, match="must be the recipe's model"):
        build_network(
            "facnn",
            {**arguments, "classwise_layers": 1},
            tmp_path / "class-wise",
        )


def test_init_may_have_other_alphas(tmp_path, rng, caplog):
    arguments = {"num_classes": 3, "depths": (3,), "maps_per_class": (2,)}
    start = FACNN(**arguments)
    # Norms that have seen images, too.
    start.set_weights(
        [rng.uniform(0.1, 0.9, w.shape) for w in start.get_weights()]
    )
    start.save_to_preset(tmp_path / "harmonic")
    arguments["alpha"] = [1 / 2, 1 / 6, 1 / 8]
    model = build_network("facnn", arguments, tmp_path / "harmonic")
    assert model.get_config()["alpha"] == arguments["alpha"]
    assert "the recipe's replace them" in caplog.text
    expected = FACNN(**arguments)
    expected.set_weights(start.get_weights())
    images = rng.uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    logits = model.predict(images, verbose=0)
    np.testing.assert_allclose(
        logits, expected.predict(images, verbose=0), rtol=1e-4
    )
    assert not np.allclose(logits, start.predict(images, verbose=0), rtol=1e-2)
    # Beside class-wise layers, which keep a class' own kernels.
    both = build_network(
        "facnn", {**arguments, "classwise_layers": 1}, tmp_path / "harmonic"
    )
    assert both.get_config()["alpha"] == arguments["alpha"]
    own = ClasswiseConv2D.own_kernel(start.get_layer("conv_3").kernel, 3)
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(both.get_layer("conv_3").kernel),
        keras.ops.convert_to_numpy(own),
    )
    with pytest.raises(ValueError, match="must be the recipe's model"):
        build_network(
            "facnn", {**arguments, "threshold": True}, tmp_path / "harmonic"
        )
