"""Models that get their weights at once are built without initial weights."""

import contextlib
import copy
import pathlib
import pickle
import random
import threading

import keras
import numpy as np
import pytest

from keras_facnn import FACNN
from keras_facnn._backend.initializers import skip_initializers
from keras_facnn.export.graph import make_graph
from tests.promises import with_other_weights

ROOT = pathlib.Path(__file__).parents[2]


def built_dense(**kwargs):
    layer = keras.layers.Dense(5, **kwargs)
    layer.build((None, 7))
    return layer


def array(tensor):
    return keras.ops.convert_to_numpy(tensor)


def is_set(layer):
    return all(
        np.isfinite(w.astype("float32")).all() for w in layer.get_weights()
    )


@contextlib.contextmanager
def no_float_initialized():
    """Let each of Keras' initializers raise where it makes floats."""

    def refusing(call):
        def refuse(self, shape, dtype=None, **kwargs):
            if keras.backend.is_float_dtype(dtype):
                raise AssertionError(f"{type(self).__name__} made {shape}")
            return call(self, shape, dtype=dtype, **kwargs)

        return refuse

    with pytest.MonkeyPatch.context() as patch:
        for name in dir(keras.initializers):
            kind = getattr(keras.initializers, name)
            if isinstance(kind, type) and "__call__" in vars(kind):
                patch.setattr(kind, "__call__", refusing(kind.__call__))
        yield


def test_notices_an_initializer():
    with no_float_initialized(), pytest.raises(AssertionError, match="made"):
        built_dense()


# --- The scope ---


def test_weights_are_nan_until_they_are_set():
    with skip_initializers():
        layer = built_dense()
        positional = keras.Layer()
        positional.weight = positional.add_weight((2, 3), "glorot_uniform")
        default = keras.Layer()
        default.weight = default.add_weight(shape=(2, 3))
    for one in (layer, positional, default):
        for weight in one.get_weights():
            assert np.isnan(weight).all()
    values = [np.ones((7, 5), "float32"), np.ones(5, "float32")]
    layer.set_weights(values)
    outputs = array(layer(np.ones((1, 7))))
    np.testing.assert_array_equal(outputs, np.full((1, 5), 8.0))
    assert isinstance(
        layer.kernel_initializer, keras.initializers.GlorotUniform
    )


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "mixed_bfloat16"])
def test_weights_have_their_own_dtype(dtype):
    expected = [w.dtype for w in built_dense(dtype=dtype).weights]
    with skip_initializers():
        layer = built_dense(dtype=dtype)
    assert [w.dtype for w in layer.weights] == expected
    found = [w.value.dtype for w in layer.weights]
    assert [keras.backend.standardize_dtype(d) for d in found] == expected


def test_integers_and_seeds_start_as_always():
    with skip_initializers():
        layer = keras.Layer()
        integers = {"shape": (2,), "dtype": "int32", "trainable": False}
        count = layer.add_weight(**integers)
        ones = layer.add_weight(**integers, initializer="ones")
        dropout = keras.layers.Dropout(0.5, seed=3)
    assert array(count).tolist() == [0, 0]
    assert array(ones).tolist() == [1, 1]
    same = keras.layers.Dropout(0.5, seed=3)
    x = np.ones((4, 50), "float32")
    np.testing.assert_array_equal(
        array(dropout(x, training=True)), array(same(x, training=True))
    )


def test_random_numbers_after_it_stay_the_same():
    def drawn(scope):
        keras.utils.set_random_seed(5)
        with scope:
            built_dense()
        return (
            random.random(),
            np.random.rand(),
            array(keras.random.normal((3,))).tolist(),
            built_dense().get_weights()[0].tolist(),
        )

    assert drawn(skip_initializers()) == drawn(contextlib.nullcontext())


def test_ends_with_the_outermost_scope_and_after_errors():
    add_weight = keras.Layer.add_weight
    with pytest.raises(ZeroDivisionError), skip_initializers():
        with skip_initializers():
            assert not is_set(built_dense())
        assert not is_set(built_dense())
        _ = 1 / 0
    assert keras.Layer.add_weight is add_weight
    assert is_set(built_dense())


def test_other_threads_get_initial_weights():
    entered, built = threading.Event(), threading.Event()
    found = []

    def skipping():
        with skip_initializers():
            entered.set()
            built.wait(60)
            found.append(is_set(built_dense()))

    thread = threading.Thread(target=skipping)
    thread.start()
    assert entered.wait(60)
    first = built_dense()
    with skip_initializers():
        # The scope of the other thread ends first.
        built.set()
        thread.join(60)
        second = built_dense()
    assert is_set(first) and first.get_weights()[0].std() > 0
    assert not is_set(second) and found == [False]
    assert is_set(built_dense())


# --- The models ---


@pytest.fixture
def hybrid(rng):
    """A model with layers of each kind: random, counting, normalizing."""
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.RandomFlip()(inputs)
    x = keras.layers.Normalization(axis=-1)(x)
    x = keras.layers.Conv2D(8, 3, strides=4, padding="same")(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.DepthwiseConv2D(3, padding="same")(x)
    x = keras.layers.SpatialDropout2D(0.1)(x)
    model = FACNN(
        3,
        depths=(1,),
        maps_per_class=(1,),
        backbone=keras.Model(inputs, x),
    )
    return with_other_weights(model, rng)


def preset(model, folder, **overrides):
    model.save_to_preset(folder / "preset")
    return FACNN.from_preset(folder / "preset", **overrides)


def keras_file(model, folder):
    model.save(folder / "model.keras")
    return FACNN.from_preset(folder / "model.keras")


COPIES = {
    ".keras file": keras_file,
    "preset": preset,
    "resized preset": lambda model, folder: preset(
        model, folder, image_shape=(32, 32, 3)
    ),
    "pickle": lambda model, folder: pickle.loads(pickle.dumps(model)),
    "deepcopy": lambda model, folder: copy.deepcopy(model),
}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("name", ["small_model", "hybrid"])
def test_copies_have_all_weights_and_make_no_others(
    request, name, copied, tmp_path
):
    model = request.getfixturevalue(name)
    with no_float_initialized():
        twin = copied(model, tmp_path)
    for a, b in zip(twin.weights, model.weights, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(array(a), array(b))


@pytest.mark.parametrize("name", ["small_model", "hybrid"])
def test_fused_copies_make_no_initial_weights(request, name, images):
    model = request.getfixturevalue(name)
    with no_float_initialized():
        fused = model.fuse()
    np.testing.assert_allclose(
        fused.class_maps(images), model.class_maps(images), atol=1e-4
    )


def test_exported_copies_make_no_initial_weights(small_model):
    config = {**small_model.get_config(), "dtype": "mixed_bfloat16"}
    mixed = FACNN.from_config(config)
    with no_float_initialized():
        make_graph(mixed, [1], centered=True, fuse=True)


def test_classifiers_in_files_have_all_weights(tmp_path):
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.SeparableConv2D(8, 3, strides=4)(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    classifier = keras.Model(inputs, keras.layers.Dense(3)(x))
    classifier.save(tmp_path / "model.keras")
    model = FACNN.from_preset(tmp_path / "model.keras")
    for a, b in zip(
        model.backbone.weights, classifier.weights[:-2], strict=True
    ):
        np.testing.assert_array_equal(array(a), array(b))


@pytest.mark.parametrize("preset", ["cifar10", "clothing"])
def test_bundled_presets_load_the_values_of_their_file(preset):
    with no_float_initialized():
        model = FACNN.from_preset(preset)
    random = FACNN.from_preset(preset, load_weights=False)
    assert not np.array_equal(
        random.get_layer("conv_1").get_weights()[0],
        model.get_layer("conv_1").get_weights()[0],
    )
    # Keras itself sets each weight of a model that has initial ones.
    random.load_weights(
        ROOT / "keras_facnn/presets" / preset / "model.weights.h5"
    )
    for a, b in zip(model.weights, random.weights, strict=True):
        np.testing.assert_array_equal(array(a), array(b))


def test_models_that_get_no_weights_start_from_random_ones(hybrid, tmp_path):
    """Each of these is promised random weights, in the right scale."""
    hybrid.save_to_preset(tmp_path / "preset")
    FACNN.from_preset(tmp_path / "preset")
    made = [
        FACNN.from_config(hybrid.get_config()),
        keras.models.clone_model(FACNN(3, depths=(1,), maps_per_class=(1,))),
        FACNN.from_preset(tmp_path / "preset", load_weights=False),
    ]
    for model in made:
        kernel = model.get_layer("conv_1").get_weights()[0]
        fans = np.prod(kernel.shape[:3]) + np.prod(kernel.shape[:2]) * 3
        assert is_set(model) and 0 < kernel.std() < 2 / np.sqrt(fans)


def test_weights_of_new_classes_are_not_left_out(small_model, tmp_path):
    small_model.save_to_preset(tmp_path / "preset")
    with pytest.warns(UserWarning, match="newly initialized"):
        model = FACNN.from_preset(tmp_path / "preset", num_classes=9)
    assert is_set(model)
