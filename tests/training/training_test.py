"""Warnings of `compile` and `fit`, and training for several labels."""

import warnings

import keras
import numpy as np
import pytest
from keras import ops

from keras_facnn import FACNN
from keras_facnn import attribution
from keras_facnn.layers import GlobalAvgPool3DHead
from tests.promises import with_other_weights


def warnings_of_compile(loss, threshold=False):
    model = FACNN(
        4, (16, 16, 3), (1, 1), (1, 2), space_to_depth=2, threshold=threshold
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.compile("sgd", loss)
    return [str(w.message) for w in caught]


@pytest.mark.parametrize(
    "loss, name",
    [
        ("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy"),
        ("crossentropy", "SparseCategoricalCrossentropy"),
        ("categorical_crossentropy", "CategoricalCrossentropy"),
        (keras.losses.categorical_crossentropy, "CategoricalCrossentropy"),
        (keras.losses.CategoricalCrossentropy(), "CategoricalCrossentropy"),
        ([keras.losses.CategoricalCrossentropy()], "CategoricalCrossentropy"),
        ("binary_crossentropy", "BinaryCrossentropy"),
        (keras.losses.BinaryCrossentropy(), "BinaryCrossentropy"),
    ],
    ids=str,
)
def test_a_loss_of_probabilities_warns_with_what_to_write(loss, name):
    (warning,) = warnings_of_compile(loss, threshold=True)
    assert f"loss=keras.losses.{name}(from_logits=True)" in warning


@pytest.mark.parametrize(
    "loss",
    [
        None,
        "mse",
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        lambda y, logits: ops.mean(logits),
    ],
    ids=str,
)
def test_other_losses_do_not_warn(loss):
    assert warnings_of_compile(loss) == []


def test_several_labels_an_image_ask_for_a_threshold():
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    (warning,) = warnings_of_compile(loss)
    assert "FACNN(..., threshold=True)" in warning
    assert warnings_of_compile(loss, threshold=True) == []


# --- The head's threshold ---


def with_threshold(rng):
    model = FACNN(
        4,
        (16, 16, 3),
        (1, 2),
        (2, 4),
        space_to_depth=2,
        threshold=True,
    )
    return with_other_weights(model, rng)


def test_a_threshold_takes_one_constant_off_every_logit(rng):
    maps = rng.uniform(size=(2, 3, 3, 8)).astype("float32")
    head = GlobalAvgPool3DHead(4, 2, initial_scale=5.0, threshold=True)
    head.build(maps.shape)
    head.log_threshold.assign(np.log(0.5))
    expected = 5 * (maps.reshape(2, 9, 4, 2).mean((1, 3)) - 0.5)
    np.testing.assert_allclose(
        ops.convert_to_numpy(head(maps)), expected, rtol=1e-4, atol=1e-5
    )
    assert float(ops.convert_to_numpy(head.offset)) == pytest.approx(2.5)
    twin = GlobalAvgPool3DHead.from_config(head.get_config())
    assert twin.threshold
    plain = GlobalAvgPool3DHead(4, 2)
    plain.build(maps.shape)
    assert float(ops.convert_to_numpy(plain.offset)) == 0


def test_every_promise_holds_up_to_the_constant(rng, images):
    model = with_threshold(rng)
    measured = model.verify(images)
    assert measured.pop("theorem_1_correlation") > 0.99999
    assert max(measured.values()) < 1e-3
    scale = np.exp(ops.convert_to_numpy(model.head.log_scale))
    offset = scale * np.exp(ops.convert_to_numpy(model.head.log_threshold))
    assert offset > 0.1
    logits, maps = model.predict_with_maps(images)
    np.testing.assert_allclose(
        logits + offset, scale * maps.mean((1, 2)), atol=1e-4
    )
    evidence = model.layer_evidence(images, "all")
    np.testing.assert_allclose(evidence.sum(1), logits + offset, atol=1e-4)
    np.testing.assert_allclose(
        model.layer_logits(images)[:, -1], logits, atol=1e-4
    )
    margin = attribution.contrast(model, images, 0, 1).sum((1, 2))
    np.testing.assert_allclose(margin, logits[:, 0] - logits[:, 1], atol=1e-4)


def test_a_threshold_is_kept_in_presets(rng, images, tmp_path):
    model = with_threshold(rng)
    model.save_to_preset(tmp_path / "preset")
    loaded = FACNN.from_preset(tmp_path / "preset")
    assert loaded.threshold
    np.testing.assert_array_equal(
        loaded.predict(images, verbose=0), model.predict(images, verbose=0)
    )


def test_several_labels_are_learned_with_a_threshold_alone(rng):
    """Each of two colors may be present; a threshold finds absent ones."""
    y = rng.integers(0, 2, (128, 2)).astype("float32")
    x = rng.uniform(0, 20, (128, 8, 8, 3))
    x[:, :4, :, 0] += 200 * y[:, :1, None]
    x[:, 4:, :, 2] += 200 * y[:, 1:, None]
    accuracy = {}
    for threshold in (False, True):
        keras.utils.set_random_seed(0)
        model = FACNN(2, (8, 8, 3), (2,), (4,), threshold=threshold)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.compile(
                keras.optimizers.Adam(0.02),
                keras.losses.BinaryCrossentropy(from_logits=True),
            )
        model.fit(x, y, epochs=30, batch_size=32, verbose=0)
        present = model.predict(x, verbose=0) > 0
        accuracy[threshold] = (present == (y > 0.5)).mean()
    assert accuracy[False] == pytest.approx(y.mean())
    assert accuracy[True] > 0.9


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_images_that_were_scaled_already_warn_once(small_model, rng, method):
    small_model.compile("sgd", "mse")
    images = rng.uniform(size=(4, 16, 16, 3)).astype("float32")
    labels = () if method == "predict" else (np.zeros((4, 4)),)

    def told_of(x):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            getattr(small_model, method)(x, *labels, verbose=0)
        return [w for w in caught if "0..255" in str(w.message)]

    for scaled in (images, ops.convert_to_tensor(images)):
        (warned,) = told_of(scaled)
        assert "scaled to 0..1" in str(warned.message)
        assert warned.filename == __file__
    assert not told_of(255 * images)
    assert not told_of(np.zeros((4, 16, 16, 3), "uint8"))


WRONG = [
    lambda images: images[:, :7],
    lambda images: images[..., :2],
    lambda images: images[:, :, :9],
]


@pytest.mark.parametrize("wrong", WRONG)
def test_images_of_another_shape_are_refused_at_any_time(
    small_model, images, wrong
):
    """On JAX and TensorFlow, Keras checks only the first images."""
    small_model.compile(
        "sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    labels = np.arange(len(images)) % small_model.num_classes
    for _ in range(2):
        for call in (small_model.fit, small_model.evaluate):
            with pytest.raises(Exception, match="(?i)incompatible|shape"):
                call(wrong(images), labels, verbose=0)
        with pytest.raises(Exception, match="(?i)incompatible|shape"):
            small_model.predict(wrong(images), verbose=0)
        small_model.fit(images, labels, verbose=0)
        small_model.evaluate(images, labels, verbose=0)
        small_model.predict(images, verbose=0)


def test_an_error_in_a_batch_leaves_the_weights(small_model, images, tmp_path):
    """On JAX, Keras moves the weights out of the model while it runs."""
    small_model.compile(
        "adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    labels = np.arange(len(images)) % small_model.num_classes
    small_model.fit(images, labels, verbose=0)

    def batches(good):
        for _ in range(good):
            yield images, labels
        yield images, labels[:1].repeat(len(images) + 1)

    for good in (0, 1):
        before = small_model.get_weights()
        with pytest.raises(Exception):  # noqa: B017
            small_model.evaluate(batches(good), verbose=0)
        for a, b in zip(before, small_model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        with pytest.raises(Exception):  # noqa: B017
            small_model.fit(batches(good), verbose=0)
        after = small_model.get_weights()
        if not good and keras.backend.backend() == "jax":
            for a, b in zip(before, after, strict=True):
                np.testing.assert_array_equal(a, b)
        assert all(np.isfinite(value).all() for value in after)
        small_model.save_to_preset(tmp_path / f"preset{good}")
        assert small_model.explain(images)
        small_model.fit(images, labels, verbose=0)


def test_an_error_in_the_first_step_of_an_epoch_leaves_the_weights(
    small_model, images
):
    """This is the very first step, or the first step after a validation."""
    labels = np.arange(len(images)) % small_model.num_classes
    bad = labels[:1].repeat(len(images) + 1)

    def batches(good):
        for _ in range(good):
            yield images, labels
        yield images, bad

    for good in (0, 1):
        small_model.compile(
            "adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        )
        with pytest.raises(Exception):  # noqa: B017
            small_model.fit(
                batches(good),
                steps_per_epoch=1,
                epochs=2,
                validation_data=(images, labels),
                verbose=0,
            )
        assert all(np.isfinite(w).all() for w in small_model.get_weights())
        assert small_model.explain(images)
        small_model.fit(images, labels, verbose=0)
        small_model.train_on_batch(images, labels)


def test_labels_of_no_class_warn(small_model, images):
    small_model.compile(
        "sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    count = small_model.num_classes
    labels = np.arange(len(images)) % count
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small_model.fit(images, labels, verbose=0)
    labels[0] = count
    with pytest.warns(
        UserWarning, match=f"0 to {count - 1}.*Received: {count}"
    ):
        try:
            small_model.fit(images, labels, verbose=0)
        except Exception:
            # PyTorch itself raises an error for such labels.
            pass
