import pickle
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
from keras import layers

from keras_facnn import FACNN
from keras_facnn import attribution

SHAPE = (32, 32, 3)


@pytest.fixture
def photos(rng):
    return rng.uniform(0, 255, (4, *SHAPE)).astype("float32")


def features():
    """Return layers from pixels to 12 maps of 8x8, which may be negative."""
    return [
        layers.Rescaling(1 / 127.5, -1),
        layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
        layers.BatchNormalization(),
        layers.Conv2D(12, 3, strides=2, padding="same"),
    ]


def classifier(*head, before=()):
    return keras.Sequential([keras.Input(SHAPE), *before, *features(), *head])


def nested(pooled):
    """Return a classifier whose backbone, and maybe pooling, is nested."""
    inputs = keras.Input(SHAPE)
    x = inputs
    for layer in features():
        x = layer(x)
    if pooled:
        x = layers.GlobalAveragePooling2D()(x)
    backbone = keras.Model(inputs, x, name="inner")
    outer = keras.Input(SHAPE, name="photo")
    x = layers.RandomFlip()(outer)
    x = backbone(x, training=False)
    if not pooled:
        x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(outer, layers.Dense(5, activation="softmax")(x))


def softmax(x):
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)


def assert_same_answers(model, expected, photos):
    got = model.probabilities(model.predict(photos, verbose=0))
    np.testing.assert_allclose(got, expected, atol=1e-6)
    exact = model.verify(photos)
    assert exact["theorem_1_correlation"] > 1 - 1e-6
    assert exact["completeness_error"] < 1e-5
    assert exact["evidence_error"] < 1e-5
    assert model.class_maps(photos).min() >= 0


CONVERTS = {
    "softmax": lambda: classifier(
        layers.GlobalAveragePooling2D(), layers.Dense(5, activation="softmax")
    ),
    "softmax layer": lambda: classifier(
        layers.GlobalAveragePooling2D(keepdims=True),
        layers.Dropout(0.5),
        layers.Flatten(),
        layers.Dense(5),
        layers.Softmax(),
    ),
    "softmax activation": lambda: classifier(
        layers.GlobalAveragePooling2D(),
        layers.Dense(5, use_bias=False),
        layers.Activation("linear"),
        layers.Activation("softmax"),
    ),
    "1x1 convolution": lambda: classifier(
        layers.GlobalAveragePooling2D(keepdims=True),
        layers.Conv2D(5, 1),
        layers.Reshape((5,)),
        layers.Activation("softmax"),
    ),
    "augmentation": lambda: classifier(
        layers.GlobalAveragePooling2D(),
        layers.GaussianNoise(1.0),
        layers.Dense(5, activation="softmax"),
        before=[layers.RandomFlip(), layers.RandomRotation(0.1)],
    ),
    "nested": lambda: nested(pooled=False),
    "nested pooling": lambda: nested(pooled=True),
    "nested whole": lambda: keras.Sequential(
        [keras.Input(SHAPE), nested(pooled=True)]
    ),
}


@pytest.mark.parametrize("kind", CONVERTS)
def test_converts_exactly(kind, photos):
    trained = CONVERTS[kind]()
    model = FACNN.from_classifier(trained)
    assert_same_answers(model, trained.predict(photos, verbose=0), photos)
    assert model.num_layers == 0
    assert model.class_maps(photos).shape == (4, 8, 8, 5)


def test_converts_logits(photos):
    trained = classifier(layers.GlobalAveragePooling2D(), layers.Dense(5))
    model = FACNN.from_classifier(trained)
    expected = softmax(trained.predict(photos, verbose=0))
    assert_same_answers(model, expected, photos)


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_converts_one_output_to_no_and_yes(photos, activation):
    trained = classifier(
        layers.GlobalAveragePooling2D(),
        layers.Dense(1, activation=activation, bias_initializer="ones"),
    )
    yes = trained.predict(photos, verbose=0)
    if activation is None:
        yes = 1 / (1 + np.exp(-yes))
    model = FACNN.from_classifier(trained, ["no", "yes"])
    assert_same_answers(model, np.concatenate([1 - yes, yes], 1), photos)
    # The maps are the negative and the positive part of the sigmoid's.
    no, yes = np.moveaxis(model.class_maps(photos), -1, 0)
    assert np.minimum(no, yes).max() == 0


def test_maps_are_those_of_cam(photos):
    trained = CONVERTS["softmax"]()
    model = FACNN.from_classifier(trained)
    cam = attribution.cam(trained, photos, "all")
    _, bias = trained.layers[-1].get_weights()
    maps = cam + bias
    np.testing.assert_allclose(
        model.class_maps(photos),
        maps - maps.min(axis=-1, keepdims=True),
        atol=1e-5,
    )
    np.testing.assert_allclose(
        model.class_maps(photos, centered=True),
        maps - maps.mean(axis=-1, keepdims=True),
        atol=1e-5,
    )


def test_maps_are_grad_cam_of_the_classifier_without_its_relu(photos):
    trained = classifier(layers.GlobalAveragePooling2D(), layers.Dense(5))
    model = FACNN.from_classifier(trained)
    centered = model.class_maps(photos, centered=True)
    # Grad-CAM of `y_c - mean_k y_k`, by a model whose output that is.
    kernel, bias = trained.layers[-1].get_weights()
    trained.layers[-1].set_weights(
        [
            kernel - kernel.mean(axis=1, keepdims=True),
            bias - bias.mean(),
        ]
    )
    last = trained.layers[3].name
    reference = attribution.grad_cam(trained, photos, 2, layer=last) * 64
    bias = (bias - bias.mean())[2]
    np.testing.assert_allclose(
        np.maximum(centered[..., 2] - bias, 0), reference, atol=1e-5
    )


def test_works_as_other_models_do(photos, tmp_path):
    model = FACNN.from_classifier(CONVERTS["nested"](), list("abcde"))
    logits = model.predict(photos, verbose=0)
    model.save_to_preset(tmp_path / "preset")
    model.save(tmp_path / "model.keras")
    for other in (
        FACNN.from_preset(tmp_path / "preset"),
        keras.saving.load_model(tmp_path / "model.keras"),
        pickle.loads(pickle.dumps(model)),
        model.fuse(),
    ):
        assert other.class_names == list("abcde")
        np.testing.assert_allclose(
            other.predict(photos, verbose=0), logits, atol=1e-5
        )
    explanation = model.explain(photos)
    assert list(explanation.layer_maps) == [0]
    assert explanation.layer_probabilities.shape == (4, 1, 5)
    np.testing.assert_array_equal(model.layer_logits(photos)[:, 0], logits)
    assert list(model.feature_extractor().output) == ["stem"]
    assert model.layer_evidence(photos, maps=True).shape == (4, 1, 8, 8)
    for layer in (0, "stem", None):
        assert model.class_maps(photos, 1, layer).shape == (4, 8, 8)
    assert attribution.grad_cam(model, photos, layer=0).shape == (4, 8, 8)
    for layer in (1, -1, "fa_1", "head"):
        with pytest.raises(ValueError, match="no FA layers.*Received: layer="):
            model.class_maps(photos, layer=layer)


def test_answers_are_those_of_a_model_that_plain_keras_saved(rng, tmp_path):
    """The classifier is trained and saved without this package."""
    photos = rng.uniform(0, 255, (4, 64, 64, 3)).astype("float32")
    np.save(tmp_path / "photos.npy", photos)
    script = """
import sys
import keras
import numpy as np
from keras import layers
folder = sys.argv[1]
photos = np.load(folder + "/photos.npy")
base = keras.applications.MobileNetV2(
    (64, 64, 3), alpha=0.35, include_top=False, weights=None
)
model = keras.Sequential([
    keras.Input((64, 64, 3)),
    layers.RandomFlip("horizontal"),
    layers.Rescaling(1 / 127.5, -1),
    base,
    layers.GlobalAveragePooling2D(),
    layers.Dropout(0.2),
    layers.Dense(3, activation="softmax"),
])
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(photos, np.arange(4) % 3, epochs=1, verbose=0)
model.save(folder + "/trained.keras")
np.save(folder + "/answers.npy", model.predict(photos, verbose=0))
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    trained = keras.saving.load_model(tmp_path / "trained.keras")
    model = FACNN.from_classifier(trained, ["ant", "bee", "cat"])
    expected = np.load(tmp_path / "answers.npy")
    assert_same_answers(model, expected, photos)


def test_fa_layers_can_be_trained_on_top(photos):
    trained = CONVERTS["softmax"]()
    model = FACNN.from_classifier(trained, depths=(2,), maps_per_class=(3,))
    model.backbone.trainable = False
    maps = model.get_layer("stem").output
    x_0 = keras.Model(model.input, model.head.class_maps(maps))
    plain = FACNN.from_classifier(trained)
    np.testing.assert_allclose(
        x_0.predict(photos, verbose=0), plain.class_maps(photos), atol=1e-5
    )
    model.compile(
        keras.optimizers.SGD(0.1),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    before = trained.predict(photos, verbose=0)
    losses = model.fit(photos, np.arange(4), epochs=8, verbose=0)
    assert losses.history["loss"][-1] < losses.history["loss"][0]
    assert model.verify(photos)["theorem_1_correlation"] > 1 - 1e-6
    # The frozen backbone is shared, and the dense layer was copied.
    np.testing.assert_array_equal(trained.predict(photos, verbose=0), before)


@pytest.mark.parametrize("kind", ["softmax", "nested pooling"])
def test_stride_makes_finer_maps_of_the_same_weights(kind, photos, tmp_path):
    trained = CONVERTS[kind]()
    model = FACNN.from_classifier(trained, list("abcde"), stride=2)
    maps = model.class_maps(photos)
    assert maps.shape == (4, 16, 16, 5)
    # Keras pads so that the maps of a halving are at odd cells.
    expected = FACNN.from_classifier(trained).class_maps(photos)
    np.testing.assert_allclose(maps[:, 1::2, 1::2], expected, atol=1e-5)
    exact = model.verify(photos)
    assert exact["theorem_1_correlation"] > 1 - 1e-6
    assert exact["completeness_error"] < 1e-5
    model.save_to_preset(tmp_path)
    np.testing.assert_allclose(
        FACNN.from_preset(tmp_path).class_maps(photos), maps, atol=1e-5
    )


def test_refuses_a_stride_that_it_cannot_reach():
    with pytest.raises(ValueError, match="at most.*, 4. Received: stride=8"):
        FACNN.from_classifier(CONVERTS["softmax"](), stride=8)


REFUSED = {
    "Flatten": [layers.Flatten, lambda: layers.Dense(5)],
    "MaxPool": [layers.GlobalMaxPooling2D, lambda: layers.Dense(5)],
    "LayerNorm": [
        layers.GlobalAveragePooling2D,
        layers.LayerNormalization,
        lambda: layers.Dense(5),
    ],
    "ReLU": [
        layers.GlobalAveragePooling2D,
        layers.ReLU,
        lambda: layers.Dense(5),
    ],
    "hidden Dense": [
        layers.GlobalAveragePooling2D,
        lambda: layers.Dense(5),
        lambda: layers.Dense(5),
    ],
    "tanh": [
        layers.GlobalAveragePooling2D,
        lambda: layers.Dense(5, activation="tanh"),
    ],
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refuses_ends_that_are_not_linear(kind):
    head = [make() for make in REFUSED[kind]]
    with pytest.raises(
        ValueError, match="`classifier` must.*Dense.*hybrid.*Received"
    ):
        FACNN.from_classifier(classifier(*head))


@pytest.mark.only_on("torch")
@pytest.mark.parametrize(
    "head, why",
    [
        ([layers.Dense(5), layers.Dense(5)], "A hidden Dense is not linear"),
        ([layers.Dense(5, "relu")], "The activation relu of 'last'"),
        (
            [layers.Dense(5, "softmax"), layers.Softmax()],
            "The activation softmax of 'last' .* or another one follows",
        ),
        ([layers.Dense(5), layers.Activation("relu")], "The activation relu"),
    ],
)
def test_says_why_an_end_is_refused(head, why):
    # Layers are built once, so each test makes its own.
    head = [type(layer).from_config(layer.get_config()) for layer in head]
    head[0].name = "last"
    with pytest.raises(ValueError, match=why) as raised:
        FACNN.from_classifier(
            classifier(layers.GlobalAveragePooling2D(), *head)
        )
    assert ("hidden" in str(raised.value)) == ("hidden" in why)


@pytest.mark.only_on("torch")
def test_says_that_a_quantized_layer_rounds():
    head = [layers.GlobalAveragePooling2D(), layers.Dense(5)]
    quantized = classifier(*head)
    quantized.layers[-1].quantize("int8")
    with pytest.raises(ValueError, match="A quantized Dense also rounds"):
        FACNN.from_classifier(quantized)


@pytest.mark.only_on("torch")
def test_takes_only_a_softmax_over_classes(photos):
    def ending_in(softmax_layer):
        return classifier(
            layers.GlobalAveragePooling2D(keepdims=True),
            layers.Conv2D(5, 1),
            softmax_layer,
            layers.Flatten(),
        )

    trained = ending_in(layers.Softmax(axis=3))
    expected = trained.predict(photos, verbose=0)
    assert_same_answers(FACNN.from_classifier(trained), expected, photos)
    with pytest.raises(ValueError, match="Softmax must be .*the last axis"):
        FACNN.from_classifier(ending_in(layers.Softmax(axis=1)))


def test_refuses_several_sigmoids():
    with pytest.raises(ValueError, match="one output at a time.*5 sigmoids"):
        FACNN.from_classifier(
            classifier(
                layers.GlobalAveragePooling2D(),
                layers.Dense(5, activation="sigmoid"),
            )
        )


@pytest.mark.parametrize(
    "value",
    [
        None,
        "model.keras",
        keras.layers.Dense(2),
        keras.Sequential([keras.layers.Dense(2)]),
        keras.Model,
    ],
)
def test_refuses_what_is_no_classifier(value):
    with pytest.raises(ValueError, match="`classifier` must be a functional"):
        FACNN.from_classifier(value)


def test_says_what_is_no_classifier():
    images = keras.Input((16, 16, 3))
    backbone = keras.Model(images, layers.Conv2D(5, 3)(images))
    for value, message in (
        (
            "model.keras",
            "a path: read the model with `keras.models.load_model`",
        ),
        (backbone, r"to \[\(None, 14, 14, 5\)\]\. Add `GlobalAverage"),
    ):
        with pytest.raises(ValueError, match=message):
            FACNN.from_classifier(value)


def test_refuses_an_fa_cnn(small_model):
    with pytest.raises(ValueError, match="`classifier` must be another model"):
        FACNN.from_classifier(small_model)


def test_refuses_wrong_class_names():
    with pytest.raises(ValueError, match="class_names"):
        FACNN.from_classifier(CONVERTS["softmax"](), ["a", "b"])
    with pytest.raises(ValueError, match="class_names.*Received: .*'abcde'"):
        FACNN.from_classifier(CONVERTS["softmax"](), "abcde")


def test_warns_where_nothing_rescales_the_pixels():
    head = [layers.GlobalAveragePooling2D(), layers.Dense(5)]
    bare = keras.Sequential([keras.Input(SHAPE), *features()[1:], *head])
    with pytest.warns(UserWarning, match="no layer that rescales pixels"):
        FACNN.from_classifier(bare)
    inputs = keras.Input(SHAPE)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        FACNN.from_classifier(keras.Model(inputs, bare(inputs / 255)))


@pytest.mark.only_on("torch")
@pytest.mark.parametrize(
    "norm",
    [layers.BatchNormalization, layers.Normalization],
)
@pytest.mark.parametrize("largest", [1, 255])
def test_warns_where_a_norm_knows_other_pixels(norm, largest, photos):
    head = [layers.GlobalAveragePooling2D(), layers.Dense(5)]
    first = norm(axis=-1)
    trained = keras.Sequential(
        [keras.Input(SHAPE), first, *features()[1:], *head]
    )
    pixels = photos * (largest / 255)
    if norm is layers.Normalization:
        first.adapt(pixels)
    else:
        first.moving_mean.assign(pixels.mean((0, 1, 2)))
        first.moving_variance.assign(pixels.var((0, 1, 2)))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        FACNN.from_classifier(trained)
    said = [str(w.message) for w in caught if "rescales pix" in str(w.message)]
    assert len(said) == (largest == 1)


@pytest.mark.only_on("torch")
@pytest.mark.parametrize(
    "options",
    [{"projection": "relu"}, {"num_classes": 7}, {"backbone": None}],
)
def test_refuses_what_the_classifier_determines(options):
    (name,) = options
    with pytest.raises(
        ValueError, match=f"`{name}` must not.*Received: {name}"
    ):
        FACNN.from_classifier(CONVERTS["softmax"](), **options)


def test_a_model_without_fa_layers_needs_a_backbone():
    with pytest.raises(ValueError, match=r"`depths` must be a positive integ"):
        FACNN(3, depths=(0,), maps_per_class=(1,))
    with pytest.raises(ValueError, match="`projection` needs a `backbone`"):
        FACNN(3, projection="excess")
