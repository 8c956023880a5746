import keras
import numpy as np
import pytest
from keras import ops

from keras_facnn import FACNN
from keras_facnn import EvidencePenalty
from tests.training.training_test import warnings_of_compile


def loss():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def test_what_all_classes_share_costs_its_weight(rng):
    y = rng.integers(0, 5, 8)
    logits = rng.uniform(0, 9, (8, 5)).astype("float32")
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = -np.log(p[np.arange(8), y]) + 0.3 * logits.mean(-1)
    penalized = EvidencePenalty(loss(), 0.3)
    for shared in (0.0, 20.0):
        found = ops.convert_to_numpy(penalized(y, logits + np.float32(shared)))
        np.testing.assert_allclose(
            found, expected.mean() + 0.3 * shared, rtol=1e-5
        )
    weights = np.arange(8, dtype="float32")
    np.testing.assert_allclose(
        ops.convert_to_numpy(penalized(y, logits, weights)),
        (weights * expected).mean(),
        rtol=1e-5,
    )


@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_ignored_labels_do_not_count(rng, weight):
    """They count neither in the sum nor in its divisor."""
    y = np.array([0, -1, 2, -1, -1, 4])
    logits = rng.uniform(0, 9, (6, 5)).astype("float32")
    kept = y >= 0
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = -np.log(p[np.arange(6), y]) + weight * logits.mean(-1)
    ignoring = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=-1
    )
    penalized = EvidencePenalty(ignoring, weight)
    for _ in range(2):
        found = ops.convert_to_numpy(penalized(y, logits))
        np.testing.assert_allclose(found, expected[kept].mean(), rtol=1e-5)
    weights = np.arange(6, dtype="float32")
    alike = ops.convert_to_numpy(
        EvidencePenalty(loss(), weight)(y[kept], logits[kept], weights[kept])
    )
    found = ops.convert_to_numpy(penalized(y, logits, weights))
    np.testing.assert_allclose(found, alike, rtol=1e-5)


def test_ignored_labels_do_not_count_in_fit(rng):
    """In `fit`, the backend traces the step."""
    x = rng.integers(0, 256, (6, 8, 8, 3)).astype("uint8")
    y = np.array([0, -1, 2, -1, -1, 1])
    ignoring = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=-1
    )
    found = []
    for of_labels in (ignoring, EvidencePenalty(ignoring, 0.0)):
        keras.utils.set_random_seed(0)
        model = FACNN(3, (8, 8, 3), (2,), (1,), deep_alignment=0.5)
        model.compile("sgd", of_labels)
        found.append(model.fit(x, y, verbose=0).history["loss"])
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_nothing_is_won_below_zero(rng):
    """Otherwise the loss with a threshold would have no lower bound."""
    y = rng.integers(0, 5, 8)
    logits = rng.uniform(-9, 0, (8, 5)).astype("float32")
    np.testing.assert_allclose(
        ops.convert_to_numpy(EvidencePenalty(loss(), 0.3)(y, logits)),
        ops.convert_to_numpy(loss()(y, logits)),
        rtol=1e-6,
    )


def test_the_evidence_of_absent_classes_fades(rng):
    """The side of a bright square decides between two classes."""
    images = rng.integers(0, 60, (64, 16, 16, 3)).astype("uint8")
    labels = np.arange(64) % 2
    for image, label in zip(images, labels, strict=True):
        start = 2 + 8 * label
        image[6:10, start : start + 4] = 255
    absent = []
    for weight in (0.0, 0.1):
        keras.utils.set_random_seed(0)
        model = FACNN(
            2, (16, 16, 3), (2, 2), (4, 8), space_to_depth=2, deep_alignment=0.3
        )
        model.compile(
            keras.optimizers.Adam(0.01), EvidencePenalty(loss(), weight)
        )
        model.fit(images, labels, epochs=15, batch_size=16, verbose=0)
        logits = model.predict(images, verbose=0)
        assert (logits.argmax(-1) == labels).mean() > 0.95
        absent.append(logits.min(-1).mean())
    assert absent[1] < absent[0] / 2


def test_a_saved_model_trains_on_with_it(rng, tmp_path):
    model = FACNN(2, (16, 16, 3), (1, 1), (1, 2), space_to_depth=2)
    model.compile("sgd", EvidencePenalty(loss(), 0.2))
    images = rng.integers(0, 256, (4, 16, 16, 3)).astype("uint8")
    labels = np.array([0, 1, 0, 1])
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.loss.weight == 0.2
    np.testing.assert_allclose(
        again.evaluate(images, labels, verbose=0),
        model.evaluate(images, labels, verbose=0),
        rtol=1e-5,
    )


def test_the_loss_within_still_warns():
    within = keras.losses.SparseCategoricalCrossentropy()
    for penalized in (
        EvidencePenalty(within),
        EvidencePenalty(EvidencePenalty(within)),
    ):
        (warning,) = warnings_of_compile(penalized)
        assert (
            "Write within EvidencePenalty loss=keras.losses."
            "SparseCategoricalCrossentropy(from_logits=True)" in warning
        )
    assert warnings_of_compile(EvidencePenalty(loss())) == []


@pytest.mark.parametrize("given", ["mse", None, len])
def test_what_is_no_loss_is_refused(given):
    with pytest.raises(TypeError, match="`loss` must be a keras.losses.Loss"):
        EvidencePenalty(given)


@pytest.mark.parametrize("weight", [-0.1, np.nan, "0.1", True])
def test_what_is_no_weight_is_refused(weight):
    with pytest.raises(ValueError, match="`weight` must be"):
        EvidencePenalty(loss(), weight)
