"""Layers are looked for in the graph of the model that was given."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_facnn.attribution import cam
from keras_facnn.attribution import grad_cam
from keras_facnn.attribution import hires_cam
from keras_facnn.attribution import occlusion
from keras_facnn.attribution import rise
from keras_facnn.attribution import saliency


@pytest.fixture
def backbone(rng):
    inputs = keras.Input((9, 9, 3))
    x = layers.Conv2D(4, 3, activation="tanh", name="first")(inputs)
    x = layers.Conv2D(5, 3, name="second")(x)
    x = layers.ReLU(name="out_relu")(x)
    return keras.Model(inputs, x, name="backbone")


@pytest.fixture
def head(rng):
    return keras.Sequential(
        [
            keras.Input((5, 5, 5)),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, name="dense"),
        ]
    )


@pytest.fixture
def pictures(rng):
    return rng.normal(size=(3, 9, 9, 3)).astype("float32")


@pytest.fixture
def flat(backbone, head):
    """The same layers in one graph, which is what nested ones must equal."""
    x = keras.Input((9, 9, 3))
    y = x
    for layer in (*backbone.layers[1:], *head.layers):
        y = layer(y)
    return keras.Model(x, y)


def functional(backbone, head):
    x = keras.Input((9, 9, 3))
    return keras.Model(x, head(backbone(x, training=False)))


def sequential(backbone, head):
    return keras.Sequential([keras.Input((9, 9, 3)), backbone, head])


def in_a_dict(backbone, head):
    x = keras.Input((9, 9, 3))
    return keras.Model(x, {"y": head(backbone(x))})


@pytest.mark.parametrize("build", [functional, sequential, in_a_dict])
def test_layers_of_nested_models(build, backbone, head, flat, pictures):
    model = build(backbone, head)
    for layer, same in (
        ("backbone", "out_relu"),
        ("out_relu", "out_relu"),
        ("backbone/out_relu", "out_relu"),
        ("first", "first"),
    ):
        for classes in (1, None, "all"):
            expected = hires_cam(flat, pictures, classes, layer=same)
            assert expected.any()
            np.testing.assert_allclose(
                hires_cam(model, pictures, classes, layer=layer),
                expected,
                rtol=1e-4,
                atol=1e-6,
            )


def test_layers_of_models_nested_twice(backbone, head, flat, pictures):
    inner = functional(backbone, head)
    x = keras.Input((9, 9, 3))
    model = keras.Model(x, inner(layers.Rescaling(2.0)(x)))
    np.testing.assert_allclose(
        hires_cam(model, pictures / 2, 2, layer=f"{inner.name}/backbone/first"),
        hires_cam(flat, pictures, 2, layer="first"),
        rtol=1e-4,
        atol=1e-6,
    )


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
@pytest.mark.parametrize("by_keyword", [False, True])
def test_a_nested_model_of_two_named_inputs(rng, names, by_keyword):
    """Keras takes a dict by the names, whatever their order."""
    first, second = (
        layers.Conv2D(4, 3, padding="same", name=name)
        for name in ("first", "second")
    )
    a, b = (keras.Input((9, 9, 4), name=name) for name in names)
    x = layers.Subtract()([a, layers.ReLU(negative_slope=0.5)(b)])
    x = layers.Conv2D(5, 1, name="inside")(x)
    x = layers.GlobalAveragePooling2D()(x)
    inner = keras.Model([a, b], layers.Dense(3)(x), name="inner")

    def model(given):
        inputs = keras.Input((9, 9, 3))
        given = given(first(inputs), second(inputs))
        x = inner(inputs=given) if by_keyword else inner(given)
        return keras.Model(inputs, x)

    named = model(lambda x, y: dict(zip(names, (x, y), strict=True)))
    listed = model(lambda x, y: [x, y])
    pictures = rng.normal(size=(3, 9, 9, 3)).astype("float32")
    np.testing.assert_array_equal(
        named.predict(pictures, verbose=0), listed.predict(pictures, verbose=0)
    )
    flat = keras.Input((9, 9, 3))
    y = layers.Subtract()(
        [first(flat), layers.ReLU(negative_slope=0.5)(second(flat))]
    )
    for layer in inner.layers[-3:]:
        y = layer(y)
    flat = keras.Model(flat, y)
    expected = hires_cam(flat, pictures, 1, layer="inside")
    assert expected.any()
    for one in (named, listed):
        np.testing.assert_allclose(
            hires_cam(one, pictures, 1, layer="inner/inside"),
            expected,
            rtol=1e-4,
            atol=1e-6,
        )
        np.testing.assert_allclose(
            cam(one, pictures, "all"),
            cam(flat, pictures, "all"),
            rtol=1e-4,
            atol=1e-6,
        )


def test_refuses_a_layer_of_an_output_that_is_not_used(pictures):
    inputs = keras.Input((9, 9, 3))
    x = layers.Conv2D(4, 3)(inputs)
    unused = layers.Conv2D(4, 3, name="unused")(x)
    x = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    two = keras.Model(inputs, [x, unused], name="two")
    inputs = keras.Input((9, 9, 3))
    model = keras.Model(inputs, two(inputs)[0])
    for method in (grad_cam, hires_cam):
        with pytest.raises(ValueError, match="output depends.*'two/unused'"):
            method(model, pictures, 1, layer="unused")


def test_a_layer_that_another_model_calls_too(backbone, head, flat, pictures):
    """`layer.output` is that of its first call, in whichever graph."""
    model = keras.Sequential(
        [keras.Input((9, 9, 3)), backbone.get_layer("first")]
        + [layers.Conv2D(2, 3, name="last"), layers.GlobalMaxPooling2D()]
    )
    for layer in ("first", "last"):
        assert grad_cam(model, pictures, 1, layer=layer).any()
    assert hires_cam(flat, pictures, 1, layer="out_relu").any()


def test_an_fa_cnn_in_a_model(small_model, images):
    model = keras.Sequential(
        [keras.Input((16, 16, 3)), small_model, layers.Identity()]
    )
    np.testing.assert_allclose(
        grad_cam(model, images, 1, layer="fa_3"),
        grad_cam(small_model, images, 1, layer=3),
        rtol=1e-4,
    )
    with pytest.raises(ValueError, match="index.*fa_2.*Received.*layer=24"):
        grad_cam(model, images, 1, layer=24)


def test_numbers_of_layers(backbone, head, flat, small_model, images, pictures):
    """Keras' index on any model, FA layers on an FA-CNN."""
    for number, name in ((1, "first"), (np.int64(3), "out_relu"), (-4, None)):
        np.testing.assert_array_equal(
            hires_cam(flat, pictures, 1, layer=number),
            hires_cam(
                flat, pictures, 1, layer=name or flat.layers[number].name
            ),
        )
    np.testing.assert_array_equal(
        grad_cam(small_model, images, 1, layer=2),
        grad_cam(small_model, images, 1, layer="fa_2"),
    )
    for model, x in ((flat, pictures), (small_model, images)):
        for layer in (True, 1.0, None, 99, ["first"], "nothing"):
            with pytest.raises(ValueError, match="`layer` must be.*Received"):
                grad_cam(model, x, 1, layer=layer)


def test_refuses_layers_that_are_called_twice(backbone, head, pictures):
    x = keras.Input((9, 9, 3))
    both = layers.Add(name="add")([backbone(x), backbone(-x)])
    model = keras.Model(x, head(both))
    for layer in ("first", "backbone", "backbone/out_relu"):
        with pytest.raises(ValueError, match="calls once.*calls 2 times"):
            grad_cam(model, pictures, 1, layer=layer)
    assert hires_cam(model, pictures, 1, layer="add").any()


def test_lists_only_layers_that_work(backbone, head, pictures):
    model = functional(backbone, head)
    with pytest.raises(ValueError, match="Received") as e:
        grad_cam(model, pictures, 1, layer="nothing")
    listed = str(e.value).split("maps: ")[1].split(". Received")[0]
    assert listed.split(", ") == [
        "backbone/first",
        "backbone/second",
        "backbone/out_relu",
        "backbone",
    ]
    for layer in listed.split(", "):
        assert hires_cam(model, pictures, 1, layer=layer).any()


def test_refuses_a_name_of_two_nested_layers(pictures):
    x = y = keras.Input((9, 9, 3))
    for name in ("one", "two"):
        inner = keras.Input(y.shape[1:])
        conv = layers.Conv2D(3, 3, name="conv")(inner)
        y = keras.Model(inner, conv, name=name)(y)
    model = keras.Model(x, layers.GlobalAveragePooling2D()(y))
    with pytest.raises(ValueError, match="one/conv, two/conv"):
        grad_cam(model, pictures, 1, layer="conv")
    assert hires_cam(model, pictures, 1, layer="one/conv").any()


def test_refuses_channels_first(pictures):
    x = keras.Input((3, 9, 9))
    y = layers.GlobalAveragePooling2D("channels_first", name="pool")(x)
    model = keras.Model(x, layers.Dense(2)(y))
    with pytest.raises(ValueError, match="channels last.*'pool'"):
        grad_cam(model, pictures.transpose(0, 3, 1, 2), layer="pool")


def test_refuses_images_of_which_a_layer_leaves_nothing(rng):
    x = keras.Input((None, None, 3))
    y = layers.MaxPooling2D(4, name="pool")(layers.Conv2D(2, 1)(x))
    y = layers.GlobalAveragePooling2D()(y)
    model = keras.Model(x, layers.Dense(2)(y))
    small = np.ones((1, 3, 3, 3))
    with pytest.raises(ValueError, match="large enough.*(1, 3, 3, 3)"):
        grad_cam(model, small, 1, layer="pool")
    for method in (saliency, rise, occlusion):
        with pytest.raises(ValueError, match="large enough.*(1, 3, 3, 3)"):
            method(model, small, 1)
    assert grad_cam(model, np.ones((1, 4, 5, 3)), 1, layer="pool").size == 1


def test_the_model_stays_as_it_was(backbone, head, pictures, tmp_path):
    """Neither its file nor its outputs know of what was looked at in it."""
    model = functional(backbone, head)
    expected = model.predict(pictures, verbose=0)
    config = model.get_config()
    grad_cam(model, pictures, 1, layer="out_relu")
    assert model.get_config() == config
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        again.predict(pictures, verbose=0), expected, rtol=1e-6
    )
    np.testing.assert_allclose(
        grad_cam(again, pictures, 1, layer="out_relu"),
        grad_cam(model, pictures, 1, layer="out_relu"),
        rtol=1e-5,
    )
