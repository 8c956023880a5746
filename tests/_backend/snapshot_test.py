"""What is kept of a model is of the model as it is, however it was changed."""

import time

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_facnn import FACNN
from keras_facnn import attribution
from keras_facnn._backend import cache
from keras_facnn._backend import forward
from keras_facnn._backend.snapshot import Snapshot
from tests.conftest import optimizing


class Scale(layers.Layer):
    """Multiplies by what its attributes are, of several kinds."""

    def __init__(self):
        super().__init__()
        self.number = 2.0
        self.numbers = [1.0, 3.0]
        self.nested = {"by": (1.0, [2.0])}
        self.array = np.ones(4, "float32")
        self.tensor = ops.ones((4,))

    def call(self, x):
        # 0.5 where it is not trained, though it is the same to most layers.
        x = x * (1.0 if self.trainable else 0.5) * self.number
        x = x * self.numbers[0] + self.nested["by"][1][0]
        return x * ops.convert_to_tensor(self.array) * self.tensor


class Remembers(layers.Layer):
    """As people write layers to look into them."""

    def __init__(self):
        super().__init__()
        self.calls = 0
        self.sizes = {}
        self.last = None

    def call(self, x):
        self.calls += 1
        self.sizes[self.calls] = x.shape
        self.last = x
        return x + 1.0


def sequential(extra=Scale, inner_activation="relu"):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.Sequential(
                [
                    keras.Input((8, 8, 3)),
                    layers.Conv2D(4, 3, activation=inner_activation, name="c"),
                ],
                name="inner",
            ),
            extra(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def last_linear(model):
    model.layers[-1].activation = keras.activations.linear


def inner_elu(model):
    model.get_layer("inner").layers[0].activation = keras.activations.elu


def layer_added(model):
    model.add(layers.Dense(2, kernel_initializer="ones"))


def layer_removed(model):
    model.pop()


def frozen(model):
    model.layers[1].trainable = False


def number(model):
    model.layers[1].number = 3.0


def number_in_a_list(model):
    model.layers[1].numbers[0] = 5.0


def number_deep_inside(model):
    model.layers[1].nested["by"][1][0] = 7.0


def array_in_place(model):
    model.layers[1].array[:] = [1, 2, 3, 4]


def other_tensor(model):
    model.layers[1].tensor = ops.convert_to_tensor(
        np.arange(4, dtype="float32")
    )


def other_call(model):
    model.layers[1].call = lambda x: x * x


def other_class(model):
    class Twice(Scale):
        def call(self, x):
            return 2 * x

    model.layers[1].__class__ = Twice


def scores(model, images):
    return forward.compute_scores(model, images)


def maps(model, images):
    return attribution.hires_cam(model, images, 1, layer="c")


@pytest.mark.filterwarnings("ignore:The model's outputs look like prob")
@pytest.mark.parametrize(
    "change, read",
    [
        (last_linear, maps),
        (inner_elu, maps),
        (layer_added, maps),
        (layer_removed, scores),
        (frozen, scores),
        (number, maps),
        (number_in_a_list, scores),
        (number_deep_inside, scores),
        (array_in_place, scores),
        (other_tensor, scores),
        (other_call, scores),
        (other_class, scores),
    ],
)
def test_answers_are_of_the_model_as_it_is(images, change, read):
    x = images[:2, :8, :8] / 255
    model, fresh = sequential(), sequential()
    before = read(model, x)
    change(model)
    change(fresh)
    expected = read(fresh, x)
    assert before.shape != expected.shape or not np.allclose(
        before, expected, rtol=1e-2
    )
    np.testing.assert_allclose(read(model, x), expected, rtol=1e-5, atol=1e-7)


def test_an_alpha_that_is_changed_counts(small_model, images):
    def reads(model):
        return [
            model.class_maps(images),
            model.layer_evidence(images, "all"),
            attribution.grad_cam(model, images, 1, layer=1),
        ]

    before = reads(small_model)
    small_model.get_layer("fa_2").alpha = 0.9
    twin = FACNN.from_config(
        {**small_model.get_config(), "alpha": (0.5, 0.9, 0.25)}
    )
    twin.set_weights(small_model.get_weights())
    for a, b, c in zip(before, reads(small_model), reads(twin), strict=True):
        np.testing.assert_allclose(b, c, rtol=1e-4, atol=1e-6)
        assert not np.allclose(a, b, rtol=1e-2)
    assert small_model.verify(images)["evidence_error"] < 1e-4


@pytest.fixture
def made(monkeypatch):
    """What is compiled, a list that grows."""
    made, compiled = [], cache.compiled_function

    def counted(*args):
        made.append(args)
        return compiled(*args)

    monkeypatch.setattr(cache, "compiled_function", counted)
    return made


@pytest.mark.parametrize("use", ["predict", "fit", "evaluate", "save", "call"])
def test_what_keras_notes_is_no_change(
    small_model, images, made, use, tmp_path
):
    small_model.compile(
        "sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    small_model.class_maps(images)
    if use in ("fit", "evaluate"):
        getattr(small_model, use)(images, np.zeros(5), verbose=0)
    elif use == "predict":
        small_model.predict(images, verbose=0)
    elif use == "save":
        small_model.save(tmp_path / "model.keras")
    else:
        small_model(images, training=True)
        # Which calls all layers in a new graph.
        attribution.grad_cam(small_model, images, 1, layer=1)
        made.clear()
        made.append("the first one")
    small_model.class_maps(images)
    assert len(made) == 1


def test_what_a_layer_notes_in_itself_is_no_change(images, made):
    model = sequential(Remembers)
    x = (images[:2, :8, :8] / 255).astype("float32")
    for _ in range(3):
        found = scores(model, x)
    assert len(made) == 1
    expected = ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.only_on("torch")
def test_to_look_for_changes_costs_little(small_model, images):
    snapshot = Snapshot(small_model)

    def seconds(function):
        times = []
        for _ in range(20):
            start = time.perf_counter()
            function()
            times.append(time.perf_counter() - start)
        return min(times)

    with optimizing():
        call = seconds(lambda: small_model.class_maps(images[:1]))
    assert seconds(lambda: snapshot.matches(small_model)) < 0.05 * call
