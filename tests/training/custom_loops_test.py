"""Deep alignment outside the model's own `fit` works by hand, or warns.

The loops are those of the docstring of `FACNN.compute_layer_logits`, on the
active backend.
"""

import warnings

import keras
import numpy as np
import pytest
from keras import ops

from keras_facnn import FACNN

BACKEND = keras.backend.backend()
Y = np.array([0, 1, 2, 3, 0])


def make(weight=0.6, **kwargs):
    keras.utils.set_random_seed(0)
    return FACNN(
        4,
        (16, 16, 3),
        (1, 2),
        (2, 4),
        space_to_depth=2,
        deep_alignment=weight,
        **kwargs,
    )


def loss_function():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def compiled(model):
    model.compile(keras.optimizers.SGD(0.05), loss_function())
    return model


def test_a_single_layer_has_logits_of_its_own():
    model = FACNN(4, (8, 8, 3), (1,), (1,))
    x = np.random.default_rng(0).uniform(0, 255, (3, 8, 8, 3))
    found = ops.convert_to_numpy(
        model.compute_layer_logits(x.astype("float32"))
    )
    assert found.shape == (3, 1, 4)
    np.testing.assert_allclose(
        found[:, 0], model.predict(x, verbose=0), rtol=1e-5
    )


def loop(model, x, y, steps):
    """Run a custom training loop, and return the loss of each step."""
    optimizer = keras.optimizers.SGD(0.05)
    optimizer.build(model.trainable_variables)
    loss_fn = loss_function()

    def compute():
        logits = model.compute_layer_logits(x, training=True)
        loss = loss_fn(y, logits[:, -1])
        return loss + model.deep_alignment_loss(y, logits, loss_fn)

    return {"jax": on_jax, "tensorflow": on_tensorflow, "torch": on_torch}[
        BACKEND
    ](model, optimizer, compute, steps)


def on_jax(model, optimizer, compute, steps):
    import jax

    def loss_and_state(trained, state):
        mapping = [
            *zip(model.trainable_variables, trained, strict=True),
            *zip(model.non_trainable_variables, state, strict=True),
        ]
        with keras.StatelessScope(mapping) as scope:
            loss = compute()
        return loss, [
            scope.get_current_value(v) for v in model.non_trainable_variables
        ]

    @jax.jit
    def step(trained, state, optimizer_state):
        (loss, state), gradients = jax.value_and_grad(
            loss_and_state, has_aux=True
        )(trained, state)
        trained, optimizer_state = optimizer.stateless_apply(
            optimizer_state, gradients, trained
        )
        return loss, trained, state, optimizer_state

    trained = [v.value for v in model.trainable_variables]
    state = [v.value for v in model.non_trainable_variables]
    optimizer_state = [v.value for v in optimizer.variables]
    losses = []
    with jax.checking_leaks():
        for _ in range(steps):
            loss, trained, state, optimizer_state = step(
                trained, state, optimizer_state
            )
            losses.append(float(loss))
    for v, value in zip(
        model.trainable_variables + model.non_trainable_variables,
        [*trained, *state],
        strict=True,
    ):
        v.assign(value)
    return losses


def on_tensorflow(model, optimizer, compute, steps):
    import tensorflow as tf

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = compute()
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    return [float(step()) for _ in range(steps)]


def on_torch(model, optimizer, compute, steps):
    import torch

    losses = []
    for _ in range(steps):
        loss = compute()
        model.zero_grad()
        loss.backward()
        variables = model.trainable_variables
        with torch.no_grad():
            optimizer.apply([v.value.grad for v in variables], variables)
        losses.append(float(loss.detach()))
    return losses


def test_a_loop_by_layer_logits_trains_as_fit_does(images):
    x = images.astype("float32")
    by_fit, by_hand = compiled(make()), make()
    fitted = by_fit.fit(x, Y, epochs=3, verbose=0).history["loss"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        looped = loop(by_hand, x, Y, 3)
    assert looped[0] == pytest.approx(fitted[0], rel=1e-5)
    np.testing.assert_allclose(looped, fitted, rtol=1e-4)
    for a, b in zip(by_fit.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    assert compiled(make()).train_on_batch(x, Y) == pytest.approx(
        looped[0], rel=1e-5
    )
    plain = compiled(make(0.0)).train_on_batch(x, Y)
    assert fitted[0] - plain > 0.1


def test_layer_logits_are_what_the_head_reads_off_every_layer(images):
    model = make()
    logits = ops.convert_to_numpy(model.compute_layer_logits(images))
    assert logits.shape == (5, 3, 4)
    np.testing.assert_allclose(logits, model.layer_logits(images), atol=1e-5)
    trained = ops.convert_to_numpy(
        model.compute_layer_logits(images, training=True)
    )
    assert np.abs(trained - logits).max() > 1e-3


def test_deep_alignment_loss_weights_the_layers(rng):
    y, logits = rng.integers(0, 4, 6), rng.normal(size=(6, 3, 4))
    logits = logits.astype("float32")
    z = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    losses = -z[np.arange(6), :, y]
    expected = 0.6 * (losses[:, 0] / 3 + 2 / 3 * losses[:, 1])
    model, loss = make(), loss_function()

    def added(*args):
        return ops.convert_to_numpy(model.deep_alignment_loss(y, logits, *args))

    np.testing.assert_allclose(added(loss), expected.mean(), rtol=1e-5)
    weights = np.array([0, 1, 2, 0, 0, 1], "float32")
    np.testing.assert_allclose(
        added(loss, weights), (weights * expected).mean(), rtol=1e-5
    )
    with pytest.raises(ValueError, match="`loss` must be a function"):
        added()
    with pytest.raises(ValueError, match="`loss` must be a function"):
        added("mse")
    compiled(model)
    np.testing.assert_allclose(added(), expected.mean(), rtol=1e-5)
    model.deep_alignment = 0
    assert added(loss) == 0


def own_call(model, x):
    """Run a custom forward pass, as Keras' guides do."""
    if BACKEND != "jax":
        return model(x, training=True)
    import jax

    with jax.checking_leaks():
        return jax.jit(
            lambda t, n, x: model.stateless_call(t, n, x, training=True)[0]
        )(
            [v.value for v in model.trainable_variables],
            [v.value for v in model.non_trainable_variables],
            x,
        )


@pytest.mark.parametrize("is_compiled", [False, True])
def test_a_forward_pass_of_ones_own_warns_once(images, is_compiled):
    x = images.astype("float32")
    model = compiled(make()) if is_compiled else make()
    with pytest.warns(UserWarning, match="deep_alignment_loss"):
        own_call(model, x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        own_call(model, x)
        own_call(make(0.0), x)


def test_a_model_in_front_of_augmentation_warns(images):
    outer = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.RandomFlip("horizontal"),
            make(),
        ]
    )
    outer.compile("sgd", loss_function())
    with pytest.warns(UserWarning, match="deep_alignment=0.6 has no effect"):
        outer.fit(images, Y, verbose=0)


def test_two_forward_passes_then_the_first_loss_is_refused(images):
    """The logits of one pass do not fit the maps of another pass."""

    class Twice(FACNN):
        def compute_loss(
            self, x=None, y=None, y_pred=None, sample_weight=None, training=True
        ):
            if training:
                self(ops.flip(x, 0), training=True)
            return super().compute_loss(x, y, y_pred, sample_weight, training)

    model = Twice(4, (16, 16, 3), (1, 2), (2, 4), deep_alignment=0.6)
    model.compile("sgd", loss_function())
    with pytest.raises(ValueError, match="`y_pred` which the model"):
        model.train_on_batch(images.astype("float32"), Y)


def test_compute_loss_outside_a_step_of_its_own_is_refused(images):
    model = compiled(make())
    with pytest.warns(UserWarning, match="has no effect here"):
        logits = model(images, training=True)
    with pytest.raises(ValueError, match="compute_layer_logits"):
        model.compute_loss(images, Y, logits)
    np.testing.assert_allclose(
        ops.convert_to_numpy(
            model.compute_loss(images, Y, logits, None, False)
        ),
        ops.convert_to_numpy(loss_function()(Y, logits)),
        rtol=1e-5,
    )


@pytest.mark.skipif(BACKEND != "jax", reason="Tracers are JAX's")
def test_a_train_step_leaks_no_tracer(images):
    import jax

    model = compiled(make())
    x = images.astype("float32")
    model.optimizer.build(model.trainable_variables)
    state = tuple(
        [v.value for v in variables]
        for variables in (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )
    )
    with jax.checking_leaks():
        logs, _ = jax.jit(model.train_step)(state, (x, Y))
    assert np.isfinite(float(logs["loss"]))


def test_a_model_of_one_layer_has_one_depth(images):
    model = FACNN(3, images.shape[1:], depths=(1,), maps_per_class=(1,))
    found = ops.convert_to_numpy(model.compute_layer_logits(images))
    assert found.shape == (len(images), 1, 3)
    np.testing.assert_allclose(
        found[:, 0], model.predict(images, verbose=0), rtol=1e-5, atol=1e-5
    )
