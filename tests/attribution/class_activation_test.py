import keras
import numpy as np
import pytest
from keras import layers

from keras_facnn.attribution import cam
from keras_facnn.attribution import grad_cam
from keras_facnn.attribution import grad_cam_plus_plus

SHAPE = (12, 10, 3)


def flat(conv, dense):
    inputs = keras.Input(SHAPE)
    x = layers.GlobalAveragePooling2D()(conv(inputs))
    return keras.Model(inputs, dense(x))


def dropout_and_flatten(conv, dense):
    inputs = keras.Input(SHAPE)
    x = layers.GlobalAveragePooling2D(keepdims=True)(conv(inputs))
    x = layers.Flatten()(layers.Dropout(0.5)(x))
    return keras.Model(inputs, dense(x))


def flatten_at_the_end(conv, dense):
    inputs = keras.Input(SHAPE)
    x = layers.GlobalAveragePooling2D(keepdims=True)(conv(inputs))
    return keras.Model(inputs, layers.Flatten()(dense(x)))


def channels_first(conv, dense):
    inputs = keras.Input(SHAPE)
    x = layers.Permute((3, 1, 2))(conv(inputs))
    x = layers.GlobalAveragePooling2D(data_format="channels_first")(x)
    return keras.Model(inputs, dense(x))


def sequential(conv, dense):
    return keras.Sequential(
        [keras.Input(SHAPE), conv, layers.GlobalAveragePooling2D(), dense]
    )


def backbone_of(conv, *more):
    inputs = x = keras.Input(SHAPE)
    for layer in (conv, *more):
        x = layer(x)
    return keras.Model(inputs, x)


def nested_backbone(conv, dense):
    backbone = backbone_of(conv)
    inputs = keras.Input(SHAPE)
    x = backbone(inputs, training=False)
    return keras.Model(inputs, dense(layers.GlobalAveragePooling2D()(x)))


def nested_backbone_that_averages(conv, dense):
    """The usual transfer model."""
    backbone = backbone_of(conv, layers.GlobalAveragePooling2D())
    inputs = keras.Input(SHAPE)
    x = backbone(inputs, training=False)
    return keras.Model(inputs, dense(layers.Dropout(0.5)(x)))


def nested_backbone_of_two_calls(conv, dense):
    backbone = backbone_of(conv, layers.GlobalAveragePooling2D())
    backbone(keras.Input(SHAPE))
    inputs = keras.Input(SHAPE)
    return keras.Model(inputs, dense(backbone(inputs)))


def nested_twice(conv, dense):
    backbone = backbone_of(conv, layers.GlobalAveragePooling2D())
    inputs = keras.Input(SHAPE)
    backbone = keras.Model(inputs, backbone([inputs]))
    return keras.Sequential([keras.Input(SHAPE), backbone, dense])


def nested_head(conv, dense):
    head = keras.Sequential([layers.GlobalAveragePooling2D(), dense])
    inputs = keras.Input(SHAPE)
    return keras.Model(inputs, head(conv(inputs)))


@pytest.fixture
def photos(rng):
    return rng.uniform(0, 1, (5, *SHAPE)).astype("float32")


def parts(activation=None, use_bias=True):
    conv = layers.Conv2D(6, 3, strides=2, name="last")
    options = {"bias_initializer": "normal"} if use_bias else {}
    dense = layers.Dense(4, activation=activation, use_bias=use_bias, **options)
    return conv, dense


def reference(conv, dense, photos):
    """All classes' maps and the logits, by NumPy from the last maps."""
    maps = backbone_of(conv).predict(photos, verbose=0)
    kernel, *bias = dense.get_weights()
    cams = np.einsum("bhwk,kc->bhwc", maps, kernel)
    return cams, cams.mean((1, 2)) + sum(bias)


# Keras', of the nested call of `[inputs]`.
@pytest.mark.filterwarnings("ignore:[\\s\\S]*structure of `inputs`")
@pytest.mark.parametrize(
    "build",
    [
        flat,
        dropout_and_flatten,
        flatten_at_the_end,
        channels_first,
        sequential,
        nested_backbone,
        nested_backbone_that_averages,
        nested_backbone_of_two_calls,
        nested_twice,
        nested_head,
    ],
)
def test_is_the_logit_spread_over_the_image(build, photos):
    conv, dense = parts()
    model = build(conv, dense)
    cams, logits = reference(conv, dense, photos)
    np.testing.assert_allclose(
        model.predict(photos, verbose=0), logits, atol=1e-5
    )
    actual = cam(model, photos, "all", batch_size=2)
    assert actual.shape == (5, 5, 4, 4)
    assert actual.dtype == "float32"
    np.testing.assert_allclose(actual, cams, atol=1e-5)


def test_classes(photos):
    conv, dense = parts()
    # A bias that decides, which maps alone don't show.
    model = flat(conv, dense)
    dense.bias.assign([0.0, 9.0, 0.0, 0.0])
    cams, _ = reference(conv, dense, photos)
    for classes, indices in (
        (None, 1),
        (2, 2),
        ([3, 0, 1, 2, 2], [3, 0, 1, 2, 2]),
    ):
        np.testing.assert_allclose(
            cam(model, photos, classes, batch_size=2),
            cams[np.arange(5), ..., indices],
            atol=1e-5,
        )
    with pytest.raises(ValueError, match="`classes`.*Received: classes=4"):
        cam(model, photos, 4)


def softmax_layer(conv, dense):
    model = flat(conv, dense)
    return keras.Model(model.input, layers.Softmax()(model.output))


def softmax_activation(conv, dense):
    model = flat(conv, dense)
    x = layers.Activation("softmax")(model.output)
    return keras.Model(model.input, x)


@pytest.mark.parametrize(
    "build, activation",
    [(flat, "softmax"), (softmax_layer, None), (softmax_activation, None)],
)
@pytest.mark.parametrize("use_bias", [True, False])
def test_looks_through_softmax(build, activation, use_bias, photos):
    conv, dense = parts(activation, use_bias)
    model = build(conv, dense)
    cams, logits = reference(conv, dense, photos)
    np.testing.assert_allclose(
        model.predict(photos, verbose=0),
        keras.ops.convert_to_numpy(keras.ops.softmax(logits)),
        atol=1e-5,
    )
    np.testing.assert_allclose(cam(model, photos, "all"), cams, atol=1e-5)


def test_grad_cam_is_its_positive_part(photos):
    model = flat(*parts())
    maps = cam(model, photos, "all")
    assert maps.min() < 0
    np.testing.assert_allclose(
        grad_cam(model, photos, "all", layer="last"),
        np.maximum(maps, 0) / np.prod(maps.shape[1:3]),
        atol=1e-6,
    )


def test_grad_cam_plus_plus_of_a_linear_head_in_closed_form(photos):
    conv, dense = parts()
    model = flat(conv, dense)
    # Gradients of a real size, so that the divisor matters.
    dense.kernel.assign(dense.get_weights()[0] * 5)
    a = backbone_of(conv).predict(photos, verbose=0)
    kernel = dense.get_weights()[0]
    # The gradient is the same at all locations: the kernel divided by h w.
    scores = np.einsum("bhwk,kc->bkc", a, kernel) / np.prod(a.shape[1:3])
    weights = np.maximum(kernel, 0) / (2 + scores)
    expected = np.maximum(np.einsum("bhwk,bkc->bhwc", a, weights), 0)
    assert expected.any()
    found = grad_cam_plus_plus(model, photos, "all", layer="last")
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_facnn(small_model, images):
    logits, maps = small_model.predict_with_maps(images)
    cams = cam(small_model, images, "all")
    scale = float(keras.ops.convert_to_numpy(small_model.head.scale))
    np.testing.assert_allclose(cams, scale * maps, rtol=1e-5)
    np.testing.assert_allclose(cams.mean((1, 2)), logits, rtol=1e-4)


def test_facnn_in_another_model(small_model, images):
    inputs = keras.Input((16, 16, 3))
    flipped = layers.Rescaling(-1.0, 255.0)(inputs)
    model = keras.Model(inputs, small_model(flipped))
    np.testing.assert_allclose(
        cam(model, images), cam(small_model, 255 - images), rtol=1e-5
    )


def test_keras_applications(rng):
    backbone = keras.applications.MobileNetV2(
        (96, 96, 3), alpha=0.35, include_top=False, weights=None, pooling="avg"
    )
    inputs = keras.Input((96, 96, 3))
    x = layers.Rescaling(1 / 127.5, -1.0)(inputs)
    dense = layers.Dense(3, bias_initializer="normal")
    model = keras.Model(inputs, dense(backbone(x, training=False)))
    images = rng.integers(0, 256, (2, 96, 96, 3))
    cams = cam(model, images, "all")
    assert cams.shape == (2, 3, 3, 3)
    logits = model.predict(images, verbose=0)
    bias = keras.ops.convert_to_numpy(dense.bias)
    np.testing.assert_allclose(cams.mean((1, 2)) + bias, logits, atol=1e-5)
    # The backbone alone, as Grad-CAM takes no nested layer.
    whole = keras.Model(backbone.input, dense(backbone.output))
    np.testing.assert_allclose(
        grad_cam(whole, images / 127.5 - 1, "all", layer="out_relu"),
        np.maximum(cams, 0) / 9,
        atol=1e-6,
    )


def test_mixed_precision(rng, photos):
    options = {"dtype": "mixed_bfloat16"}
    inputs = keras.Input(SHAPE)
    x = layers.Conv2D(6, 3, **options)(inputs)
    x = layers.GlobalAveragePooling2D(**options)(x)
    model = keras.Model(inputs, layers.Dense(4, **options)(x))
    maps = cam(model, photos, "all")
    assert maps.dtype == np.float32
    np.testing.assert_allclose(
        maps.mean((1, 2)),
        model.predict(photos, verbose=0).astype("float32"),
        atol=0.02,
    )


def test_leaves_the_model_as_it_was(photos):
    """Else each call would add to what the model's layers remember."""
    model = nested_backbone_that_averages(*parts())
    before = model.get_config(), [w.copy() for w in model.get_weights()]
    layers_ = [*model.layers, *model.layers[1].layers]
    nodes = [(len(x._inbound_nodes), len(x._outbound_nodes)) for x in layers_]
    cam(model, photos)
    assert nodes == [
        (len(x._inbound_nodes), len(x._outbound_nodes)) for x in layers_
    ]
    assert model.get_config() == before[0]
    for a, b in zip(before[1], model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


class SquaredDense(layers.Dense):
    def call(self, x):
        return super().call(x) ** 2


def two_denses(x):
    x = layers.Dense(8, activation="relu", name="hidden")(x)
    return layers.Dense(4, name="logits")(x)


@pytest.mark.parametrize(
    "head, ending",
    [
        (
            lambda x: two_denses(layers.GlobalAveragePooling2D()(x)),
            "Dense 'hidden' -> Dense 'logits'",
        ),
        (
            lambda x: layers.Dense(4, name="y")(layers.Flatten(name="f")(x)),
            "Conv2D 'c' -> Flatten 'f' -> Dense 'y'",
        ),
        (
            lambda x: layers.Dense(4, "tanh", name="y")(
                layers.GlobalAveragePooling2D()(x)
            ),
            "Dense 'y'",
        ),
        (
            lambda x: SquaredDense(4, name="y")(
                layers.GlobalAveragePooling2D()(x)
            ),
            "SquaredDense 'y'",
        ),
        (
            lambda x: layers.Dense(4, name="y")(
                layers.GlobalMaxPooling2D(name="m")(x)
            ),
            "GlobalMaxPooling2D 'm' -> Dense 'y'",
        ),
        (
            lambda x: layers.Softmax(name="s")(
                layers.GlobalAveragePooling2D(name="a")(x)
            ),
            "GlobalAveragePooling2D 'a' -> Softmax 's'",
        ),
    ],
)
def test_refuses_what_is_not_linear(head, ending, photos):
    inputs = keras.Input(SHAPE)
    model = keras.Model(inputs, head(layers.Conv2D(6, 3, name="c")(inputs)))
    with pytest.raises(
        ValueError, match=f"`model`.*Received.*which ends in {ending}"
    ):
        cam(model, photos)


@pytest.mark.parametrize("head", ["sigmoid", "1x1 convolution"])
def test_explains_the_logits_of_other_linear_heads(head, photos):
    inputs = keras.Input(SHAPE)
    maps = layers.Conv2D(6, 3, name="c")(inputs)
    x = layers.GlobalAveragePooling2D(keepdims=True)(maps)
    if head == "sigmoid":
        last = layers.Dense(4, "sigmoid")
        outputs = last(layers.Flatten()(x))
    else:
        last = layers.Conv2D(4, 1)
        outputs = layers.Reshape((4,))(last(x))
    kernel = keras.ops.convert_to_numpy(last.kernel).reshape((6, 4))
    maps = keras.Model(inputs, maps).predict(photos, verbose=0)
    np.testing.assert_allclose(
        cam(keras.Model(inputs, outputs), photos, "all"),
        maps @ kernel,
        atol=1e-5,
    )


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
def test_refuses_quantized_weights(photos):
    model = flat(*parts())
    model.quantize("int8")
    with pytest.raises(ValueError, match="`model`.*unquantized"):
        cam(model, photos)


def test_refuses_models_without_a_graph(photos):
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="`model`.*functional.*Received"):
        cam(Subclassed(), photos)
    inputs = keras.Input(SHAPE)
    outer = keras.Model(inputs, layers.Dense(4)(Subclassed(name="s")(inputs)))
    with pytest.raises(ValueError, match="`model`.*Received"):
        cam(outer, photos)
