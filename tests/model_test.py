import functools
import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_facnn import FACNN
from keras_facnn.layers import DampenedSkip
from tests.promises import feature_maps
from tests.promises import predict

# --- The graph ---


def test_is_one_flat_graph_with_named_layers(small_model):
    assert isinstance(small_model, keras.Model)
    assert not any(isinstance(x, keras.Model) for x in small_model.layers)
    fa = [x.name for x in small_model.layers if isinstance(x, DampenedSkip)]
    assert fa == ["fa_1", "fa_2", "fa_3"]


@pytest.mark.parametrize(
    "alpha, expected",
    [
        ("harmonic", [1 / 2, 1 / 3, 1 / 4]),
        (0.25, [0.25] * 3),
        (np.float32(0.25), [0.25] * 3),
        ([0.5, 0.25, 0.125], [0.5, 0.25, 0.125]),
    ],
)
def test_alpha_schedules(alpha, expected):
    model = FACNN(2, depths=(3,), maps_per_class=(1,), alpha=alpha)
    layers = [model.get_layer(f"fa_{layer}") for layer in (1, 2, 3)]
    np.testing.assert_allclose([x.alpha for x in layers], expected)
    twin = FACNN.from_config(json.loads(json.dumps(model.get_config())))
    assert twin.get_config() == model.get_config()


def test_batch_norm_has_no_gain_unless_asked():
    def names(**kwargs):
        model = FACNN(2, depths=(1,), maps_per_class=(1,), **kwargs)
        return {v.name for v in model.get_layer("norm_1").weights}

    assert "gamma" not in names()
    assert "gamma" in names(batch_norm_gain=True)


def test_the_paper_size_builds_and_runs():
    model = FACNN(
        num_classes=100,
        image_shape=(224, 224, 3),
        depths=(1, 1),
        maps_per_class=(1, 2),
        space_to_depth=4,
    )
    assert predict(model, np.zeros((1, 224, 224, 3), "uint8")).shape == (1, 100)


def test_images_of_any_size(rng):
    model = FACNN(
        3,
        image_shape=(None, None, 3),
        depths=(1, 1),
        maps_per_class=(1, 2),
        space_to_depth=2,
    )
    for size in ((16, 24), (30, 20)):
        x = rng.integers(0, 256, (2, *size, 3))
        logits, maps = model.predict_with_maps(x)
        assert maps.shape == (2, size[0] // 4, size[1] // 4, 3)
        np.testing.assert_allclose(logits, predict(model, x), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "float64"])
def test_images_of_any_real_dtype(small_model, images, dtype):
    np.testing.assert_allclose(
        predict(small_model, images.astype(dtype)),
        predict(small_model, images),
        rtol=1e-5,
    )


def test_mixed_precision_keeps_logits_in_float32(rng, images):
    model = FACNN(
        4,
        image_shape=(16, 16, 3),
        depths=(1, 2),
        maps_per_class=(2, 4),
        dtype="mixed_bfloat16",
    )
    exact = FACNN.from_config({**model.get_config(), "dtype": "float32"})
    exact.set_weights(model.get_weights())
    assert model.get_layer("fa_1").compute_dtype == "bfloat16"
    assert model.output.dtype == "float32"
    np.testing.assert_allclose(
        predict(model, images), predict(exact, images), rtol=0.05, atol=0.02
    )


@pytest.mark.parametrize(
    "name, value",
    [
        ("num_classes", 1),
        ("num_classes", 2.5),
        ("image_shape", (32, 32)),
        ("image_shape", (30, 32, 3)),
        ("depths", ()),
        ("depths", (2, 0)),
        ("depths", (2, 2, 2)),
        ("maps_per_class", (2, 3)),
        ("maps_per_class", 4),
        ("alpha", 1.0),
        ("alpha", "constant"),
        ("alpha", [0.5, 0.5]),
        ("space_to_depth", 0),
        ("classwise_layers", -1),
        ("classwise_layers", 4),
        ("classwise_layers", True),
        ("branch_depth", 0),
        ("branch_depth", 1.5),
        ("branch_depth", True),
        ("padding", "same"),
        ("padding", None),
        ("deep_alignment", -1),
        ("deep_alignment", "on"),
    ],
)
def test_refuses_bad_arguments(name, value):
    arguments = {
        "num_classes": 3,
        "depths": (1, 2),
        "maps_per_class": (2, 4),
        "space_to_depth": 2,
        name: value,
    }
    with pytest.raises(ValueError, match=f"`{name}.*Received"):
        FACNN(**arguments)


@pytest.mark.parametrize(
    "name, near",
    [
        ("classwise_layer", "mean `classwise_layers`"),
        ("alphas", "mean `alpha`"),
        ("stochastic_dept", "mean `stochastic_depth`"),
        ("color", "takes num_classes, image_shape, .*, name"),
    ],
)
def test_refuses_unknown_arguments(small_model, tmp_path, name, near):
    """Each way to make a model suggests the nearest name."""
    small_model.save_to_preset(tmp_path / "preset")
    config = small_model.get_config()
    for make in (
        lambda **kwargs: FACNN(3, depths=(1,), maps_per_class=(1,), **kwargs),
        lambda **kwargs: FACNN.from_config({**config, **kwargs}),
        functools.partial(FACNN.from_preset, tmp_path / "preset"),
        functools.partial(
            FACNN.from_preset, tmp_path / "preset", load_weights=False
        ),
    ):
        message = f"takes no argument `{name}`.*{near}.*Received: {name}=2"
        with pytest.raises(TypeError, match=message):
            make(**{name: 2})


def test_a_name_and_trainable_are_arguments():
    model = FACNN(
        3, depths=(1,), maps_per_class=(1,), name="mine", trainable=False
    )
    assert model.name == "mine"
    assert not model.trainable and not model.trainable_weights


# --- Explanations ---


def test_class_maps_are_means_of_the_maps_of_a_class(small_model, images):
    for layer, maps in enumerate(feature_maps(small_model, images), start=1):
        blocks = np.split(maps, 4, axis=-1)
        expected = np.stack([b.mean(-1) for b in blocks], axis=-1)
        actual = small_model.class_maps(images, layer=layer)
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
        assert actual.dtype == np.float32


def test_classes_may_be_chosen(small_model, images):
    everything = small_model.class_maps(images)
    top = predict(small_model, images).argmax(-1)
    rows = np.arange(5)
    for classes, expected in (
        ("all", everything),
        (None, everything[rows, ..., top]),
        (2, everything[..., 2]),
        ([3, 1, 0, 2, 2], everything[rows, ..., [3, 1, 0, 2, 2]]),
    ):
        np.testing.assert_allclose(
            small_model.class_maps(images, classes), expected, rtol=1e-6
        )


def test_layer_logits_are_the_head_at_every_layer(small_model, images):
    actual = small_model.layer_logits(images)
    scale = np.exp(
        ops.convert_to_numpy(small_model.get_layer("head").log_scale)
    )
    for layer, maps in enumerate(feature_maps(small_model, images)):
        b, h, w, _ = maps.shape
        expected = scale * maps.reshape(b, h, w, 4, -1).mean((1, 2, 4))
        np.testing.assert_allclose(actual[:, layer], expected, rtol=1e-4)


def test_feature_extractor_shares_weights(small_model, images):
    extractor = small_model.feature_extractor(layers=("fa_1", 3))
    before = predict(extractor, images)
    assert set(before) == {"fa_1", "fa_3"}
    assert before["fa_3"].shape == (5, 4, 4, 16)
    small_model.get_layer("norm_3").beta.assign(np.full((16,), 5.0))
    after = predict(extractor, images)
    np.testing.assert_array_equal(before["fa_1"], after["fa_1"])
    assert np.abs(before["fa_3"] - after["fa_3"]).max() > 0.1


def test_maps_follow_new_weights(small_model, images):
    before = small_model.class_maps(images)
    small_model.get_layer("norm_3").beta.assign(np.full((16,), 5.0))
    assert np.abs(small_model.class_maps(images) - before).max() > 0.1


def test_verify_measures_what_it_says(small_model, images, optimized):
    measured = small_model.verify(images)
    assert measured["theorem_1_correlation"] > 0.99999
    for name in ("theorem_1_error", "completeness_error", "evidence_error"):
        assert 0 <= measured[name] < 1e-4


def test_verify_notices_a_broken_promise(small_model, images):
    """A head with a bias is not complete, and `verify` must report it."""
    head = small_model.head
    logits = head.logits

    def biased(inputs):
        return logits(inputs) + ops.convert_to_tensor([0.0, 1.0, 0.0, 0.0])

    head.logits = biased
    measured = small_model.verify(images)
    assert measured["completeness_error"] > 1e-2
    assert measured["evidence_error"] > 1e-2


@pytest.mark.parametrize("layer", [0, 4, -1, "fa_0", "conv_1", 1.5, True])
def test_refuses_layers_that_do_not_exist(small_model, images, layer):
    with pytest.raises(ValueError, match=r"`layer` must be .* 1 to 3"):
        small_model.class_maps(images, layer=layer)


@pytest.mark.parametrize(
    "classes", [4, -1, [0, 1], "cat", 1.5, [0, 1, 2, 3, 4]]
)
def test_refuses_classes_that_do_not_exist(small_model, images, classes):
    with pytest.raises(ValueError, match="`classes` must be .*Received"):
        small_model.class_maps(images, classes)


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((16, 16, 3)),
        np.zeros((2, 16, 8, 3)),
        np.zeros((2, 16, 16, 1)),
        np.zeros((0, 16, 16, 3)),
        np.full((2, 16, 16, 3), "a"),
    ],
)
def test_refuses_what_is_no_image(small_model, bad):
    with pytest.raises(ValueError, match="`images` must .*Received"):
        small_model.class_maps(bad)


# --- Standard Keras ---


def compiled(model, **kwargs):
    model.compile(
        optimizer=keras.optimizers.AdamW(1e-2),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        **kwargs,
    )
    return model


@pytest.mark.only_on("torch")
@pytest.mark.parametrize(
    "alpha, depths, below",
    [("harmonic", (1,), 0.5), ("harmonic", (2, 2), 0.8), (0.75, (3,), 0.25)],
)
def test_stochastic_depth_names_its_own_limit(alpha, depths, below):
    """The message names the user's argument, and not one of a layer."""

    def make(share):
        maps = (1,) * len(depths)
        return FACNN(2, (4, 4, 3), depths, maps, alpha, stochastic_depth=share)

    assert make(below - 1e-6).stochastic_depth < below
    for share in (below, 0.99):
        with pytest.raises(
            ValueError, match=f"`stochastic_depth` must be below {below} "
        ):
            make(share)


def test_stochastic_depth_rises_with_depth_only_in_training(images, tmp_path):
    model = FACNN(4, (16, 16, 3), (1, 2), (1, 1), stochastic_depth=0.3)
    rates = [model.get_layer(f"fa_{layer}").drop_rate for layer in (1, 2, 3)]
    np.testing.assert_allclose(rates, [0.1, 0.2, 0.3])
    x = np.repeat(images, 20, axis=0)
    trained, again = (
        ops.convert_to_numpy(model(x, training=True)) for _ in range(2)
    )
    assert not np.allclose(trained, again)
    expected = model.predict(images, verbose=0)
    model.save_to_preset(tmp_path / "preset")
    loaded = FACNN.from_preset(tmp_path / "preset")
    assert loaded.stochastic_depth == 0
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), expected)


def test_fit_learns(rng):
    """Four classes that differ in the color of the image."""
    labels = rng.integers(0, 4, 64)
    colors = rng.uniform(0, 255, (4, 1, 1, 3))
    x = colors[labels] + rng.normal(0, 10, (64, 16, 16, 3))
    x = x.clip(0, 255)
    model = compiled(FACNN(4, (16, 16, 3), (1, 1), (1, 2), space_to_depth=2))
    history = model.fit(x, labels, epochs=8, batch_size=16, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert history["accuracy"][-1] > 0.9


def test_saving_and_loading_round_trips(small_model, images, tmp_path):
    model = compiled(small_model)
    model.fit(images, np.array([0, 1, 2, 3, 0]), verbose=0)
    before = predict(model, images)
    model.class_maps(images)

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is FACNN
    assert loaded.get_config() == model.get_config()
    np.testing.assert_array_equal(predict(loaded, images), before)
    assert int(ops.convert_to_numpy(loaded.optimizer.iterations)) == 1

    model.save_weights(tmp_path / "model.weights.h5")
    fresh = FACNN.from_config(model.get_config())
    assert np.abs(predict(fresh, images) - before).max() > 0
    fresh.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(predict(fresh, images), before)


def test_frozen_layers_stay_frozen_when_saved(small_model, images, tmp_path):
    small_model.get_layer("conv_1").trainable = False
    model = compiled(small_model)
    model.fit(images, np.array([0, 1, 2, 3, 0]), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert not loaded.get_layer("conv_1").trainable
    assert len(loaded.trainable_weights) == len(model.trainable_weights)
    assert int(ops.convert_to_numpy(loaded.optimizer.iterations)) == 1
    model.trainable = False
    assert not FACNN.from_config(model.get_config()).trainable_weights


def test_clone_model_predicts_the_same_with_the_same_weights(
    small_model, images
):
    clone = keras.models.clone_model(small_model)
    clone.set_weights(small_model.get_weights())
    np.testing.assert_allclose(
        predict(clone, images), predict(small_model, images), rtol=1e-5
    )


def test_summary_and_callbacks(small_model, images, tmp_path, capsys):
    small_model.summary()
    assert "fa_3" in capsys.readouterr().out
    path = tmp_path / "best.keras"
    compiled(small_model).fit(
        images,
        np.array([0, 1, 2, 3, 0]),
        validation_data=(images, np.array([0, 1, 2, 3, 0])),
        callbacks=[
            keras.callbacks.ModelCheckpoint(path, save_best_only=True),
            keras.callbacks.EarlyStopping(patience=1),
        ],
        verbose=0,
    )
    assert path.exists()


# --- Images that do not fit ---


def test_refuses_sizes_that_do_not_fit_and_still_works():
    model = FACNN(
        2, (None, None, 3), (1,), maps_per_class=(1,), space_to_depth=2
    )
    good = np.full((1, 12, 8, 3), 100, "uint8")
    before = model.class_maps(good)
    with pytest.raises(ValueError, match=r"multiples.*=2.*\(1, 12, 9, 3\)"):
        model.class_maps(np.zeros((1, 12, 9, 3)))
    np.testing.assert_array_equal(model.class_maps(good), before)


def test_warns_when_images_look_scaled_to_one(small_model, images):
    scaled = images / 255
    with pytest.warns(UserWarning, match="should be in 0..255.*is 1.*scaled"):
        small_model.class_maps(scaled)
    scaled[0, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="`images` must be finite"):
        small_model.class_maps(scaled)
