import contextlib
import copy
import hashlib
import json
import os
import pickle
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_facnn import FACNN
from keras_facnn import attribution
from keras_facnn._backend import soundness
from tests.presets.damage_test import edit
from tests.promises import with_other_weights

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
LABELS = np.array([0, 1, 2, 3, 0])


def make_backbone(extra=None):
    """Stride 4, with maps of stride 2 in `fine`; its own preprocessing."""
    inputs = keras.Input((16, 16, 3))
    x = layers.Rescaling(1 / 127.5, -1)(inputs)
    x = layers.Conv2D(6, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(name="inner_norm")(x)
    x = layers.ReLU(name="fine")(x)
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="inner_conv")(x)
    x = x * ops.sigmoid(x)
    if extra is not None:
        x = extra(x)
    x = layers.Dropout(0.1)(x)
    return keras.Model(inputs, layers.ReLU(name="coarse")(x))


def make_hybrid(rng, **options):
    options = {"depths": (2, 1), "maps_per_class": (2, 4), **options}
    options.setdefault("backbone", make_backbone())
    model = FACNN(4, **options)
    return with_other_weights(model, rng)


@pytest.fixture
def model(rng):
    return make_hybrid(rng)


def predict(model, images):
    return model.predict(images, verbose=0)


def assert_exact(measured):
    assert measured["theorem_1_correlation"] > 1 - 1e-4
    for name in ("theorem_1_error", "completeness_error", "evidence_error"):
        assert measured[name] < 1e-4


def test_x_0_is_the_projected_features(rng, images):
    backbone = make_backbone()
    model = make_hybrid(rng, backbone=backbone)
    features = predict(backbone, images)
    kernel, beta, mean, variance = (
        model.get_layer("project").get_weights()
        + model.get_layer("project_norm").get_weights()
    )
    x = np.einsum("bhwi,io->bhwo", features, kernel[0, 0])
    x = np.maximum((x - mean) / np.sqrt(variance + 1e-3) + beta, 0)
    stem = keras.Model(model.input, model.get_layer("stem").output)
    np.testing.assert_allclose(predict(stem, images), x, atol=1e-4)
    # Entry 0 of the evidence is what these maps alone add to the logits.
    weight = np.prod([1 - a for a in model.alphas])
    means = x.reshape(5, 4, 4, 4, 2).mean(axis=(1, 2, 4))
    np.testing.assert_allclose(
        model.layer_evidence(images, "all")[:, 0],
        float(ops.convert_to_numpy(model.head.scale)) * weight * means,
        rtol=1e-4,
        atol=1e-5,
    )


def test_weights_are_shared_with_the_backbone(images):
    backbone = make_backbone()
    model = FACNN(4, backbone=backbone)
    conv = backbone.get_layer("inner_conv")
    assert model.backbone.get_layer("inner_conv") is conv
    before = predict(model, images)
    conv.set_weights([2 * w for w in conv.get_weights()])
    assert np.abs(predict(model, images) - before).max() > 1e-4


def test_defaults_are_those_of_a_hybrid():
    model = FACNN(4, backbone=make_backbone())
    assert (model.depths, model.maps_per_class) == ((4,), (12,))
    assert model.image_shape == (16, 16, 3)
    pure = FACNN(2)
    assert pure.backbone is None
    assert (pure.depths, pure.maps_per_class) == ((8, 8, 8), (3, 6, 12))
    assert pure.image_shape == (32, 32, 3)


@pytest.mark.parametrize(
    "options, size",
    [
        ({}, 2),
        ({"feature_layer": "fine"}, 4),
        ({"feature_layer": ["coarse", "fine"]}, 4),
        ({"threshold": True, "batch_norm_gain": True}, 2),
    ],
)
def test_keeps_every_promise(rng, images, options, size):
    model = make_hybrid(rng, **options)
    assert_exact(model.verify(images))
    logits, maps = model.predict_with_maps(images)
    assert maps.shape == (5, size, size, 4)
    scale, offset = (
        float(ops.convert_to_numpy(x))
        for x in (model.head.scale, model.head.offset)
    )
    np.testing.assert_allclose(
        scale * maps.mean((1, 2)) - offset, logits, rtol=1e-4, atol=1e-5
    )
    evidence = model.layer_evidence(images, "all", maps=True)
    np.testing.assert_allclose(evidence.sum(1), maps, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        model.layer_logits(images)[:, -1], logits, rtol=1e-5, atol=1e-6
    )
    centered = model.class_maps(images, centered=True)
    np.testing.assert_allclose(centered.sum(-1), 0, atol=1e-4)
    explanation = model.explain(images)
    assert sorted(explanation.layer_maps) == [1, 2, 3]
    np.testing.assert_allclose(explanation.maps, centered, rtol=1e-4, atol=1e-5)


def test_joined_features_are_those_of_each_layer(images):
    backbone = make_backbone()
    model = FACNN(4, backbone=backbone, feature_layer=["coarse", "fine"])
    parts = [
        predict(
            keras.Model(backbone.input, backbone.get_layer(n).output), images
        )
        for n in ("coarse", "fine")
    ]
    coarse = ops.image.resize(
        parts[0], (8, 8), "bilinear", data_format="channels_last"
    )
    np.testing.assert_allclose(
        predict(model.backbone, images),
        np.concatenate([ops.convert_to_numpy(coarse), parts[1]], axis=-1),
        rtol=1e-4,
        atol=1e-4,
    )


@pytest.mark.parametrize("order", [["fine", "coarse"], ["coarse", "fine"]])
def test_joined_features_of_another_size_are_joined_anew(
    rng, images, tmp_path, order
):
    """A preset knows the joined maps only, not the names of their layers."""
    model = make_hybrid(
        rng, feature_layer=order, depths=(1,), maps_per_class=(2,)
    )
    path = tmp_path / "preset"
    model.save_to_preset(path)
    np.testing.assert_array_equal(
        predict(FACNN.from_preset(path), images), predict(model, images)
    )
    # The maps have 7x7 and 4x4 cells.
    with pytest.raises(
        ValueError, match="`image_shape`.*multiples of 4.*14x14"
    ):
        FACNN.from_preset(path, image_shape=(14, 14, 3))
    other = FACNN.from_preset(path, image_shape=(24, 32, 3))
    assert other.backbone.output.shape[1:3] == (12, 16)
    x = np.zeros((1, 24, 32, 3), "float32")
    x[:, 5:, 7:] = 200
    any_size = FACNN.from_preset(path, image_shape=(None, None, 3))
    np.testing.assert_allclose(
        any_size.class_maps(x), other.class_maps(x), rtol=1e-4, atol=1e-6
    )
    with pytest.raises(ValueError, match="multiples.*stride=4"):
        any_size.class_maps(x[:, :14])


def test_grad_cam_at_an_fa_layer_is_the_class_maps(model, images):
    cams = attribution.grad_cam(model, images, LABELS, layer="fa_3")
    maps = model.class_maps(images, LABELS)
    scale = float(ops.convert_to_numpy(model.head.scale))
    np.testing.assert_allclose(
        cams, scale / maps[0].size * maps, rtol=1e-3, atol=1e-6
    )
    at_1 = attribution.grad_cam(model, images, LABELS, layer="fa_1")
    assert at_1.shape == (5, 4, 4)
    inside = attribution.grad_cam(model, images, LABELS, layer="inner_conv")
    assert inside.shape == (5, 4, 4)


def changes_in_fit(model, images):
    before = {w.path: ops.convert_to_numpy(w) + 0 for w in model.weights}
    model.compile(keras.optimizers.SGD(0.1), LOSS)
    model.fit(images, LABELS, epochs=1, batch_size=5, verbose=0)
    return {
        w.path
        for w in model.weights
        if (ops.convert_to_numpy(w) != before[w.path]).any()
    }


def test_a_frozen_backbone_stays_and_a_thawed_one_learns(
    rng, images, optimized
):
    model = make_hybrid(rng, deep_alignment=0.5)
    inner = {w.path for w in model.backbone.weights}
    model.backbone.trainable = False
    changed = changes_in_fit(model, images)
    # Its batch norm keeps its statistics too.
    assert not changed & inner
    assert len(changed) >= 10
    model.backbone.trainable = True
    model.backbone.get_layer("inner_conv").trainable = False
    changed = changes_in_fit(model, images)
    kept = {w.path for w in model.backbone.get_layer("inner_conv").weights}
    assert changed & inner and not changed & kept
    copied = FACNN.from_config(model.get_config())
    assert copied.backbone.trainable
    assert not copied.backbone.get_layer("inner_conv").trainable
    assert copied.backbone.get_layer("inner_norm").trainable


def wrapped(inner):
    """A backbone whose layer holds layers of its own."""
    inputs = keras.Input((16, 16, 3))
    x = layers.SpectralNormalization(inner)(inputs)
    attention = layers.MultiHeadAttention(2, 3, attention_axes=(1, 2))
    return keras.Model(inputs, attention(x, x))


def low_rank(dense):
    inputs = keras.Input((16, 16, 3))
    x = dense(layers.Conv2D(6, 3, strides=4)(inputs))
    dense.enable_lora(2)
    return keras.Model(inputs, x)


@pytest.mark.parametrize("kind", ["wrapped", "low rank"])
def test_copies_are_frozen_where_the_model_is(rng, images, tmp_path, kind):
    inner = layers.Dense(5, name="inner")
    backbone = {"wrapped": wrapped, "low rank": low_rank}[kind](inner)
    model = FACNN(4, backbone=backbone, depths=(1,), maps_per_class=(1,))
    if kind == "wrapped":
        inner.trainable = False
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert len(loaded.trainable_weights) == len(model.trainable_weights)
    assert len(loaded.weights) == len(model.weights)
    # A preset would not be read again: nothing is written.
    with pytest.raises(ValueError, match="can't be saved as a preset"):
        model.save_to_preset(tmp_path / "preset")
    assert not (tmp_path / "preset").exists()


def test_deep_alignment_adds_to_the_loss(rng, images):
    model = make_hybrid(rng)
    model.backbone.trainable = False
    losses = []
    for weight in (0.0, 1.0):
        model.deep_alignment = weight
        model.compile(keras.optimizers.SGD(0.0), LOSS)
        losses.append(model.train_on_batch(images, LABELS))
    assert losses[1] - losses[0] > 0.1


def copies(model, folder):
    model.save(folder / "model.keras")
    model.save_to_preset(folder / "preset")
    rebuilt = FACNN.from_config(json.loads(json.dumps(model.get_config())))
    rebuilt.set_weights(model.get_weights())
    return [
        keras.models.load_model(folder / "model.keras"),
        FACNN.from_preset(folder / "preset"),
        pickle.loads(pickle.dumps(model)),
        copy.deepcopy(model),
        rebuilt,
    ]


@pytest.mark.parametrize("feature_layer", [None, ["coarse", "fine"]])
def test_all_copies_are_the_same(rng, images, tmp_path, feature_layer):
    model = make_hybrid(rng, feature_layer=feature_layer)
    model.backbone.trainable = False
    before = predict(model, images)
    for i, loaded in enumerate(copies(model, tmp_path)):
        assert type(loaded) is FACNN
        np.testing.assert_array_equal(predict(loaded, images), before)
        # A preset says nothing of what was frozen.
        assert loaded.backbone.trainable == (i == 1)
        np.testing.assert_array_equal(
            loaded.class_maps(images), model.class_maps(images)
        )


def test_fuses_its_own_layers(model, images, tmp_path):
    fused = model.fuse()
    names = [x.name for x in fused.layers]
    assert "project" in names and "project_norm" not in names
    np.testing.assert_allclose(
        predict(fused, images), predict(model, images), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(
        fused.layer_evidence(images, "all", maps=True),
        model.layer_evidence(images, "all", maps=True),
        rtol=1e-4,
        atol=1e-4,
    )
    assert_exact(fused.verify(images))
    before = predict(fused, images)
    for loaded in copies(fused, tmp_path):
        assert loaded.fused
        np.testing.assert_array_equal(predict(loaded, images), before)
    with pytest.raises(RuntimeError, match="`fit` does not work"):
        fused.fit(images, LABELS)


def test_half_precision_presets_load(model, images, tmp_path):
    model.save_to_preset(tmp_path, weights_dtype="float16")
    loaded = FACNN.from_preset(tmp_path)
    np.testing.assert_allclose(
        predict(loaded, images), predict(model, images), rtol=0.02, atol=0.02
    )


def test_a_preset_moves_to_other_classes_with_its_backbone(
    model, images, tmp_path
):
    model.save_to_preset(tmp_path)
    with pytest.warns(UserWarning, match="num_classes=3 does not divide"):
        moved = FACNN.from_preset(tmp_path, num_classes=3)
    assert moved.output.shape == (None, 3)
    np.testing.assert_array_equal(
        predict(moved.backbone, images), predict(model.backbone, images)
    )
    assert_exact(moved.verify(images))


def test_a_backbone_of_any_size_takes_any_size(rng):
    inputs = keras.Input((None, None, 3))
    outputs = layers.Conv2D(4, 3, strides=4, padding="same")(inputs)
    model = FACNN(3, backbone=keras.Model(inputs, outputs), depths=(1,))
    images = rng.uniform(0, 255, (2, 12, 20, 3))
    assert model.class_maps(images).shape == (2, 3, 5, 3)
    assert_exact(model.verify(images))
    sized = FACNN(3, (8, 8, 3), (1,), backbone=keras.Model(inputs, outputs))
    assert sized.class_maps(images[:, :8, :8]).shape == (2, 2, 2, 3)


def test_joined_layers_take_several_sizes(rng):
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same", name="fine")(inputs)
    x = layers.Conv2D(4, 3, strides=2, padding="same", name="coarse")(x)
    model = FACNN(
        3,
        backbone=keras.Model(inputs, x),
        feature_layer=["coarse", "fine"],
        depths=(1,),
        maps_per_class=(2,),
    )
    extractor = model.feature_extractor()
    for size in ((16, 16), (24, 16), (32, 40), (16, 16)):
        images = rng.uniform(0, 255, (2, *size, 3)).astype("float32")
        features = extractor(images, training=False)["fa_1"]
        expected = ops.convert_to_numpy(model.head.class_maps(features))
        found = model.class_maps(images)
        assert found.shape == (2, size[0] // 2, size[1] // 2, 3)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
        cams = attribution.grad_cam(model, images, 1, layer=1)
        scale = float(ops.convert_to_numpy(model.head.scale))
        np.testing.assert_allclose(
            cams, scale / found[0, ..., 1].size * found[..., 1], atol=1e-4
        )


@pytest.mark.parametrize(
    "options, message",
    [
        ({"backbone": 3}, "`backbone` must be a functional"),
        ({"feature_layer": "nope"}, "`feature_layer` must name.*coarse"),
        ({"feature_layer": 3}, "`feature_layer` must be None"),
        ({"feature_layer": []}, "`feature_layer` must be None"),
        ({"space_to_depth": 2}, "`space_to_depth` must be 1"),
        ({"image_shape": (16, 16, 1)}, "images of 3 channels"),
        (
            {"depths": (1, 1, 1, 1), "maps_per_class": (1,) * 4},
            "at least 32x32",
        ),
        ({"backbone": None, "feature_layer": "a"}, "needs a `backbone`"),
        ({"maps_per_class": (10**9,), "depths": (1,)}, "at most 268,435,456"),
    ],
)
def test_refuses_what_makes_no_hybrid(options, message):
    options = {"backbone": make_backbone(), **options}
    with pytest.raises(ValueError, match=f"(?s){message}.*Received"):
        FACNN(4, **options)


def test_a_feature_layer_is_that_of_the_backbone_which_was_given(images):
    """A layer has other outputs too where it is called in other graphs."""
    first = FACNN(4, (32, 32, 3), backbone=make_backbone())
    model = FACNN(4, backbone=first.backbone, feature_layer="fine")
    inputs = keras.Input((32, 32, 3))
    x = inputs
    for layer in first.backbone.layers[1:]:
        x = layer(x)
        if layer.name == "fine":
            break
    images = np.concatenate([images, images], 1).repeat(2, 2)
    np.testing.assert_array_equal(
        model.backbone.predict(images, verbose=0),
        keras.Model(inputs, x).predict(images, verbose=0),
    )


def test_refuses_a_feature_layer_that_is_called_twice():
    conv = layers.Conv2D(3, 3, padding="same", name="twice")
    inputs = keras.Input((16, 16, 3))
    backbone = keras.Model(inputs, conv(conv(inputs)))
    with pytest.raises(ValueError, match="once.*'twice'.*calls 2 times"):
        FACNN(4, backbone=backbone, feature_layer="twice")


def test_refuses_maps_of_unknown_size():
    backbone = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.EinsumDense("bhwc,ck->bhwk", output_shape=(None, None, 5)),
        ]
    )
    with pytest.raises(ValueError, match="size of its maps.*Received"):
        FACNN(4, backbone=backbone)


def test_refuses_a_backbone_without_maps():
    inputs = keras.Input((8, 8, 3))
    flat = layers.GlobalAveragePooling2D()(inputs)
    with pytest.raises(ValueError, match="include_top=False.*Received"):
        FACNN(4, backbone=keras.Model(inputs, flat))


def change_preset(folder, change):
    """Changes a preset's config, and signs it as its publisher would."""
    path = folder / "config.json"
    outer = json.loads(path.read_bytes())
    change(outer["config"])
    path.write_text(json.dumps(outer))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    edit(folder / "metadata.json", config={"sha256": sha256})


# --- What a config may hold ---

RAN = []


def foreign_function(x):
    RAN.append("function")
    return x


@keras.saving.register_keras_serializable(package="hybrid_test")
class Registered(layers.Layer):
    def __init__(self, **kwargs):
        RAN.append("layer")
        super().__init__(**kwargs)

    def call(self, x):
        return x


@keras.saving.register_keras_serializable(package="hybrid_test")
def registered_function(x):
    RAN.append("registered")
    return x


def foreign_layers():
    return {
        "lambda": lambda: layers.Lambda(foreign_function, name="bad"),
        "registered": lambda: Registered(name="bad"),
        "activation": lambda: layers.Activation(
            registered_function, name="bad"
        ),
    }


@pytest.mark.parametrize("kind", sorted(foreign_layers()))
def test_what_is_not_keras_own_runs_but_is_not_saved(kind, images, tmp_path):
    backbone = make_backbone(foreign_layers()[kind]())
    with pytest.warns(UserWarning, match="cannot be saved.*'bad'"):
        model = FACNN(4, backbone=backbone)
    assert_exact(model.verify(images))
    for save in (
        lambda: model.save_to_preset(tmp_path / "preset"),
        lambda: model.save(tmp_path / "model.keras"),
        lambda: model.fuse(),
    ):
        with pytest.raises(ValueError, match="Keras' own layers.*'bad'"):
            save()
    assert not (tmp_path / "preset").exists()


def bad_entry(kind):
    """A layer's config that would run code, as Keras writes it."""
    if kind in foreign_layers():
        return keras.saving.serialize_keras_object(foreign_layers()[kind]())
    entry = keras.saving.serialize_keras_object(layers.ReLU(name="bad"))
    if kind == "module":
        entry |= {"module": "tests.not_imported", "class_name": "Layer"}
    elif kind == "function":
        entry |= {"module": "os", "class_name": "system"}
    elif kind == "function inside":
        entry = keras.saving.serialize_keras_object(
            layers.Conv2D(8, 1, name="bad")
        )
        entry["config"]["activation"] = {
            "module": "builtins",
            "class_name": "function",
            "config": "system",
            "registered_name": "system",
        }
    elif kind == "file reader":
        entry |= {"module": "keras.layers", "class_name": "TFSMLayer"}
    else:
        entry["registered_name"] = "hybrid_test>Registered"
    return entry


@pytest.mark.only_on("torch")
@pytest.mark.parametrize(
    "kind",
    [
        *sorted(foreign_layers()),
        "module",
        "function",
        "function inside",
        "file reader",
        "registered name",
    ],
)
@pytest.mark.parametrize("load_weights", [True, False])
def test_a_preset_that_would_run_code_is_refused(
    model, tmp_path, kind, load_weights
):
    model.save_to_preset(tmp_path)
    entry = bad_entry(kind)

    def change(config):
        inner = config["backbone"]["config"]["layers"]
        (at,) = [
            i for i, x in enumerate(inner) if x["config"]["name"] == "coarse"
        ]
        inner[at] = {**inner[at], **entry, "name": "bad"}

    change_preset(tmp_path, change)
    RAN.clear()
    with pytest.raises(
        ValueError, match="builds no model.*Keras' own layers.*Received.*'bad'"
    ):
        FACNN.from_preset(tmp_path, load_weights=load_weights)
    assert not RAN


def bomb_units(inner):
    inner["config"]["filters"] = 2**40


def bomb_default(inner):
    # Without its initializers, and of a shape that is not what it says.
    inner["config"] = {"name": "inner_conv", "filters": 2**33, "kernel_size": 3}
    inner.pop("build_config", None)


@pytest.mark.only_on("torch")
@pytest.mark.parametrize("bomb", [bomb_units, bomb_default])
def test_a_backbone_that_is_too_large_is_refused(model, tmp_path, bomb):
    model.save_to_preset(tmp_path)

    def change(config):
        for inner in config["backbone"]["config"]["layers"]:
            if inner["config"]["name"] == "inner_conv":
                bomb(inner)

    change_preset(tmp_path, change)
    with pytest.raises(ValueError, match="at most 1,073,741,824 parameters"):
        FACNN.from_preset(tmp_path)


@pytest.mark.only_on("torch")
def test_a_backbone_of_too_many_layers_is_refused(model):
    config = model.get_config()
    inner = config["backbone"]["config"]["layers"]
    inner.extend(inner[-1:] * 2_000)
    with pytest.raises(ValueError, match="at most 2,000 layers. Received"):
        FACNN.from_config(config)


@pytest.mark.only_on("torch")
def test_a_backbone_nested_too_deep_is_refused(model):
    deep = []
    for _ in range(5_000):
        deep = [deep]
    config = {**model.get_config(), "backbone": {"config": deep}}
    with pytest.raises(ValueError, match="nested too deep"):
        FACNN.from_config(config)


@pytest.mark.only_on("torch")
@pytest.mark.parametrize("backbone", [3, "x", [], {}, {"class_name": "ReLU"}])
def test_a_backbone_that_is_no_model_is_refused(model, tmp_path, backbone):
    model.save_to_preset(tmp_path)
    change_preset(tmp_path, lambda config: config.update(backbone=backbone))
    with pytest.raises(ValueError, match="backbone"):
        FACNN.from_preset(tmp_path)


@pytest.mark.only_on("torch")
def test_weights_of_another_backbone_are_refused(model, tmp_path):
    model.save_to_preset(tmp_path)

    def change(config):
        for inner in config["backbone"]["config"]["layers"]:
            if inner["config"]["name"] == "inner_conv":
                inner["config"]["kernel_size"] = [1, 1]

    change_preset(tmp_path, change)
    with pytest.raises(ValueError, match="do not fit its config"):
        FACNN.from_preset(tmp_path)


@pytest.mark.only_on("torch")
@pytest.mark.parametrize("class_name", [["ReLU"], {"class_name": "ReLU"}, 3])
def test_a_class_without_a_name_is_refused(model, class_name):
    config = model.get_config()
    config["backbone"]["config"]["layers"][-1]["class_name"] = class_name
    with pytest.raises(ValueError, match="Keras' own layers.*'coarse'"):
        FACNN.from_config(config)


# --- Backbones of keras.applications ---


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            "MobileNetV3Small",
            marks=pytest.mark.only_on("tensorflow", "torch"),
        ),
        # Backbones differ in Keras' layers; what is ours is tested above.
        pytest.param("ResNet50V2", marks=pytest.mark.only_on("torch")),
        pytest.param("ConvNeXtTiny", marks=pytest.mark.only_on("torch")),
    ],
)
def test_a_known_backbone_trains_and_comes_back(rng, tmp_path, name):
    build = getattr(keras.applications, name)
    backbone = build(
        input_shape=(96, 96, 3), include_top=False, weights=None, name=name
    )
    model = FACNN(3, backbone=backbone, depths=(1,), maps_per_class=(2,))
    images = rng.uniform(0, 255, (2, 96, 96, 3)).astype("float32")
    # For a single step, compiling pays on JAX alone.
    jit_compile = keras.backend.backend() == "jax"
    model.compile(keras.optimizers.SGD(0.01), LOSS, jit_compile=jit_compile)
    before = model.get_weights()
    loss = model.train_on_batch(images, np.array([0, 2]))
    assert np.isfinite(loss)
    changed = [
        (a != b).any() for a, b in zip(before, model.get_weights(), strict=True)
    ]
    assert np.mean(changed) > 0.9
    assert_exact(model.verify(images))
    model.save_to_preset(tmp_path / "preset")
    loaded = FACNN.from_preset(tmp_path / "preset")
    logits, maps = model.predict_with_maps(images)
    for found, expected in zip(
        loaded.predict_with_maps(images), (logits, maps), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    if keras.backend.backend() == "torch":
        onnxruntime = pytest.importorskip("onnxruntime")
        pytest.importorskip("onnx")
        loaded.export(tmp_path / "model.onnx", verbose=False)
        session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
        names = ["logits", "class_maps"]
        found, found_maps = session.run(names, {"images": images})
        np.testing.assert_allclose(found, logits, rtol=0, atol=1e-3)
        np.testing.assert_allclose(found_maps, maps, rtol=0, atol=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_backbone_that_normalizes_comes_back(rng, images, tmp_path, dtype):
    """`Normalization`, as in EfficientNet, counts in integers."""
    normalization = layers.Normalization()
    normalization.adapt(images)
    backbone = keras.Sequential(
        [keras.Input((16, 16, 3)), normalization, layers.Conv2D(6, 3)]
    )
    model = FACNN(4, backbone=backbone, depths=(1,), maps_per_class=(2,))
    model.save_to_preset(tmp_path / "preset", weights_dtype=dtype)
    loaded = FACNN.from_preset(tmp_path / "preset")
    expected = model.predict(images, verbose=0)
    np.testing.assert_allclose(
        loaded.predict(images, verbose=0),
        expected,
        rtol=0,
        atol=(1e-5 if dtype == "float32" else 5e-3) * np.abs(expected).max(),
    )
    # Keras computes with what it made of the weights, which are set here.
    copied = FACNN.from_config(model.get_config())
    copied.set_weights(model.get_weights())
    for same in (model.fuse(), copied, pickle.loads(pickle.dumps(model))):
        np.testing.assert_allclose(
            same.predict(images, verbose=0),
            expected,
            rtol=0,
            atol=1e-4 * np.abs(expected).max(),
        )


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
def test_a_quantized_backbone_says_what_it_cannot_do(rng, tmp_path):
    backbone = keras.Sequential(
        [keras.Input((16, 16, 3)), layers.Dense(6, name="quantized_one")]
    )
    model = make_hybrid(rng, backbone=backbone)
    model.quantize("int8")
    for act in (
        lambda: model.save(tmp_path / "model.keras"),
        lambda: model.save_to_preset(tmp_path / "preset"),
        model.fuse,
        *(
            [lambda: model.export(tmp_path / "model.onnx")]
            if keras.backend.backend() == "torch"
            else []
        ),
    ):
        with pytest.raises(ValueError, match="quantized.*'quantized_one'"):
            act()
    assert not (tmp_path / "preset").exists()


def test_a_config_has_no_options_that_were_not_set(model):
    """Keras 3.15 writes options of initializers that 3.14 does not know."""
    config = json.dumps(model.get_config()["backbone"])
    assert "GlorotUniform" in config
    assert "input_axes" not in config


def strided_backbone(channels=4, **options):
    """A 1x1 convolution with strides, in a nested model, as ResNets have."""
    inputs = keras.Input((None, None, channels))
    x = layers.Conv2D(8, 1, strides=2, name="shortcut", **options)(inputs)
    nested = keras.Model(inputs, x)
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(channels, 3, padding="same")(inputs)
    return keras.Model(inputs, nested(x))


def train(model, images, step):
    model.compile("sgd", LOSS)
    if step == "fit":
        model.fit(images, LABELS, verbose=0)
    else:
        model.train_on_batch(images, LABELS)


@pytest.mark.only_on("torch", "tensorflow")
@pytest.mark.parametrize("step", ["fit", "train_on_batch"])
def test_refuses_to_train_what_onednn_spoils(rng, images, step, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    # TensorFlow uses it on some CPUs.
    monkeypatch.setattr(soundness, "_tensorflow_uses_onednn", lambda: True)
    model = make_hybrid(rng, backbone=strided_backbone())
    before = model.get_weights()
    with pytest.raises(RuntimeError, match="layers shortcut. Freeze.*MaxPool"):
        train(model, images, step)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    # To read and to explain it is no training.
    assert predict(model, images).shape == (5, 4)
    assert attribution.grad_cam(model, images, 0, layer="fa_1").any()
    model.backbone.trainable = False
    train(model, images, step)


def test_knows_that_tensorflow_does_not_use_onednn(rng, monkeypatch):
    model = make_hybrid(rng, backbone=strided_backbone())
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    for machine, used, refused in (
        ("x86_64", True, True),
        ("x86_64", False, False),
        ("aarch64", True, False),
    ):
        monkeypatch.setattr("platform.machine", lambda machine=machine: machine)
        monkeypatch.setattr(
            soundness, "_tensorflow_uses_onednn", lambda used=used: used
        )
        with contextlib.ExitStack() as stack:
            if refused:
                stack.enter_context(
                    pytest.raises(RuntimeError, match="TF_ENABLE_ONEDNN_OPTS=0")
                )
            soundness.check_sound_gradients(model)


@pytest.mark.only_on("tensorflow")
def test_asks_tensorflow_whether_it_uses_onednn():
    code = (
        "from keras_facnn._backend import soundness\n"
        "print(soundness._tensorflow_uses_onednn())"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "False\n"


@pytest.mark.parametrize(
    "options",
    [{"channels": 16}, {"groups": 2}, {"dtype": "mixed_bfloat16"}],
    ids=["16 channels", "groups", "bfloat16"],
)
def test_trains_other_strided_convolutions(rng, images, options):
    if "dtype" in options and keras.backend.backend() == "tensorflow":
        pytest.skip("oneDNN computes these, too")
    backbone = strided_backbone(**options)
    train(make_hybrid(rng, backbone=backbone), images, "fit")


@pytest.mark.only_on("tensorflow")
def test_refuses_bfloat16_on_tensorflow(rng, images, monkeypatch):
    monkeypatch.setattr(soundness, "_tensorflow_uses_onednn", lambda: True)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    backbone = strided_backbone(dtype="mixed_bfloat16")
    with pytest.raises(RuntimeError, match="TensorFlow corrupts memory"):
        train(make_hybrid(rng, backbone=backbone), images, "fit")


@pytest.mark.only_on("torch")
def test_trains_any_convolution_without_onednn(rng, images, monkeypatch):
    import torch

    model = make_hybrid(rng, backbone=strided_backbone())
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    train(model, images, "fit")


def test_a_pool_before_a_pointwise_convolution_is_its_strides(rng):
    """The way out that the refusal names."""
    images = rng.normal(size=(2, 7, 8, 3)).astype("float32")
    strided = layers.Conv2D(5, 1, strides=(2, 3))
    pooled = layers.Conv2D(5, 1)
    expected = strided(images)
    subsampled = layers.MaxPooling2D(1, (2, 3))(images)
    pooled.build(subsampled.shape)
    pooled.set_weights(strided.get_weights())
    np.testing.assert_allclose(
        ops.convert_to_numpy(pooled(subsampled)),
        ops.convert_to_numpy(expected),
        rtol=1e-5,
        atol=1e-6,
    )
