"""Channels first or last, a layer's maps are (B, h, w)."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_facnn import FACNN
from keras_facnn import attribution
from keras_facnn import metrics

SIZE = (12, 10)
METHODS = (
    attribution.grad_cam,
    attribution.hires_cam,
    attribution.layer_cam,
)
on_tensorflow = keras.backend.backend() == "tensorflow"
convolves = pytest.mark.skipif(
    on_tensorflow, reason="TensorFlow on CPU cannot convolve channels first"
)


class Transposed(layers.Layer):
    """Says nothing of its layout, as layers of users do."""

    def call(self, x):
        return ops.transpose(x, (0, 3, 1, 2))


class Softened(layers.Layer):
    def call(self, x):
        return ops.softplus(x)


def to_first():
    return layers.Permute((3, 1, 2), name="to_first")


def body(first, size=SIZE, convert=None):
    """Convolutions, and layers that have no layout of their own.

    Its images are channels first like the rest, unless it converts them.
    """
    form = "channels_first" if first else "channels_last"
    axis = 1 if first else -1
    options = {"padding": "same", "data_format": form}
    images = keras.Input((3, *size) if first and not convert else (*size, 3))
    x = convert()(images) if first and convert else images
    x = layers.Conv2D(4, 3, **options, name="conv")(x)
    x = layers.BatchNormalization(axis=axis, name="norm")(x)
    x = weighted = layers.Activation("relu", name="relu")(x)
    y = layers.GlobalAveragePooling2D(data_format=form)(x)
    y = layers.Dense(4, activation="sigmoid")(y)
    y = layers.Reshape((4, 1, 1) if first else (1, 1, 4))(y)
    x = layers.Multiply(name="attended")([weighted, y])
    x = layers.MaxPooling2D(2, data_format=form, name="pool")(x)
    y = layers.DepthwiseConv2D(3, **options, name="depthwise")(x)
    x = layers.Concatenate(axis=axis, name="joined")([x, y])
    x = ops.tanh(x)
    return keras.Model(images, layers.Dropout(0.1, name="dropout")(x))


LAYERS = [
    "conv", "norm", "relu", "attended", "pool", "depthwise", "joined",
    "softened", "dropout",
]  # fmt: skip


def classifier(first, convert=to_first):
    """A model of images with the channels last, the body of which may not."""
    form = "channels_first" if first else "channels_last"
    images = keras.Input((*SIZE, 3))
    inner = body(first)
    x = inner(convert()(images) if first else images)
    x = Softened(name="softened")(x)
    x = layers.GlobalAveragePooling2D(data_format=form)(x)
    return keras.Model(images, layers.Dense(3)(x))


@pytest.fixture
def photos(rng):
    return rng.normal(size=(3, *SIZE, 3)).astype("float32")


def with_weights_of(model, twin):
    for to, of in zip(twin.weights, model.weights, strict=True):
        to.assign(ops.convert_to_numpy(of))
    return twin


def assert_equal(found, expected):
    assert expected.any()
    assert found.shape == expected.shape
    np.testing.assert_allclose(
        found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max()
    )


@convolves
def test_maps_equal_those_of_channels_last(photos):
    last = classifier(False)
    first = with_weights_of(last, classifier(True))
    np.testing.assert_allclose(
        first.predict(photos, verbose=0),
        last.predict(photos, verbose=0),
        atol=1e-5,
    )
    for layer in LAYERS:
        for method in METHODS if layer == "relu" else METHODS[1:2]:
            expected = method(last, photos, 1, layer=layer)
            assert_equal(method(first, photos, 1, layer=layer), expected)


@convolves
@pytest.mark.parametrize(
    "convert",
    [
        Transposed,
        lambda: layers.Lambda(lambda x: ops.transpose(x, (0, 3, 1, 2))),
        lambda: lambda x: ops.transpose(x, (0, 3, 1, 2)),
    ],
    ids=["own layer", "Lambda", "operation"],
)
def test_what_permutes_and_does_not_say_so(convert, photos):
    model = classifier(True, convert)
    maps = attribution.hires_cam(model, photos, 1, layer="softened")
    twin = with_weights_of(model, classifier(False))
    assert_equal(maps, attribution.hires_cam(twin, photos, 1, layer="softened"))


@convolves
def test_the_model_that_the_error_advises(photos):
    """Images may not be channels first, but what a Permute makes of them."""
    inner = body(True)
    head = [
        Softened(),
        layers.GlobalAveragePooling2D("channels_first"),
        layers.Dense(3),
    ]
    model = keras.Sequential([inner, *head])
    with pytest.raises(ValueError, match=r"Permute\(\(3, 1, 2\)\)"):
        attribution.grad_cam(model, photos.transpose(0, 3, 1, 2), layer="conv")
    advised = keras.Sequential(
        [keras.Input((*SIZE, 3)), layers.Permute((3, 1, 2)), inner, *head]
    )
    last = with_weights_of(advised, classifier(False))
    for layer in ("conv", "dropout", inner.name):
        expected = attribution.hires_cam(
            last, photos, 1, layer="dropout" if layer == inner.name else layer
        )
        found = attribution.hires_cam(advised, photos, 1, layer=layer)
        assert_equal(found, expected)
    for method in (
        attribution.saliency,
        attribution.integrated_gradients,
        attribution.cam,
        lambda *args: attribution.occlusion(*args, size=4),
        lambda *args: attribution.rise(*args, masks=4),
    ):
        assert_equal(method(advised, photos, 1), method(last, photos, 1))


def test_layers_that_every_backend_computes(rng, photos):
    """Channels as many as rows or columns, where no shape can tell them."""
    photos = rng.normal(size=(2, 6, 6, 6)).astype("float32")
    kernel = rng.normal(size=(6, 3)).astype("float32")

    def build(first):
        form = "channels_first" if first else "channels_last"
        x = images = keras.Input((6, 6, 6))
        if first:
            x = layers.Permute((3, 1, 2), name="given")(x)
        x = layers.Activation("tanh", name="tanh")(x)
        x = ops.sin(x)
        x = layers.ReLU(name="relu")(x)
        x = layers.Add(name="sum")([x, x])
        y = layers.GlobalAveragePooling2D(data_format=form)(x)
        model = keras.Model(images, layers.Dense(3, use_bias=False)(y))
        model.set_weights([kernel])
        return model

    for layer in ("tanh", "relu", "sum"):
        for method in METHODS:
            expected = method(build(False), photos, "all", layer=layer)
            assert_equal(
                method(build(True), photos, "all", layer=layer), expected
            )
    for method in (attribution.score_cam, attribution.ablation_cam):
        assert_equal(
            method(build(True), photos, 1, layer="relu"),
            method(build(False), photos, 1, layer="relu"),
        )


@convolves
def test_maps_that_a_layer_makes_of_tokens(photos, rng):
    """What comes after it says where the channels are."""

    def build(first):
        form = "channels_first" if first else "channels_last"
        images = keras.Input((*SIZE, 3))
        x = layers.Conv2D(5, 2, 2, name="patches")(images)
        x = layers.Reshape((30, 5))(x)
        if first:
            x = layers.Permute((2, 1))(x)
        x = layers.Reshape((5, 6, 5) if first else (6, 5, 5), name="maps")(x)
        x = layers.Activation("tanh", name="tanh")(x)
        x = layers.Conv2D(4, 3, data_format=form)(x)
        x = layers.GlobalMaxPooling2D(data_format=form)(x)
        return keras.Model(images, layers.Dense(3)(x))

    last = build(False)
    first = with_weights_of(last, build(True))
    for layer in ("patches", "maps", "tanh"):
        assert_equal(
            attribution.hires_cam(first, photos, 1, layer=layer),
            attribution.hires_cam(last, photos, 1, layer=layer),
        )


@convolves
@pytest.mark.parametrize(
    "size, feature_layer",
    [(SIZE, None), ((None, None), ["relu", "dropout"])],
)
def test_hybrids_of_a_channels_first_backbone(
    photos, tmp_path, size, feature_layer
):
    images = np.abs(photos) * 50
    models = [
        FACNN(
            3,
            backbone=body(first, size, to_first),
            feature_layer=feature_layer,
            depths=(1,),
            maps_per_class=(2,),
        )
        for first in (False, True)
    ]
    last, first = models
    with_weights_of(last, first)
    assert_equal(first.class_maps(images), last.class_maps(images))
    for layer in ("relu", "backbone"):
        assert_equal(
            attribution.hires_cam(first, images, 1, layer=layer),
            attribution.hires_cam(last, images, 1, layer=layer),
        )
    first.save_to_preset(tmp_path / "preset")
    again = FACNN.from_preset(tmp_path / "preset")
    assert_equal(again.class_maps(images), first.class_maps(images))


@convolves
def test_a_backbone_of_channels_first_images_is_refused():
    with pytest.raises(ValueError, match="`backbone` must take images.*'conv'"):
        FACNN(3, backbone=body(True))


@convolves
def test_models_built_where_channels_first_is_the_default(photos):
    def build():
        images = keras.Input((*SIZE, 3))
        x = layers.Permute((3, 1, 2))(images)
        x = layers.Conv2D(4, 3, activation="relu", name="conv")(x)
        x = layers.ReLU(name="relu")(layers.AveragePooling2D(2)(x))
        x = layers.GlobalAveragePooling2D()(x)
        return keras.Model(images, layers.Dense(3)(x))

    def said(model):
        relu = attribution.grad_cam(model, photos, "all", layer="relu")
        calls = (
            attribution.saliency,
            attribution.cam,
            lambda *args: attribution.occlusion(*args, baseline="blur"),
            lambda *args: attribution.rise(*args, masks=4),
        )
        return relu, *(call(model, photos, 1) for call in calls)

    keras.config.set_image_data_format("channels_first")
    try:
        model = build()
        found = said(model)
        removal = metrics.pixel_removal(model, photos, [0, 1, 2], found[1])
    finally:
        keras.config.set_image_data_format("channels_last")
    for maps, expected in zip(found, said(model), strict=True):
        assert_equal(maps, expected)
    assert found[0].shape == (3, 5, 4, 3)
    again = metrics.pixel_removal(model, photos, [0, 1, 2], found[1])
    np.testing.assert_allclose(
        removal.probability, again.probability, atol=1e-5
    )
