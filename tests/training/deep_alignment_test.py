import keras
import numpy as np
import pytest
from keras import ops

from keras_facnn import FACNN


def make(weight, sgd=0.0):
    model = FACNN(
        4, (16, 16, 3), (1, 2), (2, 4), space_to_depth=2, deep_alignment=weight
    )
    model.compile(
        optimizer=keras.optimizers.SGD(sgd),
        loss=keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=0.1
        ),
    )
    return model


def labels():
    return np.eye(4, dtype="float32")[[0, 1, 2, 3, 0]]


def cross_entropy(y, logits):
    y = 0.9 * y + 0.1 / 4
    logits = logits - logits.max(-1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return -(y * log_p).sum(-1)


def training_logits(model, images):
    """Return the logits of every layer, with the statistics of the batch."""
    names = [f"fa_{layer}" for layer in (1, 2, 3)]
    outputs = [model.get_layer(name).output for name in names]
    maps = keras.Model(model.input, outputs)(images, training=True)
    scale = np.exp(ops.convert_to_numpy(model.head.log_scale))
    return [
        scale
        * ops.convert_to_numpy(m)
        .reshape(len(images), m.shape[1], m.shape[2], 4, -1)
        .mean((1, 2, 4))
        for m in maps
    ]


@pytest.mark.parametrize("sample_weight", [None, [1.0, 0.0, 2.0, 0.5, 1.0]])
def test_loss_is_the_weighted_sum_over_depths(images, sample_weight):
    model = make(0.6)
    logits = training_logits(model, images)
    weight = np.ones(5) if sample_weight is None else np.array(sample_weight)
    losses = [(weight * cross_entropy(labels(), y)).mean() for y in logits]
    expected = losses[2] + 0.6 * (1 / 3 * losses[0] + 2 / 3 * losses[1])
    if sample_weight is not None:
        sample_weight = np.array(sample_weight, "float32")
    history = model.fit(
        images, labels(), sample_weight=sample_weight, verbose=0
    )
    np.testing.assert_allclose(history.history["loss"], expected, rtol=1e-4)


def test_evaluation_is_of_the_last_layer_alone(images):
    model = make(0.6)
    logits = model.predict(images, verbose=0)
    np.testing.assert_allclose(
        model.evaluate(images, labels(), verbose=0),
        cross_entropy(labels(), logits).mean(),
        rtol=1e-4,
    )


def test_can_be_turned_off_and_on_between_fits(images):
    model = make(0.6)

    def loss():
        return model.fit(images, labels(), verbose=0).history["loss"][0]

    on = loss()
    model.deep_alignment = 0
    off = loss()
    plain = cross_entropy(labels(), training_logits(model, images)[2]).mean()
    np.testing.assert_allclose(off, plain, rtol=1e-4)
    model.deep_alignment = 0.6
    np.testing.assert_allclose(loss(), on, rtol=1e-4)
    assert on > off


def test_pulls_early_layers_to_the_classes(rng):
    """Each class is one picture; only deep alignment trains layer 1 for it."""
    y = rng.integers(0, 4, 64)
    pictures = rng.uniform(0, 255, (4, 16, 16, 3))
    x = pictures[y] + rng.normal(0, 20, (64, 16, 16, 3))
    x = x.clip(0, 255).astype("float32")
    one_hot = np.eye(4, dtype="float32")[y]
    losses = []
    for weight in (0.0, 1.0):
        keras.utils.set_random_seed(1)
        model = make(weight, sgd=0.1)
        model.fit(x, one_hot, epochs=15, batch_size=16, verbose=0)
        losses.append(cross_entropy(one_hot, training_logits(model, x)[0]))
    off, on = (x.mean() for x in losses)
    assert on < 0.6 * off


def test_a_call_in_training_mode_still_returns_logits(images):
    with pytest.warns(UserWarning, match="deep_alignment=0.6 has no effect"):
        out = make(0.6)(images, training=True)
    assert tuple(out.shape) == (5, 4)


def test_a_single_layer_has_none_to_align(images):
    model = FACNN(
        4, (16, 16, 3), (1,), (1,), space_to_depth=2, deep_alignment=0.5
    )
    model.compile("sgd", "mse")
    assert tuple(model(images, training=True).shape) == (5, 4)
    assert np.isfinite(model.fit(images, labels(), verbose=0).history["loss"])


def test_says_when_no_loss_was_compiled(images):
    model = FACNN(
        4, (16, 16, 3), (2,), (1,), space_to_depth=2, deep_alignment=0.5
    )
    with pytest.raises(ValueError, match="loss"):
        model.compute_loss(images, labels(), np.zeros((5, 4), "float32"))
