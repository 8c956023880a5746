"""Evidence in wrong places costs what NumPy says, and training moves it."""

import importlib.util
import warnings

import keras
import numpy as np
import pytest
from keras import ops

from keras_facnn import FACNN
from keras_facnn import EvidencePenalty
from keras_facnn import RegionPenalty
from tests.training.custom_loops_test import BACKEND
from tests.training.custom_loops_test import on_jax
from tests.training.custom_loops_test import on_tensorflow
from tests.training.custom_loops_test import on_torch
from tests.training.training_test import warnings_of_compile

Y = np.array([0, 1, 2, 3, 0])


def sparse():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def dense():
    return keras.losses.CategoricalCrossentropy(from_logits=True)


def make(loss=None, weight=0.0, learning_rate=0.0, **kwargs):
    keras.utils.set_random_seed(0)
    model = FACNN(
        4,
        (16, 16, 3),
        (1, 2),
        (2, 4),
        space_to_depth=2,
        deep_alignment=weight,
        **kwargs,
    )
    if loss is not None:
        optimizer = keras.optimizers.SGD(learning_rate)
        model.compile(optimizer, loss, metrics=["accuracy"])
    return model


@pytest.fixture
def masks(rng):
    """Masks of 5 images, of which one has no region."""
    masks = (rng.uniform(size=(5, 16, 16)) < 0.5).astype("float32")
    masks[3] = np.nan
    return masks


# --- The same in NumPy ---


def resized(masks, size):
    """Average masks over cells, after each pixel is cut into equal parts."""
    for axis, cells in ((1, size[0]), (2, size[1])):
        pixels = masks.shape[axis]
        parts = np.repeat(masks, cells, axis)
        shape = [*parts.shape]
        shape[axis : axis + 1] = [cells, pixels]
        masks = parts.reshape(shape).mean(axis + 1)
    return masks


def widened(shares, margin):
    _, height, width = shares.shape
    return np.stack(
        [
            [
                shares[
                    :,
                    max(i - margin, 0) : i + margin + 1,
                    max(j - margin, 0) : j + margin + 1,
                ].max((1, 2))
                for j in range(width)
            ]
            for i in range(height)
        ]
    ).transpose(2, 0, 1)


def expected_share(labels, maps, masks, inside=True, margin=0, centered=True):
    maps = maps.astype("float64")
    evidence = maps - maps.mean(-1, keepdims=True) if centered else maps
    shares = widened(resized(masks.astype("float64"), maps.shape[1:3]), margin)
    wrong = 1 - shares if inside else shares
    found = []
    for i, label in enumerate(labels):
        positive = np.maximum(evidence[i, ..., label], 0)
        misplaced = (positive * wrong[i]).sum()
        is_known = not np.isnan(masks[i]).any() and positive.any()
        found.append(misplaced / positive.sum() if is_known else 0.0)
    return np.array(found)


def share(loss, labels, maps, masks):
    return ops.convert_to_numpy(loss.misplaced_evidence(labels, maps, masks))


# --- The share ---


@pytest.mark.parametrize("size", [(16, 16), (8, 12), (10, 7), (3, 2), (4, 5)])
@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("margin", [0, 1, 2])
def test_the_share_is_that_of_numpy(rng, size, inside, margin):
    maps = rng.uniform(size=(6, 4, 5, 3)).astype("float32")
    masks = rng.uniform(size=(6, *size)).astype("float32")
    masks[2] = np.nan
    labels = np.array([0, 1, 2, 0, 1, 2])
    loss = RegionPenalty(sparse(), inside=inside, margin=margin)
    expected = expected_share(labels, maps, masks, inside, margin)
    np.testing.assert_allclose(
        share(loss, labels, maps, masks), expected, atol=1e-5
    )
    assert expected[2] == 0 and (np.delete(expected, 2) > 0).all()
    one_hot = np.eye(3, dtype="float32")[labels]
    for alike in (labels[:, None], one_hot):
        np.testing.assert_allclose(
            share(loss, alike, maps, masks), expected, atol=1e-5
        )


def test_masks_of_booleans_and_bytes_are_masks_too(rng):
    maps = rng.uniform(size=(2, 4, 4, 3)).astype("float32")
    masks = rng.uniform(size=(2, 8, 8)) < 0.5
    loss = RegionPenalty(sparse())
    expected = share(loss, [0, 1], maps, masks.astype("float32"))
    for dtype in ("bool", "uint8", "float64"):
        found = share(loss, [0, 1], maps, masks.astype(dtype))
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_banned_regions_are_widened_by_a_cell_by_default():
    assert RegionPenalty(sparse()).margin == 0
    assert RegionPenalty(sparse(), inside=False).margin == 1
    assert RegionPenalty(sparse(), inside=False, margin=0).margin == 0


def test_each_of_several_labels_counts_by_itself(rng):
    """A sigmoid reads each logit by itself, so raw maps decide."""
    maps = rng.uniform(size=(2, 4, 4, 3)).astype("float32")
    masks = (rng.uniform(size=(2, 4, 4)) < 0.5).astype("float32")
    labels = np.array([[1, 0, 1], [0, 0, 0]], "float32")
    loss = RegionPenalty(keras.losses.BinaryCrossentropy(from_logits=True))
    one, two = (
        expected_share([c], maps[:1], masks[:1], centered=False)[0]
        for c in (0, 2)
    )
    np.testing.assert_allclose(
        share(loss, labels, maps, masks), [(one + two) / 2, 0], rtol=1e-5
    )
    assert RegionPenalty(sparse(), centered=False).centered is False
    within = EvidencePenalty(keras.losses.BinaryFocalCrossentropy())
    assert RegionPenalty(within).centered is False
    assert RegionPenalty(EvidencePenalty(sparse())).centered is True


def gradient(function, x):
    """Return the gradient of the sum of a function, on the active backend."""
    if BACKEND == "torch":
        import torch

        x = torch.tensor(x, requires_grad=True)
        function(x).sum().backward()
        return x.grad.numpy()
    if BACKEND == "jax":
        import jax

        return np.asarray(jax.grad(lambda x: function(x).sum())(x))
    import tensorflow as tf

    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(function(x))
    return tape.gradient(total, x).numpy()


@pytest.mark.parametrize("inside", [True, False])
def test_the_gradient_is_that_of_finite_differences(rng, inside):
    maps = rng.uniform(size=(3, 3, 3, 3)).astype("float32")
    masks = rng.uniform(size=(3, 6, 6)).astype("float32")
    masks[1] = np.nan
    labels, step = np.array([0, 1, 2]), 1e-6
    loss = RegionPenalty(sparse(), inside=inside, margin=0)
    found = gradient(lambda x: loss.misplaced_evidence(labels, x, masks), maps)
    expected = np.zeros(maps.shape)
    for where in np.ndindex(maps.shape):
        moved = np.zeros(maps.shape)
        moved[where] = step
        low, high = (
            expected_share(labels, maps + way * moved, masks, inside).sum()
            for way in (-1, 1)
        )
        expected[where] = (high - low) / (2 * step)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(expected[0]).max() > 0.01 and not found[1].any()


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1.0, 1e30])
def test_without_positive_evidence_nothing_breaks(scale):
    """Also not if it is nearly nothing, whose share has a steep gradient."""
    maps = np.full((3, 2, 2, 3), scale, "float32")
    # The other classes have more everywhere; then hardly more in two cells.
    maps[:2, ..., 0] = 0
    maps[1, 0, :, 0] = scale * np.array([1 + 1e-6, 1 + 2e-6])
    masks = np.ones((3, 2, 2), "float32")
    masks[:, 0, 0] = 0
    loss = RegionPenalty(sparse())

    def shares(x):
        return loss.misplaced_evidence(np.zeros(3, "int32"), x, masks)

    found = ops.convert_to_numpy(shares(maps))
    assert found[0] == 0 and (found >= 0).all() and (found < 0.01).all()
    slope = gradient(shares, maps)
    assert np.isfinite(slope).all()
    if scale >= 1:
        assert np.abs(slope).max() * scale < 1e4


# --- In the methods of Keras ---


def maps_of(model, images, training):
    """Return the logits and class maps, by a model that Keras builds."""
    graph = keras.Model(
        model.input, [model.get_layer("fa_3").output, model.output]
    )
    maps, logits = map(
        ops.convert_to_numpy, graph(images.astype("float32"), training=training)
    )
    return logits, maps.reshape(*maps.shape[:3], 4, -1).mean(-1)


def cross_entropy(labels, logits):
    z = logits - logits.max(-1, keepdims=True)
    z = z - np.log(np.exp(z).sum(-1, keepdims=True))
    return -z[np.arange(len(z)), labels]


@pytest.mark.parametrize(
    "inside, sample_weight, wrap",
    [
        (True, None, "alone"),
        (False, [1.0, 0.0, 2.0, 0.5, 1.0], "alone"),
        (True, [1.0, 0.0, 2.0, 0.5, 1.0], "outside"),
        (False, None, "within"),
    ],
)
def test_fit_adds_the_mean_share(images, masks, inside, sample_weight, wrap):
    loss, shared = RegionPenalty(sparse(), 2.0, inside=inside), 0.0
    if wrap != "alone":
        shared = 0.3
        within = RegionPenalty(EvidencePenalty(sparse(), 0.3), 2.0, inside)
        loss = EvidencePenalty(loss, 0.3) if wrap == "outside" else within
    model = make(loss)
    weight = np.ones(5) if sample_weight is None else np.array(sample_weight)
    if sample_weight is not None:
        sample_weight = weight.astype("float32")
    y = {"labels": Y, "regions": masks}

    def expected(training, penalty):
        logits, maps = maps_of(model, images, training)
        each = cross_entropy(Y, logits) + shared * logits.mean(-1)
        margin = 0 if inside else 1
        shares = expected_share(Y, maps, masks, inside, margin)
        assert shares[[0, 1, 2, 4]].min() > 0.1 and shares[3] == 0
        return (weight * (each + penalty * shares)).mean()

    weighted = {"sample_weight": sample_weight, "verbose": 0}
    before = expected(True, 2.0)
    history = model.fit(images, y, **weighted).history
    np.testing.assert_allclose(history["loss"], before, rtol=1e-4)
    found, accuracy = model.evaluate(images, y, **weighted)
    np.testing.assert_allclose(found, expected(False, 2.0), rtol=1e-4)
    logits = model.predict(images, verbose=0)
    assert accuracy == pytest.approx((logits.argmax(-1) == Y).mean())
    found, _ = model.evaluate(images, Y, **weighted)
    np.testing.assert_allclose(found, expected(False, 0.0), rtol=1e-4)


def test_deep_alignment_comes_on_top(images, masks):
    y = {"labels": Y, "regions": masks}
    aligned, plain = make(sparse(), 0.6), make(sparse())
    added = (
        aligned.fit(images, Y, verbose=0).history["loss"][0]
        - plain.fit(images, Y, verbose=0).history["loss"][0]
    )
    found = [
        make(RegionPenalty(sparse()), weight)
        .fit(images, y, verbose=0)
        .history["loss"][0]
        for weight in (0.0, 0.6)
    ]
    assert added > 0.1
    assert found[1] - found[0] == pytest.approx(added, rel=1e-4)


def test_validation_data_may_have_regions_or_not(images, masks):
    y = {"labels": Y, "regions": masks}
    model = make(RegionPenalty(sparse(), 5.0))

    def validated(data):
        history = model.fit(images, y, validation_data=data, verbose=0).history
        assert 0 <= history["val_accuracy"][0] <= 1
        return history["val_loss"][0] - model.evaluate(*data, verbose=0)[0]

    assert validated((images, Y)) == pytest.approx(0, abs=1e-5)
    assert validated((images, y)) == pytest.approx(0, abs=1e-5)
    assert (
        model.evaluate(images, y, verbose=0)[0]
        > model.evaluate(images, Y, verbose=0)[0] + 0.5
    )
    history = model.fit(images, y, validation_split=0.4, verbose=0).history
    assert np.isfinite(history["val_loss"]).all()


def test_batches_by_hand_are_those_of_fit(images, masks):
    x, y = images.astype("float32"), {"labels": Y, "regions": masks}
    fitted = make(RegionPenalty(sparse())).fit(x, y, verbose=0).history
    model = make(RegionPenalty(sparse()))
    found = model.train_on_batch(x, y, return_dict=True)
    assert found["loss"] == pytest.approx(fitted["loss"][0], rel=1e-5)
    found = model.test_on_batch(x, y)
    np.testing.assert_allclose(
        found, model.evaluate(x, y, verbose=0), rtol=1e-5
    )


def as_dataset(x, y):
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return x, y

    return Batches()


def as_generator(x, y):
    yield x, y


def as_data_loader(x, y):
    torch = pytest.importorskip("torch")
    rows = [
        (image, {name: values[i] for name, values in y.items()})
        for i, image in enumerate(x)
    ]
    return torch.utils.data.DataLoader(rows, batch_size=5)


def as_tf_data(x, y):
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("TensorFlow is not installed")
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((x, y)).batch(5)


# Keras warns about a generator that ends with its epoch.
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize(
    "wrap", [as_dataset, as_generator, as_data_loader, as_tf_data]
)
def test_fit_takes_regions_in_data_of_every_kind(images, masks, wrap):
    x, y = images.astype("float32"), {"labels": Y, "regions": masks}

    def losses(*data):
        model = make(RegionPenalty(sparse()), 0.5)
        history = model.fit(*data, shuffle=False, verbose=0).history
        return [history["loss"][0], history["accuracy"][0]]

    np.testing.assert_allclose(losses(wrap(x, y)), losses(x, y), rtol=1e-5)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="Others know all sizes")
def test_images_of_any_size_have_masks_of_any_size(rng):
    model = FACNN(4, (None, None, 3), (2,), (1,), space_to_depth=2)
    model.compile("sgd", RegionPenalty(sparse(), inside=False))
    for size, side in ((16, 16), (24, 10)):
        x = rng.uniform(0, 255, (5, size, size, 3)).astype("float32")
        masks = rng.uniform(size=(5, side, side + 1)).astype("float32")
        y = {"labels": Y, "regions": masks}
        assert np.isfinite(model.fit(x, y, verbose=0).history["loss"])


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_costs_about_the_same(images, masks, policy):
    y = {"labels": Y, "regions": masks}
    # Without a norm, the maps of both precisions are alike.
    full, half = (
        make(RegionPenalty(sparse(), 3.0), dtype=dtype).evaluate(
            images, y, verbose=0
        )[0]
        for dtype in (None, policy)
    )
    assert half == pytest.approx(full, rel=0.05)
    model = make(RegionPenalty(sparse(), 3.0), 0.5, 0.01, dtype=policy)
    history = model.fit(images, y, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert all(np.isfinite(w).all() for w in model.get_weights())


@pytest.mark.skipif(BACKEND != "tensorflow", reason="It has all three ways")
def test_a_step_that_is_not_compiled_computes_the_same(images, masks):
    y = {"labels": Y, "regions": masks}
    found = []
    for options in ({}, {"run_eagerly": True}, {"jit_compile": True}):
        model = make(weight=0.5)
        model.compile(
            keras.optimizers.SGD(0.01), RegionPenalty(sparse()), **options
        )
        history = model.fit(images, y, epochs=2, verbose=0).history
        found.append(history["loss"])
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-4)


def test_ignored_labels_have_no_penalty(images, masks):
    labels = np.array([0, -1, 2, -1, 1])
    ignoring = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=-1
    )
    model = make(RegionPenalty(ignoring, 2.0))
    y = {"labels": labels, "regions": masks}
    kept = np.flatnonzero(labels >= 0)
    of_kept = {"labels": labels[kept], "regions": masks[kept]}
    assert model.evaluate(images, y, verbose=0)[0] == pytest.approx(
        make(RegionPenalty(sparse(), 2.0)).evaluate(
            images[kept], of_kept, verbose=0
        )[0],
        rel=1e-5,
    )


def test_a_model_of_a_classifier_has_maps_without_layers(images, masks):
    """Its maps are `x_0`."""
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 3, strides=4, activation="relu")(inputs)
    model = FACNN(
        4,
        depths=(0,),
        maps_per_class=(1,),
        backbone=keras.Model(inputs, x),
        projection="excess",
    )
    model.compile(keras.optimizers.SGD(0.0), RegionPenalty(sparse(), 2.0))
    y = {"labels": Y, "regions": masks}
    logits, maps = model.predict_with_maps(images)
    shares = expected_share(Y, maps, masks)
    assert shares.max() > 0.1
    expected = (cross_entropy(Y, logits) + 2 * shares).mean()
    found = model.fit(images, y, verbose=0).history["loss"][0]
    assert found == pytest.approx(expected, rel=1e-4)


# --- In loops of one's own ---


def test_class_maps_are_those_of_the_model(small_model, images):
    logits, maps = small_model.predict_with_maps(images)
    found = small_model.compute_class_maps(images.astype("float32"))
    for a, b in zip(found, (logits, maps), strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(a), b, atol=1e-5)
    trained, _ = small_model.compute_class_maps(
        images.astype("float32"), training=True
    )
    assert np.abs(ops.convert_to_numpy(trained) - logits).max() > 1e-3


@pytest.mark.parametrize("is_outside", [False, True])
def test_a_loop_trains_as_fit_does(images, masks, is_outside):
    x, y = images.astype("float32"), {"labels": Y, "regions": masks}
    loss = RegionPenalty(sparse(), 3.0)
    if is_outside:
        loss = EvidencePenalty(loss, 0.1)
    by_fit = make(loss, learning_rate=0.05)
    fitted = by_fit.fit(x, y, epochs=3, verbose=0).history["loss"]
    by_hand = make()
    optimizer = keras.optimizers.SGD(0.05)
    optimizer.build(by_hand.trainable_variables)
    run = {"jax": on_jax, "tensorflow": on_tensorflow, "torch": on_torch}
    looped = run[BACKEND](
        by_hand,
        optimizer,
        lambda: loss(y, by_hand.compute_class_maps(x, training=True)),
        3,
    )
    np.testing.assert_allclose(looped, fitted, rtol=1e-4)
    for a, b in zip(by_fit.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_the_deep_alignment_loss_has_no_penalty(rng, masks):
    model = make(weight=0.6)
    logits = rng.normal(size=(5, 3, 4)).astype("float32")
    expected = model.deep_alignment_loss(Y, logits, sparse())
    y = {"labels": Y, "regions": masks}
    found = model.deep_alignment_loss(y, logits, RegionPenalty(sparse()))
    np.testing.assert_allclose(
        ops.convert_to_numpy(found), ops.convert_to_numpy(expected), rtol=1e-6
    )


# --- What it is for ---


def tagged(rng, labels, tags):
    """Make noisy images whose middle is of their class, some with a tag."""
    images = rng.normal(110, 40, (len(labels), 16, 16, 3))
    for image, label, tag in zip(images, labels, tags, strict=True):
        image[5:11, 5:11, label] += 25
        if tag:
            image[:4, :4] = 250
    return images.clip(0, 255).astype("uint8")


def test_a_planted_cue_is_lost(rng):
    """In training, all images of class 1 have a tag, and no others do."""
    labels = np.arange(192) % 2
    images = tagged(rng, labels, labels == 1)
    with_tag = tagged(rng, np.zeros(200, int), np.ones(200))
    without_tag = tagged(rng, np.ones(200, int), np.zeros(200))
    tag, middle = np.zeros((2, 192, 16, 16), "float32")
    tag[:, :4, :4] = middle[:, 4:12, 4:12] = 1

    def shares_of_class_1(loss, regions):
        keras.utils.set_random_seed(0)
        model = FACNN(2, (16, 16, 3), (2, 1), (4, 8))
        schedule = keras.optimizers.schedules.CosineDecay(0.01, 150)
        model.compile(keras.optimizers.Adam(schedule), loss)
        y = {"labels": labels, "regions": regions}
        model.fit(images, y, epochs=25, batch_size=32, verbose=0)
        return [
            model.predict(x, verbose=0).argmax(-1).mean()
            for x in (with_tag, without_tag)
        ]

    misled, right = shares_of_class_1(RegionPenalty(sparse(), 0.0), tag)
    assert misled > 0.5 and right < 0.6
    for loss, regions in (
        (RegionPenalty(sparse(), 2.0, inside=False), tag),
        (RegionPenalty(sparse(), 2.0), middle),
    ):
        misled, right = shares_of_class_1(loss, regions)
        assert misled < 0.3 and right > 0.75


# --- Saving ---


def test_a_saved_model_trains_on_with_it(images, masks, tmp_path):
    loss = RegionPenalty(EvidencePenalty(sparse(), 0.2), 3.0, False, 2, False)
    model = make(loss, 0.5)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for name in ("weight", "inside", "margin", "centered", "name"):
        assert getattr(again.loss, name) == getattr(loss, name)
    assert again.loss.loss.weight == 0.2
    y = {"labels": Y, "regions": masks}
    for call in (model.evaluate, model.train_on_batch):
        same = getattr(again, call.__name__)
        kwargs = {"verbose": 0} if call == model.evaluate else {}
        x = images.astype("float32")
        np.testing.assert_allclose(
            same(x, y, **kwargs), call(x, y, **kwargs), rtol=1e-5
        )


# --- Errors ---


def test_another_model_has_no_maps(images, masks):
    other = keras.Sequential(
        [keras.Input((16, 16, 3)), keras.layers.Flatten()]
        + [keras.layers.Dense(4)]
    )
    other.compile("sgd", RegionPenalty(sparse()))
    for call in (other.fit, other.evaluate):
        with pytest.raises(ValueError, match="class maps of an FA-CNN"):
            call(images, Y, verbose=0)
    with pytest.raises(ValueError, match="compute_class_maps"):
        RegionPenalty(sparse())(
            {"labels": Y, "regions": masks}, np.zeros((5, 4), "float32")
        )


def test_training_needs_regions(images, masks):
    model = make(RegionPenalty(sparse()))
    with pytest.raises(ValueError, match="needs regions in training"):
        model.fit(images, Y, verbose=0)
    model = make(sparse())
    y = {"labels": Y, "regions": masks}
    for call in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match="does not read them"):
            call(images, y, verbose=0)
    assert np.isfinite(model.fit(images, Y, verbose=0).history["loss"])


@pytest.mark.parametrize(
    "change, match",
    [
        (lambda m: m[..., None], "shape .B, H, W"),
        (lambda m: 255 * m, "Received: values from 255 to 255"),
        (lambda m: m - 1, "Received: values from -1 to -1"),
    ],
)
def test_what_is_no_mask_is_refused(images, masks, change, match):
    model = make(RegionPenalty(sparse()))
    y = {"labels": Y, "regions": change(masks)}
    for call in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=match):
            call(images, y, verbose=0)
    with pytest.raises(ValueError, match=match):
        model.train_on_batch(images, y)


def test_other_entries_beside_labels_are_refused(images, masks):
    model = make(RegionPenalty(sparse()))
    y = {"classes": Y, "regions": masks}
    with pytest.raises(ValueError, match="'classes', 'regions'"):
        model.fit(images, y, verbose=0)


def test_class_weights_are_refused_with_what_to_do(images, masks):
    model = make(RegionPenalty(sparse()))
    y = {"labels": Y, "regions": masks}
    with pytest.raises(ValueError, match="sample_weight=np.array"):
        model.fit(images, y, class_weight={0: 2.0}, verbose=0)
    with pytest.raises(ValueError, match="sample_weight=np.array"):
        model.fit(as_dataset(images, y), class_weight={0: 2.0}, verbose=0)
    with pytest.raises(ValueError, match="sample_weight=np.array"):
        model.train_on_batch(images, y, class_weight={0: 2.0})


def test_labels_of_no_class_still_warn(images, masks):
    model = make(RegionPenalty(sparse()))
    y = {"labels": Y + 4, "regions": masks}
    with pytest.warns(UserWarning, match="0 to 3.*Received: 7"):
        try:
            model.fit(images, y, verbose=0)
        except Exception:
            # PyTorch itself raises an error for such labels.
            pass


def test_the_loss_within_still_warns():
    within = keras.losses.SparseCategoricalCrossentropy()
    (warning,) = warnings_of_compile(RegionPenalty(within))
    assert "Write within RegionPenalty loss=keras.losses.Sparse" in warning
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make(RegionPenalty(sparse()))


def test_what_is_no_argument_is_refused():
    with pytest.raises(TypeError, match="`loss` must be a keras.losses.Loss"):
        RegionPenalty("mse")
    within = EvidencePenalty(RegionPenalty(sparse()))
    with pytest.raises(ValueError, match="another RegionPenalty"):
        RegionPenalty(within)
    for name, value in (
        ("weight", -1.0),
        ("inside", 1),
        ("margin", -1),
        ("margin", 0.5),
        ("centered", "yes"),
    ):
        with pytest.raises(ValueError, match=f"`{name}` must be"):
            RegionPenalty(sparse(), **{name: value})
