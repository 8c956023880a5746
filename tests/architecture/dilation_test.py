"""Dilated models have the maps of the model among their finer maps."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_facnn import FACNN
from keras_facnn.architecture.dilation import dilated
from tests.promises import predict
from zoo.efficientnet_lite import efficientnet_lite


def with_weights(model, rng):
    """Give a model weights of which each one matters to the maps."""
    for variable in model.weights:
        shape, kind = variable.shape, variable.path.rsplit("/", 1)[-1]
        if kind in ("gamma", "moving_variance", "variance"):
            variable.assign(rng.uniform(0.5, 1.5, shape))
        elif kind.endswith("kernel"):
            # An output of a depthwise convolution reads one channel.
            depthwise = shape[-1] == 1 and len(shape) == 4
            inputs = shape[:2] if depthwise else shape[:-1]
            scale = 1 / np.sqrt(np.prod(inputs))
            variable.assign(rng.normal(size=shape) * scale)
        elif variable.dtype.startswith("float"):
            variable.assign(0.3 * rng.normal(size=shape))
    return model


def check(model, rng, stride, phase, size=None, dilation=2):
    """Check that some cells of the finer maps are the maps of the model.

    Args:
        phase: The first of these cells, in both directions or in each.
    """
    finer = dilated(model, stride)
    size = size or model.input_shape[1:3]
    images = rng.integers(0, 256, (1, *size, model.input_shape[-1]))
    expected, actual = predict(model, images), predict(finer, images)
    (top, left), (rows, columns) = (
        np.broadcast_to(n, 2) for n in (phase, dilation)
    )
    assert expected.std() > 0.01
    assert actual.shape[1] > expected.shape[1]
    np.testing.assert_allclose(
        actual[:, top::rows, left::columns],
        expected,
        atol=1e-4 * np.abs(expected).max(),
    )
    return finer


@pytest.mark.only_on("torch")
@pytest.mark.parametrize(
    "name, stride, phase, options",
    [
        ("ConvNeXtTiny", 16, 0, {}),
        ("DenseNet121", 16, 0, {}),
        ("EfficientNetB0", 8, 3, {}),
        ("MobileNet", 16, 1, {"alpha": 0.25}),
        ("MobileNetV2", 4, 7, {"alpha": 0.35}),
        ("MobileNetV3Small", 16, 1, {}),
        ("ResNet50V2", 8, 0, {}),
        ("Xception", 16, 1, {}),
    ],
)
def test_models_of_keras(rng, name, stride, phase, options):
    model = getattr(keras.applications, name)(
        include_top=False, weights=None, input_shape=(96, 128, 3), **options
    )
    model = with_weights(model, rng)
    finer = check(model, rng, stride, phase, dilation=32 // stride)
    assert finer.output_shape[1:3] == (96 // stride, 128 // stride)


@pytest.mark.only_on("torch")
@pytest.mark.parametrize("size", [(64, 96), (65, 90)])
def test_any_image_size(rng, size):
    model = with_weights(
        keras.applications.MobileNetV2(
            (None, None, 3), alpha=0.35, include_top=False, weights=None
        ),
        rng,
    )
    finer = dilated(model, 16)
    images = rng.integers(0, 256, (2, *size, 3))
    maps = predict(finer, images)
    assert maps.shape == (2, size[0] // 16, size[1] // 16, 1280)
    if size == (64, 96):
        check(model, rng, 16, 1, size)
    assert [w.path for w in finer.weights] == [w.path for w in model.weights]
    for new, old in zip(finer.weights, model.weights, strict=True):
        assert new is not old
        np.testing.assert_array_equal(new, old)


@pytest.mark.only_on("torch")
def test_is_the_same_as_a_backbone_built_so(rng):
    model = with_weights(
        efficientnet_lite(0, (64, 96, 3), include_top=False, pretrained=False),
        rng,
    )
    expected = efficientnet_lite(
        0,
        (64, 96, 3),
        include_top=False,
        pretrained=False,
        dilate_last_stage=True,
    )
    expected.set_weights(model.get_weights())
    images = rng.integers(0, 256, (1, 64, 96, 3))
    np.testing.assert_allclose(
        predict(check(model, rng, 16, 1), images),
        predict(expected, images),
        atol=1e-4,
    )


def net(*chain, shape=(16, 24, 3)):
    """A model of layers that halves the maps before them once."""
    inputs = keras.Input(shape)
    x = layers.Conv2D(4, 3, strides=2, padding="same", name="first")(inputs)
    for layer in chain:
        x = layer(x)
    return keras.Model(inputs, x)


def halving(kind=layers.Conv2D, size=3, padding="same", strides=2, **options):
    if kind is layers.DepthwiseConv2D:
        return kind(size, strides=strides, padding=padding, **options)
    if issubclass(kind, (layers.MaxPooling2D, layers.AveragePooling2D)):
        return kind(size, strides=strides, padding=padding, **options)
    return kind(5, size, strides=strides, padding=padding, **options)


@pytest.mark.parametrize(
    "chain, phase, shape",
    [
        ([halving(size=1)], 0, (8, 12)),
        ([halving(size=2)], 0, (8, 12)),
        ([halving(size=2, padding="valid")], 0, (8, 12)),
        ([halving(size=3)], 1, (8, 12)),
        ([halving(size=3, padding="valid")], 0, (6, 10)),
        ([halving(size=4)], 0, (8, 12)),
        ([halving(size=5)], 1, (8, 12)),
        ([layers.ZeroPadding2D(((0, 1), (1, 0))), halving(padding="valid")],
         (1, 0), (8, 12)),
        ([layers.ZeroPadding2D(1), halving(padding="valid")], 0, (8, 12)),
        ([layers.ZeroPadding2D(2), halving(size=5, padding="valid")], 0,
         (8, 12)),
        ([halving(layers.DepthwiseConv2D)], 1, (8, 12)),
        ([halving(layers.SeparableConv2D, size=5)], 1, (8, 12)),
        ([halving(layers.MaxPooling2D)], 1, (8, 12)),
        ([halving(layers.MaxPooling2D, size=2)], 0, (8, 12)),
        ([halving(layers.AveragePooling2D, size=2, padding="valid")], 0,
         (8, 12)),
        ([halving(dilation_rate=1, size=(3, 1), strides=(2, 2))], (1, 0),
         (8, 12)),
    ],
)  # fmt: skip
def test_halving_and_what_follows(rng, chain, phase, shape):
    """Each is followed by windows of all kinds, whose borders matter."""
    chain = [
        *chain,
        layers.Conv2D(4, 3, padding="same", activation="relu"),
        layers.BatchNormalization(),
        layers.Conv2D(4, 2, padding="same"),
        layers.DepthwiseConv2D(3, dilation_rate=2, padding="same"),
        layers.ZeroPadding2D(((2, 1), (0, 1))),
        layers.Conv2D(4, (3, 2), padding="valid"),
        layers.Cropping2D(((0, 1), (0, 0))),
        layers.SeparableConv2D(3, 5, padding="same"),
        layers.Activation("silu"),
    ]
    finer = check(with_weights(net(*chain), rng), rng, 2, phase)
    assert finer.output_shape[1:3] == shape


def test_parallel_branches_stay_aligned(rng):
    """Pooling of 3x3 is at odd cells, its shortcut of 1x1 at even ones."""
    inputs = keras.Input((16, 24, 3))
    x = layers.Conv2D(4, 3, padding="same")(inputs)
    main = layers.MaxPooling2D(3, 2, "same")(x)
    x = layers.Concatenate()([layers.Conv2D(4, 1, 2)(x), main, main * 2])
    x = layers.Add()([layers.Conv2D(12, 3, padding="same")(x), x])
    check(with_weights(keras.Model(inputs, x), rng), rng, 1, 1)


def test_squeeze_and_excitation_in_a_nested_model(rng):
    """The same names inside and outside; global pooling of the own cells."""
    inside = keras.Input((None, None, 4))
    x = halving(name="conv", activation="relu")(inside)
    for pool in (
        layers.GlobalAveragePooling2D(keepdims=True),
        layers.GlobalMaxPooling2D(),
    ):
        scale = pool(x)
        if len(scale.shape) == 2:
            scale = layers.Reshape((1, 1, 5))(layers.Dense(5)(scale))
        scale = layers.Conv2D(5, 1, activation="sigmoid")(scale)
        x = layers.Multiply()([x, scale])
    block = keras.Model(inside, x, name="block")
    inputs = keras.Input((16, 24, 3))
    x = layers.Conv2D(4, 3, name="conv", padding="same")(inputs)
    x = keras.Sequential([layers.Rescaling(0.1), block])(x)
    x = layers.Conv2D(3, 3, padding="same", name="last")(x)
    model = with_weights(keras.Model(inputs, ops.sigmoid(x) - 0.5), rng)
    finer = check(model, rng, 1, 1)
    names = [layer.name for layer in finer.layers]
    assert {"conv", "last"} < set(names)
    assert len(set(names)) == len(names)
    loaded = keras.Model.from_config(finer.get_config())
    loaded.set_weights(finer.get_weights())
    images = rng.uniform(size=(1, 16, 24, 3))
    np.testing.assert_array_equal(
        predict(loaded, images), predict(finer, images)
    )


def test_refuses_branches_of_different_sizes():
    """Zeros before pooling are values to it, so they stay as they are."""
    inputs = keras.Input((16, 16, 3))
    padded = layers.ZeroPadding2D(((0, 1), (0, 1)))(inputs)
    pooled = layers.AveragePooling2D(3, 2)(padded)
    x = layers.Add(name="sum")([layers.Conv2D(3, 1, 2)(inputs), pooled])
    with pytest.raises(ValueError, match="`stride`.*'sum'.*differ in size"):
        dilated(keras.Model(inputs, x), 1)


def test_strides_of_one_direction_and_of_four(rng):
    model = net(layers.Conv2D(4, 4, strides=4), halving(strides=(2, 1)))
    assert model.output_shape[1:3] == (1, 3)
    with_weights(model, rng)
    check(model, rng, 8, (1, 0), dilation=(2, 1))
    check(model, rng, 4, (2, 0), dilation=(4, 2))


def test_cells_are_centered(rng):
    """So a model of symmetric kernels mirrors its maps with its images."""
    inputs = keras.Input((17, 17, 3))
    x = inputs
    for kind in (layers.Conv2D, layers.DepthwiseConv2D):
        x = halving(kind, activation="relu")(x)
        x = layers.Conv2D(4, 3, padding="same")(x)
    model = with_weights(keras.Model(inputs, x), rng)
    for variable in model.weights:
        if "kernel" in variable.path:
            value = ops.convert_to_numpy(variable)
            variable.assign(value + value[::-1])
    images = rng.uniform(size=(1, 16, 16, 3))
    even = keras.models.clone_model(
        model,
        input_tensors=keras.Input((16, 16, 3)),
        clone_function=lambda layer: layer,
    )
    for one in (dilated(even, 1), dilated(even, 2)):
        maps = predict(one, images)
        mirrored = predict(one, images[:, ::-1])[:, ::-1]
        if one.output_shape[1] == 16:
            np.testing.assert_allclose(mirrored, maps, atol=1e-5)
        else:
            # The first halving is Keras' own, which is not centered.
            assert np.abs(mirrored - maps).max() > 0.01


# On TensorFlow, oneDNN can't be turned off in a process.
@pytest.mark.only_on("torch", "jax")
def test_trains_as_the_model_does(rng, monkeypatch):
    """The gradients of what both have in common are the same."""
    if keras.backend.backend() == "torch":
        import torch

        # oneDNN writes to invalid memory (`_backend/soundness.py`).
        monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    model = with_weights(
        net(
            halving(size=1),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.DepthwiseConv2D(3, padding="same"),
        ),
        rng,
    )
    finer = dilated(model, 2)
    images = rng.uniform(size=(4, 16, 24, 3)).astype("float32")
    targets = rng.normal(size=(4, *model.output_shape[1:])).astype("float32")
    cells = keras.Model(
        finer.input, layers.MaxPooling2D(1, strides=2)(finer.output)
    )
    before = model.get_weights()
    for one in (model, cells):
        one.compile(keras.optimizers.SGD(0.1), "mse")
        one.fit(images, targets, epochs=3, verbose=0)
    for old, first, second in zip(
        before, model.get_weights(), cells.get_weights(), strict=True
    ):
        assert np.abs(first - old).max() > 1e-4
        np.testing.assert_allclose(second, first, atol=1e-5)


def test_freezing_and_precision_stay():
    model = net(
        halving(size=4, name="conv", dtype="mixed_bfloat16"),
        layers.BatchNormalization(name="norm", dtype="mixed_bfloat16"),
    )
    model.get_layer("norm").trainable = False
    finer = dilated(model, 2)
    assert not finer.get_layer("norm").trainable
    assert finer.get_layer("conv").trainable
    assert finer.get_layer("conv").kernel.dtype == "float32"
    assert finer.output.dtype == "bfloat16"


@pytest.mark.only_on("torch")
def test_a_hybrid_of_it_is_saved(rng, tmp_path):
    backbone = with_weights(
        keras.applications.MobileNetV3Small(
            (32, 32, 3), include_top=False, weights=None
        ),
        rng,
    )
    model = FACNN(3, depths=(1,), backbone=dilated(backbone, 16))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    images = rng.integers(0, 256, (1, 32, 32, 3))
    np.testing.assert_array_equal(
        predict(loaded, images), predict(model, images)
    )


class OwnLayer(layers.Layer):
    def call(self, x):
        return x


@pytest.mark.parametrize(
    "chain, stride, message",
    [
        ([halving()], 0, "`stride` must be a positive integer"),
        ([halving()], 8, "at most the stride of the model's maps, 4"),
        ([halving()], 3, "layer 'conv.*cells of 4 pixels from cells of 2"),
        (
            [halving(), layers.MaxPooling2D(3, 1, "same", name="pool")],
            2,
            "layer 'pool', of the class MaxPooling2D, pools maps",
        ),
        (
            [halving(), layers.GroupNormalization(1, name="group")],
            2,
            "layer 'group', of the class GroupNormalization, joins locations",
        ),
        ([layers.Lambda(lambda x: x, name="mine")], 1, "'mine'.*Keras' own"),
        ([OwnLayer(name="mine")], 1, "'mine'.*Keras' own"),
        ([layers.UpSampling2D(), halving()], 2, "changes the shape of maps"),
        (
            [shared := layers.Conv2D(4, 3, padding="same"), halving(), shared],
            2,
            "is called with maps of different strides",
        ),
    ],
)
@pytest.mark.only_on("torch")
def test_what_it_refuses(chain, stride, message):
    if "different strides" in message:
        chain[1] = halving(layers.DepthwiseConv2D)
    with pytest.raises(ValueError, match=message) as e:
        dilated(net(*chain), stride)
    assert "stride" in str(e.value)
    assert f"Received: stride={stride}" in str(e.value)
