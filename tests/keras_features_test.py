"""Keras' features work: data of every kind, copies, quantization, export."""

import copy
import importlib.util
import pickle

import keras
import numpy as np
import pytest

from keras_facnn import FACNN

BACKEND = keras.backend.backend()
Y = np.array([0, 1, 2, 3, 0])


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
    pairs = torch.utils.data.TensorDataset(
        torch.as_tensor(x), torch.as_tensor(y)
    )
    return torch.utils.data.DataLoader(pairs, batch_size=5)


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
def test_fit_takes_data_of_every_kind(images, wrap):
    x = images.astype("float32")

    def loss(*data):
        keras.utils.set_random_seed(0)
        model = FACNN(
            4,
            (16, 16, 3),
            (1, 1),
            (1, 2),
            space_to_depth=2,
            deep_alignment=0.5,
        )
        model.compile(
            "sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        )
        return model.fit(*data, shuffle=False, verbose=0).history["loss"][0]

    assert loss(wrap(x, Y)) == pytest.approx(loss(x, Y), rel=1e-5)


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))],
    ids=["deepcopy", "pickle"],
)
def test_copies_explain_and_train_alike(small_model, images, copied):
    small_model.deep_alignment = 0.5
    expected = small_model.class_maps(images)
    twin = copied(small_model)
    assert type(twin) is FACNN and twin.deep_alignment == 0.5
    np.testing.assert_array_equal(twin.class_maps(images), expected)
    twin.compile(
        "sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    twin.train_on_batch(images.astype("float32"), Y)
    assert np.abs(twin.class_maps(images) - expected).max() > 0
    np.testing.assert_array_equal(small_model.class_maps(images), expected)


def test_a_compiled_model_is_compiled_when_loaded(
    small_model, images, tmp_path
):
    small_model.compile(
        "sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    small_model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.evaluate(images, Y, verbose=0) == pytest.approx(
        small_model.evaluate(images, Y, verbose=0)
    )


def test_quantize_skips_layers_that_keras_cannot_quantize(small_model, images):
    before = small_model.predict(images, verbose=0)
    with pytest.warns(UserWarning, match="does not have a `quantize`"):
        small_model.quantize("int8")
    np.testing.assert_array_equal(
        small_model.predict(images, verbose=0), before
    )
    assert small_model.verify(images)["theorem_1_correlation"] > 0.99999


@pytest.mark.skipif(
    BACKEND != "tensorflow",
    reason="Other backends need TensorFlow, or jax2tf, beside them",
)
def test_exports_a_saved_model(small_model, images, tmp_path):
    import tensorflow as tf

    small_model.export(str(tmp_path / "saved"), verbose=False)
    served = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(
        served.serve(images.astype("float32"))["logits"],
        small_model.predict(images, verbose=0),
        atol=1e-4,
    )


def test_fit_continues_after_a_crash(small_model, images, tmp_path):
    """By Keras' own callback, as docs/how_to/own_photos.md has it."""

    class Epochs(keras.callbacks.Callback):
        def __init__(self, crash_in):
            super().__init__()
            self.begun, self.crash_in = [], crash_in

        def on_epoch_begin(self, epoch, logs=None):
            self.begun.append(epoch)
            if epoch == self.crash_in:
                raise KeyboardInterrupt

    def fit(model, epochs):
        model.compile(
            keras.optimizers.AdamW(0.003),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=False,
        )
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        labels = np.arange(len(images)) % 4
        model.fit(
            images, labels, epochs=4, verbose=0, callbacks=[backup, epochs]
        )

    again = FACNN.from_config(small_model.get_config())
    first, second = Epochs(crash_in=2), Epochs(crash_in=None)
    with pytest.raises(KeyboardInterrupt):
        fit(small_model, first)
    fit(again, second)
    assert (first.begun, second.begun) == ([0, 1, 2], [2, 3])
    assert int(again.optimizer.iterations) == 4
    assert not (tmp_path / "backup").exists()
