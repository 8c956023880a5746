"""Explaining, judging and exporting run a model for inference, not training.

Keras augments images by default wherever a call does not ask for inference.
"""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers

from keras_facnn import FACNN
from keras_facnn import attribution
from keras_facnn import metrics
from keras_facnn.export.formats import FORMATS
from tests.export.running import RUN

BACKEND = keras.backend.backend()
pytestmark = pytest.mark.filterwarnings(
    # Warnings about custom layers in a backbone, and of Keras' own layers.
    "ignore:This hybrid runs:UserWarning",
    "ignore:.*Tensor.T is deprecated:UserWarning",
)
RECORDED = []


class TrainsByDefault(layers.Layer):
    """A custom layer that trains by default, and tells its sublayer nothing."""

    def __init__(self):
        super().__init__()
        self.inner = layers.RandomBrightness(0.5, seed=0)

    def call(self, x, training=True):
        return -self.inner(x) if training else self.inner(x)


class Wrapper(layers.Layer):
    """A layer without a `training` argument: its sublayer uses its default."""

    def __init__(self):
        super().__init__()
        self.inner = layers.RandomFlip("horizontal", seed=0)

    def call(self, x):
        return self.inner(x)


class Recorder(layers.Layer):
    def call(self, x, training=True):
        RECORDED.append(training)
        return x

    def compute_output_spec(self, x, training=None):
        return keras.KerasTensor(x.shape, x.dtype)


AUGMENTATION = {
    "AugMix": lambda: layers.AugMix((0, 255), seed=0),
    "CutMix": lambda: layers.CutMix(seed=0),
    "MixUp": lambda: layers.MixUp(seed=0),
    "RandAugment": lambda: layers.RandAugment((0, 255), seed=0),
    "RandomBrightness": lambda: layers.RandomBrightness(0.5, seed=0),
    "RandomColorDegeneration": lambda: layers.RandomColorDegeneration(
        (0.9, 1.0), seed=0
    ),
    "RandomColorJitter": lambda: layers.RandomColorJitter(
        brightness_factor=0.5, seed=0
    ),
    "RandomContrast": lambda: layers.RandomContrast(0.5, seed=0),
    "RandomCrop": lambda: layers.RandomCrop(16, 16, seed=0),
    "RandomElasticTransform": lambda: layers.RandomElasticTransform(
        scale=1.0, seed=0
    ),
    "RandomErasing": lambda: layers.RandomErasing(seed=0),
    "RandomFlip": lambda: layers.RandomFlip(seed=0),
    "RandomGaussianBlur": lambda: layers.RandomGaussianBlur(seed=0),
    "RandomGrayscale": lambda: layers.RandomGrayscale(1.0, seed=0),
    "RandomHue": lambda: layers.RandomHue(0.5, seed=0),
    "RandomInvert": lambda: layers.RandomInvert(1.0, seed=0),
    "RandomPerspective": lambda: layers.RandomPerspective(1.0, seed=0),
    "RandomPosterization": lambda: layers.RandomPosterization(2, seed=0),
    "RandomRotation": lambda: layers.RandomRotation(0.3, seed=0),
    "RandomSaturation": lambda: layers.RandomSaturation(0.9, seed=0),
    "RandomSharpness": lambda: layers.RandomSharpness(1.0, seed=0),
    "RandomShear": lambda: layers.RandomShear(0.5, 0.5, seed=0),
    "RandomTranslation": lambda: layers.RandomTranslation(0.5, 0.5, seed=0),
    "RandomZoom": lambda: layers.RandomZoom(0.5, seed=0),
    "TimeDistributed": lambda: layers.Pipeline(
        [
            layers.Reshape((2, 8, 16, 3)),
            layers.TimeDistributed(layers.RandomFlip("horizontal", seed=0)),
            layers.Reshape((16, 16, 3)),
        ]
    ),
    "TrainsByDefault": TrainsByDefault,
    "Wrapper": Wrapper,
}
# Layers that never change a picture do not count.
SOME = ("RandAugment", "RandomFlip", "TrainsByDefault", "Wrapper")


def test_every_random_layer_of_keras_is_here():
    found = {n for n in dir(layers) if n.startswith("Random")}
    assert found <= AUGMENTATION.keys()


def backbone(augmentation):
    inputs = keras.Input((16, 16, 3))
    x = inputs
    for make in augmentation:
        x = make()(x)
    x = layers.Rescaling(1 / 255)(x)
    x = layers.Conv2D(4, 3, 2, "same", name="inner")(x)
    return keras.Model(inputs, layers.ReLU(name="inner_relu")(x))


def twin_of(model, build):
    """Return the model that `build` makes, with the weights of `model`."""
    twin = build()
    for to, of in zip(twin.weights, _trained(model), strict=True):
        to.assign(of)
    return twin


def _trained(model):
    return [w for w in model.weights if "seed_generator" not in w.path]


def hybrid(augmentation):
    keras.utils.set_random_seed(0)
    return FACNN(
        4,
        backbone=backbone(augmentation),
        depths=(1, 1),
        maps_per_class=(1, 2),
    )


def inside(augmentation):
    """Return a classifier with augmentation among its layers."""
    keras.utils.set_random_seed(0)
    x = backbone(augmentation)
    y = layers.GlobalAveragePooling2D()(x.output)
    return keras.Model(x.input, layers.Dense(4)(y))


def in_front(augmentation):
    """Return an FA-CNN after augmentation in a nested Sequential."""
    keras.utils.set_random_seed(0)
    model = FACNN(4, (16, 16, 3), (1,), (2,), space_to_depth=2)
    made = [make() for make in augmentation] or [layers.Identity()]
    return keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.Sequential([keras.Input((16, 16, 3)), *made]),
            model,
        ]
    )


LAYERS = {hybrid: "inner", inside: "inner", in_front: "fa_1"}
METHODS = {
    "grad_cam": attribution.grad_cam,
    "grad_cam_plus_plus": attribution.grad_cam_plus_plus,
    "hires_cam": attribution.hires_cam,
    "layer_cam": attribution.layer_cam,
    "score_cam": attribution.score_cam,
    "ablation_cam": attribution.ablation_cam,
}


def assert_same(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.only_on("torch")
@pytest.mark.parametrize("build", LAYERS)
@pytest.mark.parametrize("name", AUGMENTATION)
def test_maps_are_those_without_augmentation(images, name, build):
    model = build([AUGMENTATION[name]])
    twin = twin_of(model, lambda: build([]))
    for method in METHODS.values():
        expected = method(twin, images, 1, layer=LAYERS[build])
        assert np.ptp(expected) > 0 or method is not attribution.hires_cam
        assert_same(method(model, images, 1, layer=LAYERS[build]), expected)


@pytest.mark.parametrize("build", LAYERS)
def test_maps_of_many_layers_are_those_without_augmentation(images, build):
    model = build([AUGMENTATION[name] for name in SOME])
    twin = twin_of(model, lambda: build([]))
    assert_same(
        attribution.hires_cam(model, images, 1, layer=LAYERS[build]),
        attribution.hires_cam(twin, images, 1, layer=LAYERS[build]),
    )
    assert_same(
        attribution.saliency(model, images, 1),
        attribution.saliency(twin, images, 1),
    )


def test_an_fa_cnn_with_augmentation_keeps_its_promises(images):
    model = hybrid([AUGMENTATION[name] for name in SOME])
    twin = twin_of(model, lambda: hybrid([]))
    assert_same(model.class_maps(images), twin.class_maps(images))
    measured = model.verify(images)
    assert measured["theorem_1_correlation"] > 0.9999
    assert measured["theorem_1_error"] < 1e-3
    similar = [
        metrics.similarity_by_layer(m, images, 1).values for m in (model, twin)
    ]
    np.testing.assert_allclose(*similar, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "name", [n for n, f in FORMATS.items() if BACKEND in f.backends]
)
def test_exported_files_do_not_augment(images, tmp_path, name):
    # Only Keras' own layers can be exported.
    model = hybrid([layers.RandomFlip, AUGMENTATION["RandAugment"]])
    path = tmp_path / f"m{FORMATS[name].ending}"
    model.export(path, verbose=False)
    logits, maps = twin_of(model, lambda: hybrid([])).predict_with_maps(images)
    for _ in range(2):
        found = RUN[name](path, images.astype("float32"))
        np.testing.assert_allclose(found["logits"], logits, atol=1e-3)
        np.testing.assert_allclose(found["class_maps"], maps, atol=1e-3)


@pytest.mark.only_on("torch")
def test_a_file_that_is_right_only_half_of_the_time_is_deleted(
    small_model, tmp_path, monkeypatch
):
    """The model flips pictures at random, but not the first one."""
    load = FORMATS["onnx"].load

    def by_chance(path):
        function, calls = load(path), []

        def answers(x):
            calls.append(x)
            return function(x if len(calls) < 2 else x[:, :, ::-1])

        return answers

    changed = dataclasses.replace(FORMATS["onnx"], load=by_chance)
    monkeypatch.setitem(FORMATS, "onnx", changed)
    with pytest.raises(RuntimeError, match="was not kept"):
        small_model.export(tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def recorded_hybrid(rng):
    inputs = keras.Input((16, 16, 3))
    x = Recorder()(inputs)
    x = layers.Conv2D(4, 3, 4, "same", activation="relu", name="inner")(x)
    return FACNN(
        3,
        backbone=keras.Model(inputs, x),
        depths=(1, 1),
        maps_per_class=(1, 1),
    )


def call_everything(model, x):
    """Call all public functions that make or judge maps of a model.

    A new public function must be called here, or be listed among those that
    use no model.
    """
    for name in attribution.__all__:
        method = getattr(attribution, name)
        options = {
            "contrast": (0, 1),
            "disagreement": (),
        }.get(name, (1,))
        keywords = {
            "rise": {"masks": 2},
            "integrated_gradients": {"steps": 1},
            "expected_gradients": {"samples": 2, "background": x},
            "smooth_grad": {"samples": 2},
            "var_grad": {"samples": 2},
            "occlusion": {"size": 16},
        }.get(name, {})
        if name in METHODS:
            keywords = {"layer": "inner"}
        method(model, x, *options, **keywords)
    maps = model.class_maps(x, 1)
    model.predict_with_maps(x)
    model.explain(x)
    model.layer_logits(x)
    model.layer_evidence(x)
    model.verify(x)
    model.compute_layer_logits(x)
    metrics.similarity_by_layer(model, x, 1)
    metrics.exactness(model, x)
    metrics.pixel_removal(model, x, [1] * len(x), maps)
    metrics.cascading_randomization(model, x, attribution.cam, 1)


@pytest.mark.only_on("torch")
def test_nothing_calls_a_layer_that_trains(rng, images):
    model = recorded_hybrid(rng)
    RECORDED.clear()
    call_everything(model, images)
    assert set(RECORDED) == {False}


@pytest.mark.only_on("torch")
def test_reading_keeps_no_losses(images):
    """Layers with a regularizer add a loss at each call."""
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(2, 3, activity_regularizer="l2", name="c")(inputs)
    x = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, x)
    for _ in range(2):
        attribution.grad_cam(model, images, 1, layer="c")
        attribution.saliency(model, images, 1)
    assert not model.losses
