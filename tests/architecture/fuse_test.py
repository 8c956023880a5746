import pickle

import keras
import numpy as np
import pytest
from keras import ops

from keras_facnn import FACNN
from keras_facnn.layers import DampenedSkip
from tests import numpy_reference


def predict(model, images):
    return model.predict(images, verbose=0)


@pytest.fixture
def fused(small_model):
    return small_model.fuse()


def test_computes_the_equations_of_the_paper(small_model, fused, images):
    np.testing.assert_allclose(
        predict(fused, images),
        numpy_reference.logits(small_model, images),
        rtol=1e-4,
        atol=1e-4,
    )


def test_kernel_and_bias_are_those_of_the_folded_formula(rng):
    model = FACNN(2, (8, 8, 3), (1,), (1,), alpha=0.3, batch_norm_gain=True)
    weights = [rng.uniform(0.5, 2, w.shape) for w in model.get_weights()]
    model.set_weights(weights)
    kernel, gamma, beta, mean, variance, _ = weights
    x = rng.uniform(-1, 1, (4, 3, 3, 2))
    convolved = np.einsum("bhwi,hwio->bo", x, kernel)
    norm = gamma * (convolved - mean) / np.sqrt(variance + 1e-3) + beta
    kernel, bias = model.fuse().get_layer("conv_1").get_weights()
    np.testing.assert_allclose(
        np.einsum("bhwi,hwio->bo", x, kernel.astype("float64")) + bias,
        0.3 * norm,
        rtol=1e-5,
        atol=1e-5,
    )


def test_the_names_stay_but_those_of_the_norms(small_model, fused):
    expected = [
        x.name for x in small_model.layers if not x.name.startswith("norm_")
    ]
    assert [x.name for x in fused.layers] == expected
    assert type(fused) is FACNN
    assert not fused.trainable_weights


def test_explains_as_before(small_model, fused, images, optimized):
    for of in (
        lambda model: model.predict_with_maps(images)[1],
        lambda model: model.class_maps(images, [0, 1, 2, 3, 0], layer=1),
        lambda model: model.layer_logits(images),
        lambda model: model.layer_evidence(images),
        lambda model: model.layer_evidence(images, "all", maps=True),
        lambda model: predict(model.feature_extractor((2,)), images)["fa_2"],
    ):
        np.testing.assert_allclose(
            of(fused), of(small_model), rtol=1e-4, atol=1e-4
        )
    measured = fused.verify(images)
    for name in ("theorem_1_error", "completeness_error", "evidence_error"):
        assert measured[name] < 1e-4


def test_saves_loads_and_pickles(fused, images, tmp_path):
    before = predict(fused, images)
    fused.save(tmp_path / "model.keras")
    fused.save_to_preset(tmp_path / "preset")
    for loaded in (
        keras.models.load_model(tmp_path / "model.keras"),
        FACNN.from_preset(tmp_path / "preset"),
        pickle.loads(pickle.dumps(fused)),
        fused.fuse(),
    ):
        assert loaded.fused
        np.testing.assert_array_equal(predict(loaded, images), before)
        with pytest.raises(RuntimeError, match="`fit` does not work"):
            loaded.fit(images, np.zeros(5))


def test_refuses_to_train(small_model, fused, images):
    labels = np.zeros(5, int)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    fused.compile(loss=loss)
    fused.evaluate(images, labels, verbose=0)
    for train in (
        lambda: fused.fit(images, labels),
        lambda: fused.train_on_batch(images, labels),
    ):
        with pytest.raises(RuntimeError, match="Train .* and fuse it again"):
            train()
    small_model.compile("sgd", loss)
    before = predict(fused, images)
    small_model.fit(images, labels, verbose=0)
    np.testing.assert_array_equal(predict(fused, images), before)


def test_knows_the_names_of_the_classes(small_model, tmp_path):
    names = ["a", "b", "c", "d"]
    small_model.save_to_preset(tmp_path / "preset", {"class_names": names})
    model = FACNN.from_preset(tmp_path / "preset")
    fused = model.fuse()
    assert fused.class_names == names
    fused.preset_metadata["class_names"][0] = "z"
    assert model.class_names == names


def test_leaves_what_is_for_training_alone_behind(images):
    model = FACNN(
        4,
        (16, 16, 3),
        (2,),
        (1,),
        deep_alignment=0.5,
        stochastic_depth=0.5,
    )
    fused = model.fuse()
    outputs = [
        ops.convert_to_numpy(fused(images, training=t)) for t in (True, False)
    ]
    np.testing.assert_array_equal(*outputs)


def test_computes_in_the_dtype_of_the_model(images):
    model = FACNN(4, (16, 16, 3), (2,), (1,), dtype="mixed_bfloat16")
    fused = model.fuse()
    assert fused.get_layer("fa_1").compute_dtype == "bfloat16"
    np.testing.assert_allclose(
        predict(fused, images), predict(model, images), rtol=0.05, atol=0.02
    )


def test_a_folded_skip_drops_no_branch():
    with pytest.raises(ValueError, match="`drop_rate` must be 0.*Received"):
        DampenedSkip(0.5, drop_rate=0.1, folded=True)
    with pytest.raises(ValueError, match="`folded` must be.*Received"):
        DampenedSkip(0.5, folded="yes")
