import keras
import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf

from keras_facnn import FACNN
from zoo.recipe import Teacher
from zoo.training import teacher


@pytest.fixture(scope="module")
def classifier():
    """Of images of any colors to four logits that are large."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(inputs / 64.0)
    return keras.Model(inputs, keras.layers.Dense(4)(x))


def batches(shape, n=2):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n, 3, *shape), "uint8")
    labels = np.eye(4, dtype="float32")[rng.integers(0, 4, (n, 3))]
    return images, labels


def softmax(logits):
    powers = np.exp(logits)
    return powers / powers.sum(-1, keepdims=True)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_teacher_has_its_share_of_the_targets(classifier, weight):
    images, labels = batches((8, 8, 3))
    stream = tf.data.Dataset.from_tensor_slices((images, labels))
    kernel, bias = classifier.get_weights()
    taught = teacher.taught(stream, classifier, weight)
    for i, (x, y) in enumerate(taught.as_numpy_iterator()):
        np.testing.assert_array_equal(x, images[i])
        says = softmax(x.mean((1, 2)) / 64 @ kernel + bias)
        np.testing.assert_allclose(
            y, (1 - weight) * labels[i] + weight * says, atol=1e-5
        )
    assert i == 1


def test_images_of_another_size_are_resized_for_the_teacher(classifier):
    """Halved bilinearly, without a filter: the average is of fewer pixels."""
    images, labels = batches((16, 16, 3), 1)
    # Smooth in rows and columns, so that halving keeps the average.
    ramp = np.linspace(0, 200, 16)
    images[0] = (ramp[None, :, None, None] + ramp[None, None, :, None]) / 2
    stream = tf.data.Dataset.from_tensor_slices((images, labels))
    taught = teacher.taught(stream, classifier, 1.0)
    ((x, y),) = taught.as_numpy_iterator()
    assert x.shape == (3, 16, 16, 3)
    kernel, bias = classifier.get_weights()
    says = softmax(x.mean((1, 2)) / 64 @ kernel + bias)
    np.testing.assert_allclose(y, says, atol=0.01)


def test_loads_keras_files_and_presets(
    classifier, small_model, tmp_path, caplog
):
    classifier.save(tmp_path / "model.keras")
    loaded = teacher.load(str(tmp_path / "model.keras"), "abcd", 3)
    assert loaded.input_shape == (None, 8, 8, 3)
    metadata = {"class_names": list("abcd")}
    small_model.save_to_preset(tmp_path / "preset", metadata)
    loaded = teacher.load(str(tmp_path / "preset"), list("abcd"), 3)
    assert isinstance(loaded, FACNN)
    assert not caplog.records
    teacher.load(str(tmp_path / "preset"), list("dcba"), 3)
    assert "They are assumed to be the same" in caplog.text


@pytest.mark.parametrize("names, channels", [("abcde", 3), ("abcd", 1)])
def test_refuses_teachers_of_something_else(
    small_model, tmp_path, names, channels
):
    small_model.save_to_preset(tmp_path / "preset")
    with pytest.raises(ValueError, match="`--teacher .*Received: a model"):
        teacher.load(str(tmp_path / "preset"), names, channels)


def test_refuses_probabilities(classifier, tmp_path):
    softmax = keras.layers.Softmax()(classifier.outputs[0])
    keras.Model(classifier.inputs, softmax).save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="must .* give the logits"):
        teacher.load(str(tmp_path / "model.keras"), "abcd", 3)


def test_another_teacher_has_another_record(classifier):
    given = Teacher(model="runs/a/model.keras")
    one = teacher.record(given, classifier)
    assert one["name"] == "model.keras"
    other = keras.models.clone_model(classifier)
    assert teacher.record(given, other) != one
    other.set_weights(classifier.get_weights())
    assert teacher.record(given, other) == one
