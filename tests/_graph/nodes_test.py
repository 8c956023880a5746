"""A functional model with a `call` of its own is explained by that, or refused.

Keras runs the `call`; the graph, off which layers are read, says otherwise.
"""

import keras
import numpy as np
import pytest
from keras import layers

from keras_facnn import FACNN
from keras_facnn import attribution
from keras_facnn import metrics

BY_LAYERS = {
    "grad_cam": lambda m, x: attribution.grad_cam(m, x, 1, layer="c"),
    "grad_cam_plus_plus": lambda m, x: attribution.grad_cam_plus_plus(
        m, x, 1, layer="c"
    ),
    "hires_cam": lambda m, x: attribution.hires_cam(m, x, 1, layer="c"),
    "layer_cam": lambda m, x: attribution.layer_cam(m, x, 1, layer="c"),
    "score_cam": lambda m, x: attribution.score_cam(m, x, 1, layer="c"),
    "ablation_cam": lambda m, x: attribution.ablation_cam(m, x, 1, layer="c"),
    "cam": lambda m, x: attribution.cam(m, x, 1),
}
BY_CALLS = {
    "saliency": lambda m, x: attribution.saliency(m, x, 1),
    "integrated_gradients": lambda m, x: attribution.integrated_gradients(
        m, x, 1, steps=4
    ),
    "expected_gradients": lambda m, x: attribution.expected_gradients(
        m, x, 1, background=0 * x, samples=4
    ),
    "smooth_grad": lambda m, x: attribution.smooth_grad(m, x, 1, samples=2),
    "occlusion": lambda m, x: attribution.occlusion(m, x, 1),
    "rise": lambda m, x: attribution.rise(m, x, 1, masks=8),
    "pixel_removal": lambda m, x: removal(m, x).probability,
}
BY_FA_LAYERS = {
    "class_maps": lambda m, x: m.class_maps(x),
    "predict_with_maps": lambda m, x: m.predict_with_maps(x),
    "explain": lambda m, x: m.explain(x),
    "layer_logits": lambda m, x: m.layer_logits(x),
    "layer_evidence": lambda m, x: m.layer_evidence(x),
    "verify": lambda m, x: m.verify(x),
    "feature_extractor": lambda m, x: m.feature_extractor(),
    "compute_layer_logits": lambda m, x: m.compute_layer_logits(x),
    "similarity_by_layer": lambda m, x: metrics.similarity_by_layer(m, x, 1),
    "contrast": lambda m, x: attribution.contrast(m, x, 0, 1),
    "disagreement": lambda m, x: attribution.disagreement(m, x),
    "cam": lambda m, x: attribution.cam(m, x, 1),
    "grad_cam": lambda m, x: attribution.grad_cam(m, x, 1, layer=1),
}


def removal(model, x):
    return metrics.pixel_removal(model, x, [1, 2], x[..., 0], fractions=(0, 1))


class Own(keras.Model):
    def call(self, inputs, training=None, mask=None):
        return 1 - 3 * super().call(inputs, training=training, mask=mask)


class OwnFACNN(FACNN):
    def call(self, inputs, training=None, mask=None):
        return 2 * super().call(inputs, training=training, mask=mask)


class OwnCall(keras.Model):
    def __call__(self, *args, **kwargs):
        return -super().__call__(*args, **kwargs)


def functional(kind=keras.Model):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="c")(inputs)
    x = layers.GlobalAveragePooling2D()(x)
    return kind(inputs, layers.Dense(3)(x))


def with_graph():
    """The same function as that of `functional(Own)`, all in its graph."""
    plain = functional()
    return keras.Model(plain.input, 1 - 3 * plain.output)


def nested(model):
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(3, 3, padding="same", name="c"),
            layers.ReLU(),
            model,
        ]
    )


@pytest.fixture
def x(images):
    return (images[:2, :8, :8] / 255).astype("float32")


@pytest.mark.filterwarnings("ignore:The model's outputs look like prob")
@pytest.mark.only_on("torch")
@pytest.mark.parametrize("read", BY_CALLS.values(), ids=BY_CALLS)
def test_what_only_calls_a_model_does_call_it(x, read):
    expected = read(with_graph(), x)
    np.testing.assert_allclose(
        read(functional(Own), x), expected, rtol=1e-4, atol=1e-5
    )
    assert not np.allclose(read(functional(), x), expected, rtol=1e-2)


@pytest.mark.only_on("torch")
@pytest.mark.parametrize("kind", [Own, OwnCall])
@pytest.mark.parametrize("read", BY_LAYERS.values(), ids=BY_LAYERS)
def test_what_reads_layers_off_a_graph_refuses_it(x, read, kind):
    with pytest.raises(ValueError, match="which has its own `call`"):
        read(functional(kind), x)


def test_one_within_a_model_is_explained_by_its_call(x):
    expected = BY_LAYERS["hires_cam"](nested(with_graph()), x)
    found = BY_LAYERS["hires_cam"](nested(functional(Own)), x)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    plain = BY_LAYERS["hires_cam"](nested(functional()), x)
    assert not np.allclose(plain, expected, rtol=1e-2)


@pytest.mark.only_on("torch")
def test_one_within_a_model_is_not_looked_into(x):
    model = nested(functional(Own))
    model.layers[0].name = "first"
    with pytest.raises(ValueError, match="`layer` must be .*layer='c'"):
        attribution.grad_cam(model, x, 1, layer="c")
    with pytest.raises(ValueError, match="ends in Own"):
        attribution.cam(model, x, 1)


@pytest.mark.only_on("torch")
@pytest.mark.parametrize("read", BY_FA_LAYERS.values(), ids=BY_FA_LAYERS)
def test_an_fa_cnn_with_a_call_of_its_own_is_refused(images, read):
    model = OwnFACNN(4, (16, 16, 3), (1, 1), (1, 2))
    with pytest.raises(ValueError, match="which has its own `call`"):
        read(model, images)


@pytest.mark.only_on("torch")
def test_so_are_its_files_and_a_backbone(tmp_path):
    model = OwnFACNN(4, (16, 16, 3), (1, 1), (1, 2))
    with pytest.raises(ValueError, match="which has its own `call`"):
        model.export(tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
    inputs = keras.Input((16, 16, 3))
    with pytest.raises(ValueError, match="`backbone`.*class Own, which has"):
        FACNN(4, backbone=Own(inputs, layers.Conv2D(4, 3)(inputs)))


@pytest.mark.only_on("torch")
def test_a_call_that_is_put_in_place_later_counts(x):
    model = functional()
    attribution.grad_cam(model, x, 1, layer="c")
    model.call = lambda inputs, training=None, mask=None: inputs[:, 0, 0, :]
    with pytest.raises(ValueError, match="which has its own `call`"):
        attribution.grad_cam(model, x, 1, layer="c")


@pytest.mark.only_on("torch")
def test_a_call_of_other_outputs_is_named(x):
    class Two(keras.Model):
        def call(self, inputs, training=None, mask=None):
            return super().call(inputs)[:, :2]

    with pytest.raises(ValueError, match=r"Two, whose `call` .*\(None, 2\)"):
        attribution.rise(functional(Two), x, 1, masks=2)


@pytest.mark.only_on("torch")
def test_a_subclass_that_changes_no_call_is_explained(x):
    class Named(keras.Model):
        pass

    np.testing.assert_allclose(
        BY_LAYERS["hires_cam"](functional(Named), x),
        BY_LAYERS["hires_cam"](functional(), x),
        rtol=1e-5,
    )
